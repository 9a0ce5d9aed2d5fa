"""Whole nodes in virtual time: crashes, losses, repetitions, and agreement through all of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from simulation.cluster import SimulatedCluster
from simulation.hostile import make_peace, run_hostile
from simulation.network import NetworkFaults


@pytest.mark.parametrize("seed", range(20))
def test_four_nodes_agree_and_recover_through_crashes_and_losses(seed: int) -> None:
    """L1, L12, N10, R1-R3, I1, I2, I5, I7, I9, I11, I14."""
    result = run_hostile(seed)
    assert result.committed >= 60


@pytest.mark.parametrize(("n", "committed_least"), [(1, 5), (5, 10), (7, 10)])
def test_other_sizes_agree_too(n: int, committed_least: int) -> None:
    """S14: quorums of 1, 4 and 5. A network of one has nobody to commit while it is down."""
    assert run_hostile(1_000 + n, n, rounds=12).committed >= committed_least


def test_a_dead_primary_is_replaced_and_returns() -> None:
    """L1: the primary dies with work under way; the others commit in the next view, and it catches up."""
    cluster = SimulatedCluster(7, 4, NetworkFaults())
    cluster.start()
    cluster.submit_transfer(1)
    assert cluster.world.run_until(lambda: min(cluster.heights()) == 1, 2_000)
    primary = cluster.primary()
    others = [node for node in cluster.nodes if node.index != primary]
    cluster.nodes[primary].crash()
    identifier = cluster.submit_transfer(others[0].index)
    assert cluster.world.run_until(lambda: all(identifier in node.executed_ids for node in others), 1_500)
    assert cluster.primary() != primary
    cluster.restart(primary)
    make_peace(cluster)


def test_the_network_stops_without_a_quorum_and_goes_on_when_it_returns() -> None:
    """L8: two against two commit nothing for ten minutes; then within 20 s."""
    cluster = SimulatedCluster(8, 4, NetworkFaults())
    cluster.start()
    for a in (0, 1):
        for b in (2, 3):
            cluster.network.cut(a, b)
            cluster.network.cut(b, a)
    cluster.submit_transfer(0)
    cluster.submit_transfer(2)
    cluster.world.run(600_000)
    assert cluster.heights() == [0, 0, 0, 0]
    cluster.network.heal()
    assert cluster.world.run_until(lambda: min(cluster.heights()) >= 1, 20_000)
    make_peace(cluster)


def test_a_laggard_catches_up_without_traffic() -> None:
    """L6: beyond the window, and then silence."""
    cluster = SimulatedCluster(9, 4, NetworkFaults())
    cluster.start()
    cluster.network.isolate(3)
    for round_ in range(300):
        cluster.submit_transfer(round_ % 3)
        cluster.world.run(40)
    assert cluster.heights()[0] > cluster.genesis.parameters.window
    assert cluster.heights()[3] == 0
    cluster.network.heal()
    assert cluster.world.run_until(lambda: len(set(cluster.heights())) == 1, 30_000)


def test_one_seed_is_one_run_whatever_the_hash_seed() -> None:
    code = "from simulation.hostile import run_hostile; print(run_hostile(3, rounds=10).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }
    assert len(traces) == 1
    assert run_hostile(3, rounds=10).trace in next(iter(traces))
