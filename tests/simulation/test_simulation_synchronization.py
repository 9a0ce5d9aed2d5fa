"""Whole nodes that catch up while the others go on: under faults, over crashes, with liars among the peers."""

from __future__ import annotations

import pytest

from ledger.chain import Chain
from ledger.parameters import Parameters
from node.chain_service import ChainService
from node.wire import BLOCKS_PER_ANSWER_MAX
from primitives.finality import FinalityCertificate
from simulation.cluster import SimulatedCluster
from simulation.hostile import make_peace
from simulation.network import NetworkFaults
from simulation.ports import CrashPoint

BEHIND = 3 * BLOCKS_PER_ANSWER_MAX
"""Blocks: several ranges, and several windows."""
LAGGARD = 3
LIMIT_MS = 60_000


def fallen_behind(seed: int, faults: NetworkFaults | None = None) -> SimulatedCluster:
    """A network that one validator has not heard of for a while."""
    cluster = SimulatedCluster(seed, 4, faults or NetworkFaults(), parameters=Parameters(window=32))
    cluster.start()
    cluster.network.isolate(LAGGARD)
    while min(cluster.heights()[:LAGGARD]) < BEHIND:
        cluster.submit_transfer(len(cluster.heights()) % LAGGARD)
        cluster.world.run(20)
    assert cluster.heights()[LAGGARD] == 0
    return cluster


def go_on(cluster: SimulatedCluster, reached: int) -> None:
    """Heal the network, and commit on until the laggard has reached a height."""
    cluster.network.heal()
    for round_ in range(LIMIT_MS // 50):
        if cluster.heights()[LAGGARD] >= reached:
            return
        cluster.submit_transfer(round_ % LAGGARD)
        cluster.world.run(50)
    raise AssertionError(f"not caught up: {cluster.heights()}")


@pytest.mark.parametrize("seed", range(4))
def test_a_laggard_catches_up_while_the_others_commit_and_the_network_loses_messages(seed: int) -> None:
    """L6, L13: nobody is accused for what the network did."""
    cluster = fallen_behind(seed, NetworkFaults(loss=0.05, duplication=0.05, straggling=0.02, latency_ms_max=20))
    go_on(cluster, BEHIND)
    assert cluster.nodes[LAGGARD].complaints == []
    make_peace(cluster)


def test_it_asks_several_peers() -> None:
    cluster = fallen_behind(5)
    asked: set[str] = set()
    for index in range(LAGGARD):
        node = cluster.nodes[index]
        assert node.core is not None
        server = node.core._server
        serve = server.serve

        def noted(peer, request, serve=serve, name=node.names[index]) -> None:  # type: ignore[no-untyped-def]
            asked.add(name)
            serve(peer, request)

        server.serve = noted  # type: ignore[method-assign]
    go_on(cluster, BEHIND)
    assert len(asked) == LAGGARD
    make_peace(cluster)


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("crash", ["before", "after"])
def test_a_crash_in_the_middle_of_it_loses_whole_groups_or_nothing(crash: str, count: int) -> None:
    """R3: it goes on from the last group that was written, and no block executes twice."""
    cluster = fallen_behind(6)
    node = cluster.nodes[LAGGARD]
    node.on_crash = lambda index: cluster.world.at(100, lambda: cluster.restart(index)) and None
    node.work_done.clear()
    node.crash_at = CrashPoint("ledger", count, crash)  # type: ignore[arg-type]  # one of the two above
    node.crash()
    cluster.restart(LAGGARD)
    go_on(cluster, BEHIND)
    assert node.lives >= 2
    make_peace(cluster)


def test_a_server_that_is_lost_in_the_middle_of_a_range_costs_nothing_but_time() -> None:
    """N1, L13"""
    cluster = fallen_behind(7)
    cluster.network.heal()
    cluster.world.run_until(lambda: cluster.heights()[LAGGARD] > 0, LIMIT_MS)
    cluster.nodes[1].crash()
    go_on(cluster, BEHIND)
    make_peace(cluster)


class _Gapped(ChainService):
    """Leaves blocks out between those that it serves and the certificate."""

    def blocks(self, first: int, last: int) -> tuple[list[bytes], list[bytes], FinalityCertificate | None]:
        blocks, headers, certificate = super().blocks(first, last)
        return blocks[:1], headers, certificate


def gapped(chain: Chain) -> ChainService:
    return _Gapped(chain)


@pytest.mark.parametrize("at", range(LAGGARD))
def test_a_broken_chain_of_one_member_is_named_and_costs_the_others_nothing(at: int) -> None:
    """L13"""
    cluster = SimulatedCluster(8, 4, NetworkFaults(), parameters=Parameters(window=32))
    cluster.nodes[at].make_service = gapped
    cluster.start()
    cluster.network.isolate(LAGGARD)
    while max(cluster.heights()[:LAGGARD]) < BEHIND:
        cluster.submit_transfer(0)
        cluster.world.run(20)
    go_on(cluster, BEHIND)
    assert {peer for peer, _ in cluster.nodes[LAGGARD].complaints} == {cluster.nodes[at].names[at]}
    make_peace(cluster)
