"""Validators that lose their disks again, and all at once: each returns by itself, and none contradicts itself."""

from __future__ import annotations

import pytest

from ledger.parameters import Parameters
from simulation.cluster import SimulatedCluster
from simulation.invariants import engine_state
from simulation.node import SimulatedNode

VICTIM = 3


def cluster_of_four(seed: int) -> SimulatedCluster:
    cluster = SimulatedCluster(seed, parameters=Parameters(window=16, rejoin_interval_ms=0))
    cluster.start()
    work(cluster)
    return cluster


def work(cluster: SimulatedCluster, rounds: int = 12) -> None:
    for _ in range(rounds):
        cluster.submit_transfer(cluster.world.random.choice([0, 1, 2]))
        cluster.world.run(100)


def votes_again(cluster: SimulatedCluster, victim: SimulatedNode, epoch: int) -> bool:
    """Let the epoch end, and the victim vote in a later one."""

    def voting() -> bool:
        assert victim.core is not None
        status = victim.core.engine_status()
        return status.voting and status.epoch > epoch

    return cluster.world.run_until(voting, 60_000)


@pytest.mark.parametrize("seed", range(3))
def test_a_validator_that_loses_its_directory_again_returns_again(seed: int) -> None:
    """R5: an empty directory knows of no number, and the set names that of the earlier rejoin."""
    cluster = cluster_of_four(seed)
    victim = cluster.nodes[VICTIM]
    numbers = set()
    for epoch in range(3):
        victim.crash()
        victim.lose_everything()
        work(cluster, 3)
        cluster.restart(VICTIM)
        assert votes_again(cluster, victim, epoch)
        assert victim.core is not None
        numbers.add(victim.core.epochs.incarnation)
        work(cluster)
    assert len(numbers) == 3
    assert 0 not in numbers


@pytest.mark.parametrize("part", ["all", "vote log"])
def test_a_copy_from_before_a_rejoin_returns_under_a_number_of_its_own(part: str) -> None:
    """R6: neither silent for ever, nor again under the number that it had when it was copied."""
    cluster = cluster_of_four(7)
    victim = cluster.nodes[VICTIM]
    copies = []
    for epoch in range(2):
        copies.append(victim.keep_copy())
        work(cluster)
        victim.crash()
        victim.lose_everything()
        cluster.restart(VICTIM)
        assert votes_again(cluster, victim, epoch)
        work(cluster)
    for epoch, copy in enumerate(copies, start=2):
        assert victim.core is not None
        before = victim.core.epochs.incarnation
        victim.crash()
        if part == "all":
            victim.restore_copy(copy)
        else:
            victim.disk.put_back(copy.files)
        cluster.restart(VICTIM)
        assert votes_again(cluster, victim, epoch)
        number = victim.core.epochs.incarnation
        assert number != before
        work(cluster)


@pytest.mark.parametrize("seed", range(4))
def test_after_a_loss_of_power_at_one_site_an_old_copy_is_noticed(seed: int) -> None:
    """L12, R6: everyone starts at once, and nobody has heard the victim in this life. It must not vote as if its log
    were whole; that its messages contradict nothing is a law of the wire.
    """
    cluster = cluster_of_four(seed)
    victim = cluster.nodes[VICTIM]
    copy = victim.keep_copy()
    work(cluster, 20)
    for node in cluster.nodes:
        node.crash()
    victim.restore_copy(copy)
    for index in range(4):
        cluster.restart(index)
    core = victim.core
    assert core is not None
    said = engine_state(core).position
    assert cluster.world.run_until(lambda: core.engine_status().outdated, 10_000)
    assert engine_state(core).position == said, "it was silent until it knew"
    assert votes_again(cluster, victim, 0)
