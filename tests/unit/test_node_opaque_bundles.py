"""Opaque bundles on their way through nodes: admission, pool, blocks, synchronization, and other networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from node_core_kit import Clock, Executor

from consensus.messages import Batch
from ledger.chain import Chain
from ledger.genesis import network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.opaque import build_bundle
from ledger.parameters import Parameters
from ledger.state.store import MemoryStore
from ledger.transaction import build, transaction_id
from node.batch_verdicts import BatchVerdicts
from node.batcher import BatchLimits
from node.chain_service import ChainService
from node.intake import Admission, Intake
from node.pool import NOBODY, Entry, Pool, PoolLimits
from node.verifier import check_signatures
from primitives.list_root import list_root
from simulation.cluster import SimulatedCluster, make_genesis, seeded_key
from simulation.network import NetworkFaults

ALLOWED = Parameters(opaque_bundles=True)


def bundle(network: bytes, now_ms: int, number: int, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "network_id": network,
        "expires_at_ms": now_ms + 60_000,
        "salt": number.to_bytes(16, "big"),
        "payload": bytes(5_000),
    }
    return build_bundle(**(fields | changes))


def made(number: int, *items: bytes) -> Batch:
    return Batch(0, 1, number, number, list_root(items), items, bytes(64))


class Verifier:
    """Remembers what it was asked for; it can be too busy to answer."""

    def __init__(self) -> None:
        self.checked: list[bytes] = []
        self.busy = False

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        self.checked += transactions
        answer(None if self.busy else check_signatures(transactions))


class Desk:
    """An intake over a chain; what it closes into batches is kept."""

    def __init__(self, parameters: Parameters = ALLOWED) -> None:
        self.genesis = make_genesis(4, "real", parameters)
        self.network_id = network_id(self.genesis)
        self.clock, self.verifier = Clock(), Verifier()
        self.closed: list[tuple[bytes, ...]] = []
        service = ChainService(Chain.open(MemoryStore(), self.genesis))
        self.intake = Intake(
            self.clock, Executor(service), self.verifier, PoolLimits(), BatchLimits(), self.closed.append
        )

    def submit(self, *data: bytes) -> list[Admission]:
        heard: list[Admission] = []
        self.intake.submit(data, heard.extend)
        return heard

    def bundle(self, number: int, **changes: Any) -> bytes:
        return bundle(self.network_id, self.clock.now_ms(), number, **changes)

    def transfer(self) -> bytes:
        accounts = [organization_account(self.network_id, account) for account in self.genesis.accounts]
        return build(
            network_id=self.network_id,
            sender=accounts[0],
            key=seeded_key("account", 0, "real"),
            operations=[Transfer(accounts[1], 1)],
            expires_at_ms=self.clock.now_ms() + 60_000,
        )


def test_a_bundle_is_taken_without_a_check_of_any_signature() -> None:
    desk = Desk()
    opaque, signed = desk.bundle(1), desk.transfer()
    first, second, again = desk.submit(opaque, signed, opaque)
    assert (first.id, first.code, first.known) == (transaction_id(opaque), "", False)
    assert (second.code, again.code, again.known) == ("", "", True)
    assert desk.verifier.checked == [signed]
    assert desk.closed == [(opaque, signed)]


def test_a_batch_of_bundles_is_not_sent_to_be_checked() -> None:
    desk = Desk()
    verdicts = BatchVerdicts(desk.verifier)
    opaque, signed = desk.bundle(1), desk.transfer()
    pure, mixed = made(1, opaque, opaque), made(2, opaque, signed)
    for batch in (pure, mixed):
        verdicts.on_held(batch, checked=False)
    assert desk.verifier.checked == [opaque, signed]
    assert [bytes(found)[-1] for found in verdicts.take([pure, mixed], lambda: None) or ()] == [1, 1]


def test_a_busy_verifier_does_not_keep_bundles_out() -> None:
    desk = Desk()
    desk.verifier.busy = True
    assert [each.code for each in desk.submit(desk.transfer(), desk.bundle(1))] == ["pool.full", ""]


def test_what_no_block_would_execute_is_not_taken() -> None:
    desk = Desk()
    now_ms = desk.clock.now_ms()
    refused = desk.submit(
        desk.bundle(1, network_id=bytes(32)),
        desk.bundle(2, expires_at_ms=now_ms),
        desk.bundle(3, expires_at_ms=now_ms + 24 * 3_600_000),
        desk.bundle(4)[:-1],
    )
    assert [each.code for each in refused] == [
        "transaction.wrong_network",
        "transaction.expired",
        "transaction.expiry_too_far",
        "transaction.malformed",
    ]
    assert desk.closed == []


def test_another_network_refuses_bundles_as_malformed() -> None:
    desk = Desk(Parameters())
    [refused] = desk.submit(desk.bundle(1))
    assert refused.code == "transaction.malformed"
    assert desk.closed == []


def test_a_batch_that_comes_back_with_bundles_is_offered_again() -> None:
    desk = Desk()
    own, strange = desk.bundle(1), desk.bundle(2)
    desk.submit(own)
    desk.intake.on_released([own, strange])
    desk.clock.advance(1_000)
    assert desk.closed == [(own,), (own, strange)]


def test_bundles_are_not_held_to_a_sender_s_share() -> None:
    pool = Pool(PoolLimits(transactions_max=8))
    codes = [pool.add(bytes([number]), Entry(b"x", NOBODY, 99)) for number in range(9)]
    assert codes == [""] * 8 + ["pool.full"]


def test_a_network_orders_bundles_and_a_node_that_was_away_learns_them() -> None:
    """Whole nodes in virtual time: every bundle is certified once at all of them, the returned one included."""
    cluster = SimulatedCluster(7, 4, NetworkFaults(), parameters=ALLOWED)
    cluster.start()
    cluster.world.run(500)
    ids = [cluster.submit(number % 4, bundle(cluster.network_id, cluster.world.now_ms, number)) for number in range(8)]
    cluster.world.run(1_000)
    cluster.nodes[3].crash()
    for number in range(8, 20):
        ids.append(cluster.submit(number % 3, bundle(cluster.network_id, cluster.world.now_ms, number)))
        cluster.world.run(100)
    cluster.restart(3)
    assert cluster.world.run_until(lambda: all(set(ids) <= node.certified for node in cluster.nodes[:3]), 20_000)
    assert cluster.world.run_until(lambda: set(ids) <= set(cluster.nodes[3].executed_ids), 20_000)
    assert cluster.world.run_until(cluster.agreed, 20_000)
    chain = cluster.nodes[3].chain
    assert chain is not None
    assert all(chain.transaction_status(identifier).receipt is not None for identifier in ids)
