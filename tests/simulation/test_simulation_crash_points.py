"""A crash at every point where something becomes durable, and the return from it."""

from __future__ import annotations

from typing import Literal

import pytest

from simulation.cluster import SimulatedCluster
from simulation.hostile import make_peace
from simulation.network import NetworkFaults
from simulation.ports import Crash, CrashPoint

SEED = 11
ABSENCE_MS = 100
ROUNDS = 3


def run_with_crash(victim: int, point: CrashPoint | None) -> SimulatedCluster:
    """Run a few transactions; the victim crashes at `point`, as often as it is reached, and comes back."""
    cluster = SimulatedCluster(SEED, 4, NetworkFaults(latency_ms_max=10))
    node = cluster.nodes[victim]
    node.crash_at = point

    def come_back(index: int) -> None:
        cluster.world.at(ABSENCE_MS, lambda: cluster.restart(index))

    node.on_crash = come_back
    cluster.start()
    for _ in range(ROUNDS):
        for index, other in enumerate(cluster.nodes):
            if other.up:
                cluster.submit_transfer(index)
        cluster.world.run(150)
    cluster.world.run(ABSENCE_MS + 300)
    make_peace(cluster)
    return cluster


@pytest.fixture(scope="module")
def work() -> dict[str, int]:
    """How many pieces of work each kind has when nothing crashes."""
    return dict(run_with_crash(0, None).nodes[0].work_done)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(
    ("kind", "crashes"), [("journal", ("before", "torn", "after")), ("ledger", ("before", "after"))]
)
def test_a_crash_at_any_persist_point_costs_nothing_that_was_promised(
    work: dict[str, int], victim: int, kind: Literal["journal", "ledger"], crashes: tuple[Crash, ...]
) -> None:
    """R1, R2, R3: the primary and a backup, at each sync of the vote log and each write of the ledger.

    I5 compares all that a node ever signed; I11 demands what was reported as committed.
    """
    assert work[kind] >= 8
    reached = 0
    for count in range(1, work[kind] + 1):
        cluster = run_with_crash(victim, CrashPoint(kind, count, crashes[(count + victim) % len(crashes)]))
        reached += cluster.nodes[victim].lives == 2
    assert reached >= work[kind] // 2
