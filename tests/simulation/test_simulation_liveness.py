"""Progress where it is owed: dead primaries, odd links, common restarts, wrong clocks, idle deadlines, liars."""

from __future__ import annotations

import msgspec
import pytest

from ledger.chain import Chain
from ledger.modules.assets.operations import Commit
from ledger.modules.development.operations import AdvanceClock
from ledger.transaction import build
from node.chain_service import ChainService
from primitives.finality import FinalityCertificate
from simulation.cluster import SimulatedCluster
from simulation.hostile import make_peace
from simulation.network import NetworkFaults

COMMIT_LIMIT_MS = 20_000


def running(seed: int, n: int = 4) -> SimulatedCluster:
    """A network that has committed something."""
    cluster = SimulatedCluster(seed, n, NetworkFaults())
    cluster.start()
    cluster.submit_transfer(1)
    assert cluster.world.run_until(lambda: min(cluster.heights()) == 1, 2_000)
    return cluster


def executed_by_all_up(cluster: SimulatedCluster, identifier: bytes, limit_ms: int) -> bool:
    up = [node for node in cluster.nodes if node.up]
    return cluster.world.run_until(lambda: all(identifier in node.executed_ids for node in up), limit_ms)


def test_partial_links_at_boot_delay_nothing_for_long() -> None:
    """L9: everyone sees node 0 and nobody else, for a minute."""
    cluster = SimulatedCluster(21, 4, NetworkFaults())
    for a in (1, 2, 3):
        for b in (1, 2, 3):
            if a != b:
                cluster.network.cut(a, b)
    cluster.start()
    identifier = cluster.submit_transfer(1)
    cluster.world.run(60_000)
    cluster.network.heal()
    cluster.connect_all()
    identifier = cluster.submit_transfer(2)
    assert executed_by_all_up(cluster, identifier, COMMIT_LIMIT_MS)


@pytest.mark.parametrize("stagger_ms", [0, 30_000])
def test_all_may_restart_together(stagger_ms: int) -> None:
    """L12: a common loss of power, in the middle of work; the nodes return at once or one after the other."""
    cluster = running(22)
    for index in range(4):
        cluster.submit_transfer(index)
    cluster.world.run(7)
    for node in cluster.nodes:
        node.crash()
    for index in range(4):
        cluster.restart(index)
        cluster.world.run(stagger_ms)
    identifier = cluster.submit_transfer(3)
    assert executed_by_all_up(cluster, identifier, COMMIT_LIMIT_MS)
    make_peace(cluster)


@pytest.mark.parametrize(("sender", "receiver"), [(0, 1), (1, 0), (2, 3)])
def test_a_direction_that_loses_everything_stops_nobody(sender: int, receiver: int) -> None:
    """L14"""
    cluster = running(23)
    cluster.network.cut(sender, receiver)
    for index in range(4):
        identifier = cluster.submit_transfer(index)
        assert executed_by_all_up(cluster, identifier, COMMIT_LIMIT_MS)
    make_peace(cluster)


@pytest.mark.parametrize("skew_ms", [-600_000, 600_000, 86_400_000])
def test_a_wrong_clock_costs_its_own_turns_only(skew_ms: int) -> None:
    """X4: the primary's clock jumps; its proposals are refused, and the next primary goes on."""
    cluster = running(24)
    skewed = cluster.primary()
    cluster.nodes[skewed].clock_skew_ms = skew_ms
    others = [node.index for node in cluster.nodes if node.index != skewed]
    for index in others * 2:
        identifier = cluster.submit_transfer(index)
        assert executed_by_all_up(cluster, identifier, COMMIT_LIMIT_MS)
    head = cluster.nodes[others[0]].core
    assert head is not None
    assert abs(head.head.header.timestamp_ms - cluster.world.now_ms) < 60_000
    cluster.nodes[skewed].clock_skew_ms = 0
    make_peace(cluster)


def test_a_deadline_runs_on_an_idle_network_even_after_all_have_restarted() -> None:
    """A commitment expires after a day; nobody submits anything, and nobody remembers the plan for it."""
    cluster = running(25)

    def submit(operation: msgspec.Struct) -> None:
        cluster.submitted += 1
        data = build(
            network_id=cluster.network_id,
            sender=cluster.accounts[0],
            key=cluster.account_key(0),
            operations=[operation],
            expires_at_ms=cluster.world.now_ms + 60_000,
            salt=cluster.submitted.to_bytes(16, "big"),
        )
        cluster.submit(2, data)

    submit(Commit(bytes(32)))
    assert cluster.world.run_until(lambda: min(cluster.heights()) == 2, 2_000)
    submit(AdvanceClock(86_400_000))
    assert cluster.world.run_until(lambda: min(cluster.heights()) == 3, 2_000, step_ms=1)
    for node in cluster.nodes:
        node.crash()
    for index in range(4):
        cluster.restart(index)
    assert cluster.world.run_until(lambda: min(cluster.heights()) >= 4, COMMIT_LIMIT_MS)
    cores = [node.core for node in cluster.nodes if node.core is not None]
    assert {core.head.next_deadline_ms for core in cores} == {None}
    cluster.world.run(60_000)
    assert max(cluster.heights()) <= 7, "each validator offers one batch at most"


class _WithoutBodies(ChainService):
    """Serves true headers over wrong bodies."""

    def blocks(self, first: int, last: int) -> tuple[list[bytes], list[bytes], FinalityCertificate | None]:
        blocks, headers, certificate = super().blocks(first, last)
        return [blocks[0], *(block[:-1] + bytes([block[-1] ^ 1]) for block in blocks[1:])], headers, certificate


class _WithNothing(ChainService):
    """Says that it has the blocks, and serves none."""

    def blocks(self, first: int, last: int) -> tuple[list[bytes], list[bytes], FinalityCertificate | None]:
        return [], [], None


@pytest.mark.parametrize("liar", [_WithoutBodies, _WithNothing])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_member_that_serves_wrong_blocks_or_none_does_not_stop_a_laggard(liar: type[ChainService], at: int) -> None:
    """L13: it is named, nobody else is, and the node learns of every block in order."""
    cluster = SimulatedCluster(26, 4, NetworkFaults())
    cluster.nodes[at].make_service = lambda chain: make_liar(liar, chain)
    cluster.start()
    cluster.network.isolate(3)
    for round_ in range(cluster.genesis.parameters.window + 40):
        cluster.submit_transfer(round_ % 3)
        cluster.world.run(30)
    assert cluster.heights()[3] == 0
    cluster.network.heal()
    assert cluster.world.run_until(lambda: len(set(cluster.heights())) == 1, 30_000)
    complaints = {peer for peer, _ in cluster.nodes[3].complaints}
    assert complaints <= {cluster.nodes[at].names[at]}
    make_peace(cluster)


def make_liar(liar: type[ChainService], chain: Chain) -> ChainService:
    return liar(chain)
