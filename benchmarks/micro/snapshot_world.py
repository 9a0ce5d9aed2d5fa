"""A chain with many records, and nodes that hand its snapshot on: for `benchmarks.micro.snapshot`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from ledger.block import block_hash
from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    organization_account,
)
from ledger.modules.module import Context, Module, Rule, Standing
from ledger.operations import Registry
from ledger.parameters import Parameters
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.store import Store
from ledger.state.view import Readable
from ledger.transaction import build
from node.event_loop import LoopClock, LoopPost, ThreadJobs
from node.links import PeerLinks
from node.snapshot_exchange import SnapshotExchange
from node.snapshot_fetching import SnapshotFetcher
from node.snapshot_serving import SnapshotDesk
from node.snapshot_workshop import Workshop
from p2p.channels import Channel
from p2p.identity import Identity
from p2p.peers import PeerNetwork
from p2p.registry import PeerEntry
from primitives.finality import FinalityCertificate, finality_statement
from primitives.identifiers import NodeId, key_to_text
from primitives.keys import SigningKey

START_MS: Final = 1_700_000_000_000
VALUE_BYTES: Final = 200
RECORDS_PER_TRANSACTION: Final = 500
OWNER: Final = SigningKey(b"o" * 32)
VALIDATORS: Final = tuple(SigningKey(bytes([200 + index]) * 32) for index in range(4))


class Fill(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="fill.put"):
    """Write records `first` to `first + count - 1` with values of this round."""

    first: Annotated[int, msgspec.Meta(ge=0)]
    count: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    round: Annotated[int, msgspec.Meta(ge=0)]


def _fill(context: Context, operation: Fill) -> None:
    for number in range(operation.first, operation.first + operation.count):
        digest = hashlib.sha256(b"%d %d" % (number, operation.round)).digest()
        context.view.put(b"fill/%012d" % number, (digest * 7)[:VALUE_BYTES])


def _standing(_view: Readable, _account: bytes, _key: bytes) -> Standing:
    return Standing("owner")


_RULE: Final = Rule(signers=frozenset({"owner"}), while_suspended=True, after_removal=True, while_frozen=True)
REGISTRY: Final = Registry([Module(name="fill", operations={Fill: _fill}, rules={Fill: _RULE})], standing=_standing)


def make_genesis() -> Genesis:
    """Return the same genesis in every process."""
    return Genesis(
        version=1,
        name="benchmark",
        salt="00" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(),
        organizations=(GenesisOrganization("org", "Organization"),),
        accounts=(GenesisAccount("org", key_to_text(OWNER.public_key), "00" * 16, 1),),
        validators=tuple(
            GenesisValidator("org", f"node-{at}", key_to_text(key.public_key), "AA==", f"127.0.0.1:{at + 1}")
            for at, key in enumerate(VALIDATORS)
        ),
    )


class World:
    """The chain and its validators."""

    def __init__(self, store: Store) -> None:
        self.genesis = make_genesis()
        self.store = store
        self.chain = Chain.open(store, self.genesis, REGISTRY)
        self._sender = organization_account(self.chain.network_id, self.genesis.accounts[0])

    def execute(self, records: range, round: int) -> float:
        """Execute and certify a block that writes these records; return what it took (seconds)."""
        height = self.chain.height + 1
        step = RECORDS_PER_TRANSACTION
        transactions = [
            build(
                network_id=self.chain.network_id,
                sender=self._sender,
                key=OWNER,
                operations=[Fill(first, min(step, records.stop - first), round)],
                expires_at_ms=START_MS + height * 100 + 60_000,
                salt=height.to_bytes(16, "big"),
            )
            for first in range(records.start, records.stop, step)
        ]
        batch = DecidedBatch(0, height, transactions, bytes([1]) * len(transactions))
        since = time.perf_counter()
        self.chain.execute(height, DecidedProposal(0, START_MS + height * 100), [batch])
        took = time.perf_counter() - since
        self.chain.add_certificate(self._certify(height))
        return took

    def _certify(self, height: int) -> FinalityCertificate:
        header = self.chain.header(height)
        assert header is not None
        hashed = block_hash(header)
        statement = finality_statement(self.chain.network_id, header.epoch, height, hashed, header.epoch_end)
        signatures = tuple((index, VALIDATORS[index].sign(statement)) for index in range(3))
        return FinalityCertificate(header.epoch, height, hashed, header.epoch_end, signatures)


class Party(msgspec.Struct):
    """One node of the transfer, as the processes tell each other."""

    key_pem: bytes
    certificate: bytes
    node_id: str
    address: str


class _Handler:
    """The channel SNAPSHOTS, and no other."""

    def __init__(self, exchange: SnapshotExchange) -> None:
        self._exchange = exchange

    def head(self) -> bytes:
        return b""

    def on_peer_connected(self, node_id: NodeId) -> None:
        pass

    def on_peer_disconnected(self, node_id: NodeId, reason: str) -> None:  # noqa: ARG002 - the protocol's
        self._exchange.on_peer_disconnected(node_id)

    def on_payload(self, node_id: NodeId, channel: Channel, payload: bytes) -> None:
        assert channel is Channel.SNAPSHOTS
        self._exchange.on_payload(node_id, payload)


async def take_part(
    parties: list[Party], own: int, network_id: bytes, shelf: SnapshotShelf, fresh: Path | None
) -> tuple[float, float]:
    """Serve for ever, or with `fresh` fetch the others' snapshot into a store there.

    Returns:
        Seconds until the store was whole, from the first request on, and of processor time in this process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()
    tasks: set[asyncio.Task[None]] = set()

    def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = loop.create_task(coroutine)
        tasks.add(task)
        return task

    def fail(error: BaseException) -> None:
        if not done.done():
            done.set_exception(error)

    post = LoopPost(loop, fail)
    links = PeerLinks()
    jobs = [ThreadJobs("serving", post), ThreadJobs("restoring", post)]
    fetcher = None
    if fresh is not None:
        workshop = Workshop(shelf, fresh, make_genesis(), REGISTRY)
        fetcher = SnapshotFetcher(LoopClock(loop, fail), links, jobs[1], workshop, 1, done.set_result, fail)
    exchange = SnapshotExchange(links, SnapshotDesk(links, jobs[0], shelf), fetcher)
    me = parties[own]
    host, port = me.address.split(":")
    entries = [PeerEntry(NodeId(party.node_id), party.certificate, party.address) for party in parties]
    network = PeerNetwork(
        Identity(me.key_pem, me.certificate), network_id, entries, (host, int(port)), _Handler(exchange), spawn
    )
    links.network = network
    await network.start()
    if fetcher is None:
        print("serving", flush=True)
        await done
    while len(network.connected()) < len(parties) - 1:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.02)
    since, processor = time.perf_counter(), time.process_time()
    assert fetcher is not None
    fetcher.consider(0, 1, None, _give_up(done))
    await done
    took = time.perf_counter() - since, time.process_time() - processor
    await network.stop()
    for each in jobs:
        await asyncio.to_thread(each.stop)
    return took


def _give_up(done: asyncio.Future[int]) -> Callable[[], None]:
    return lambda: done.set_exception(RuntimeError("no snapshot is offered"))
