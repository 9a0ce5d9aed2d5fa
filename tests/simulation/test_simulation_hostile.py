"""Whole nodes in virtual time: crashes, losses, repetitions, and agreement through all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Literal

import pytest

from simulation.campaign import run_campaign
from simulation.cluster import SimulatedCluster
from simulation.hostile import DEFAULTS, Options, make_peace, run_hostile
from simulation.network import NetworkFaults
from tests.thoroughness import tries

SEEDS_PER_TEST = 10


def run_all(n: int, seeds: range, options: Options = DEFAULTS) -> None:
    """Run seeds in this process; a seed that breaks a law is made shorter and shown."""
    summary = run_campaign([n], seeds, options, workers=1)
    assert not summary.failures, "\n".join([summary.failures[0].law, *summary.failures[0].trace])
    assert summary.short == 0, "a hostile run has at least 100 decided sequences and 10 faults"
    assert summary.decided >= len(seeds) * (100 if options.profile == "hostile" else 20)


@pytest.mark.parametrize("first", range(0, tries(50), SEEDS_PER_TEST))
def test_four_nodes_agree_and_recover_through_every_fault(first: int) -> None:
    """L1, L12, N10, R1-R4, D4, D5, I1-I9, I11, I13-I15: crashes, torn disks, cut links, wrong clocks, liars."""
    run_all(4, range(first, first + SEEDS_PER_TEST))


@pytest.mark.parametrize(("n", "seeds"), [(5, 6), (6, 4), (7, 4), (10, 1)])
def test_other_sizes_agree_too(n: int, seeds: int) -> None:
    """S14: quorums of 4, 4, 5 and 7."""
    run_all(n, range(1_000, 1_000 + seeds))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_networks_without_redundancy_go_on_while_nobody_fails(n: int) -> None:
    """S14: f is 0, so no node may fail; messages are lost, late and doubled all the same."""
    run_all(n, range(2))


@pytest.mark.parametrize("profile", ["lan", "wan"])
def test_measured_networks_with_crashes_and_splits(profile: Literal["lan", "wan"]) -> None:
    """L1, L2: links as measured."""
    run_all(4, range(3), Options(profile=profile))


def test_real_signatures_change_nothing() -> None:
    """What the stand-ins stand in for."""
    summary = run_campaign([4], range(2), Options(signatures="real"), workers=1)
    assert not summary.failures


def test_a_large_network_works() -> None:
    """128 validators, the largest set; crashes of them are rare in so short a run."""
    cluster = SimulatedCluster(1, 128, NetworkFaults(latency_ms_max=3))
    cluster.start()
    cluster.submit_transfer(5)
    assert cluster.world.run_until(lambda: min(cluster.heights()) == 1, 5_000)


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


@pytest.mark.parametrize("n", [4, 5])
def test_one_seed_is_one_run_whatever_the_hash_seed(n: int) -> None:
    """X1: two processes whose sets and dicts of strings order differently, and a third run here. Seed 3 has liars."""
    code = f"from simulation.hostile import run_hostile; print(run_hostile(3, {n}).trace)"
    traces = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("0", "4711")
    }
    assert traces == {run_hostile(3, n).trace}
