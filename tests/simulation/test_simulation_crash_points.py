"""A crash at every point where something becomes durable, and the return from it."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import pytest

from ledger.parameters import Parameters
from simulation.cluster import SimulatedCluster
from simulation.hostile import make_peace
from simulation.network import NetworkFaults
from simulation.ports import Crash, CrashPoint

SEED = 11
ABSENCE_MS = 100
ROUNDS = 3
EPOCH_LIMIT_MS = 20_000
POINTS: list[tuple[Literal["journal", "ledger"], Crash]] = [
    ("journal", "before"),
    ("journal", "torn"),
    ("journal", "after"),
    ("ledger", "before"),  # one atomic batch: a torn one is none
    ("ledger", "after"),
]


def prepare(victim: int, point: CrashPoint | None, parameters: Parameters | None = None) -> SimulatedCluster:
    """Make a network in which the victim crashes at `point`, as often as it is reached, and comes back."""
    cluster = SimulatedCluster(SEED, 4, NetworkFaults(latency_ms_max=10), parameters=parameters or Parameters())
    cluster.nodes[victim].crash_at = point

    def come_back(index: int) -> None:
        cluster.world.at(ABSENCE_MS, lambda: cluster.restart(index))

    cluster.nodes[victim].on_crash = come_back
    cluster.start()
    return cluster


def load(cluster: SimulatedCluster, rounds: int = ROUNDS) -> None:
    for _ in range(rounds):
        for index, other in enumerate(cluster.nodes):
            if other.up:
                cluster.submit_transfer(index)
        cluster.world.run(150)


def run_with_crash(victim: int, point: CrashPoint | None) -> SimulatedCluster:
    """Run a few transactions, among them the first view's first ones; the crash is somewhere in there."""
    cluster = prepare(victim, point)
    load(cluster)
    cluster.world.run(ABSENCE_MS + 300)
    make_peace(cluster)
    return cluster


def run_through_an_epoch(point: CrashPoint | None) -> SimulatedCluster:
    """The same while an epoch ends, because member 2 lost its disk and rejoins: it crashes on the way."""
    victim = 2
    cluster = prepare(victim, None, Parameters(window=8, rejoin_interval_ms=0))
    load(cluster, 1)
    node = cluster.nodes[victim]
    node.crash()
    node.lose_everything()
    node.work_done.clear()
    node.crash_at = point
    cluster.restart(victim)
    load(cluster)

    def rejoined() -> bool:
        status = None if node.core is None else node.core.engine_status()
        return status is not None and status.epoch == 1 and status.voting

    assert cluster.world.run_until(rejoined, EPOCH_LIMIT_MS)
    make_peace(cluster)
    return cluster


@lru_cache
def work_done(victim: int, kind: str) -> int:
    """How many pieces of work there are when nothing crashes."""
    return run_with_crash(victim, None).nodes[victim].work_done[kind]


@pytest.mark.parametrize("victim", [0, 1], ids=["primary", "backup"])
@pytest.mark.parametrize(("kind", "crash"), POINTS)
def test_a_crash_at_any_persist_point_costs_nothing_that_was_promised(
    victim: int, kind: Literal["journal", "ledger"], crash: Crash
) -> None:
    """R1, R2, R3: at each sync of the vote log and each write of the ledger.

    I5 compares all that a node ever signed; I6 looks for it in the log; I11 demands what was reported as committed.
    """
    points = work_done(victim, kind)
    assert points >= 8
    reached = 0
    for count in range(1, points + 1):
        cluster = run_with_crash(victim, CrashPoint(kind, count, crash))
        reached += cluster.nodes[victim].lives == 2
    assert reached >= points * 3 // 4, "an early crash changes how much work there is"


@pytest.mark.parametrize(("kind", "crash"), POINTS)
def test_a_crash_while_an_epoch_ends_leaves_the_old_one_or_the_new_one(
    kind: Literal["journal", "ledger"], crash: Crash
) -> None:
    """R4, R5, G3: the log is begun anew for each epoch and each incarnation; each step of that may be the last."""
    points = run_through_an_epoch(None).nodes[2].work_done[kind]
    assert points >= 5
    for count in range(1, points + 1):
        run_through_an_epoch(CrashPoint(kind, count, crash))
