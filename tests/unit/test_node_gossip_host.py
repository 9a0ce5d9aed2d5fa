"""The host of gossip: what is final goes out, what comes is judged and taken in order, transactions find validators."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ledger.chain import Chain
from ledger.errors import LedgerError
from ledger.state.store import MemoryStore
from node.chain_service import ChainService
from node.gossip_host import FRESH_MS, GossipHost
from node.gossip_payloads import Known, block_payload
from node.gossip_readings import gossip_readings
from node.gossip_take import AHEAD_MAX, GAP_MS, InOrder
from node.ports import InlineWorkers, RegisteredPeer
from p2p.channels import Channel
from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.messages import Payload, encode_message, payload_id
from primitives.finality import FinalityCertificate
from simulation.cluster import seeded_key
from simulation.world import Handle, World
from tests.unit.test_node_chain_service_ranges import GENESIS, NETWORK_ID, certify, extend

KEYS = tuple(seeded_key("validator", index).public_key for index in range(4))


class Clock:
    """node.ports.Clock over a simulated world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ms(self) -> int:
        return self._world.now_ms

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        return self._world.at(delay_ms, callback)


class Ledger:
    """node.ports.ExecutorPort: a chain that answers at once."""

    def __init__(self, heights: int) -> None:
        chain = Chain.open(MemoryStore(), GENESIS)
        extend(chain, heights)
        for height in range(1, heights + 1):
            chain.add_certificate(certify(chain, height))
        self.service = ChainService(chain)
        self.refuse: LedgerError | None = None

    def call(
        self, method: str, arguments: tuple[Any, ...], answer: Callable[[Any, BaseException | None], None]
    ) -> None:
        answer(getattr(self.service, method)(*arguments), None)


class Verifier:
    """node.ports.VerifierPort: what begins with `forged` has a bad signature."""

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        answer([not data.startswith(b"forged") for data in transactions])


class Admitting(Ledger):
    """A ledger that would admit anything."""

    def call(
        self, method: str, arguments: tuple[Any, ...], answer: Callable[[Any, BaseException | None], None]
    ) -> None:
        if method == "admit":
            answer([_Admitted() for _ in arguments[0]], None)
        else:
            super().call(method, arguments, answer)


class _Admitted:
    code, known, signed = "", False, True


class Node:
    """A host with its links and its deciding parts, which only take note."""

    def __init__(self, net: Net, name: str, ledger: Ledger, *, votes: bool) -> None:
        self.name = name
        self.follows_only = not votes
        self.height = 0
        self.shown: list[int] = []
        self.offered: list[bytes] = []
        self.blamed: dict[str, str] = {}
        self.up: set[str] = set()
        self._net = net
        self.host = GossipHost(
            name,
            Clock(net.world),
            self,
            ledger,
            Verifier(),
            InlineWorkers(),
            self,
            GossipConfiguration(),
            random.Random(name),
        )

    # node.gossip_host.GossipLinks

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        assert channel is Channel.GOSSIP
        if node_id not in self.up:
            return False
        self._net.world.at(5, lambda: self._net.nodes[node_id].host.on_payload(self.name, payload))
        return True

    def connected(self) -> Sequence[str]:
        return sorted(self.up)

    def keep(self, node_id: str) -> None:
        self._net.world.at(5, lambda: self._net.link(self.name, node_id))

    def give_back(self, node_id: str) -> None:
        """Links cost nothing here."""

    def misbehaved(self, node_id: str, reason: str) -> None:
        self.blamed[node_id] = reason

    # node.gossip_host.Follower

    def known(self) -> Known:
        return Known(NETWORK_ID, 0, KEYS, self.height)

    def take_certified(
        self, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate, done: Callable[[], None]
    ) -> None:
        self.height += 1
        done()

    def show_certificate(self, certificate: FinalityCertificate) -> None:
        self.shown.append(certificate.height)

    def offer(self, transaction: bytes, done: Callable[[str, bool], None]) -> None:
        self.offered.append(transaction)
        done("", False)


class Net:
    """A validator and some observers."""

    def __init__(self, observers: int, ledger: Ledger) -> None:
        self.world = World(1)
        self.nodes: dict[str, Node] = {"validator": Node(self, "validator", ledger, votes=True)}
        for index in range(observers):
            self.nodes[f"observer-{index}"] = Node(self, f"observer-{index}", ledger, votes=False)
        peers = [
            RegisteredPeer(name, b"", f"{name}:1", "validator" if name == "validator" else "observer")
            for name in self.nodes
        ]
        for node in self.nodes.values():
            node.host.on_registered(peers)
            node.host.start()
        self.world.run(10_000)

    @property
    def observers(self) -> list[Node]:
        return [node for name, node in self.nodes.items() if name != "validator"]

    def link(self, one: str, other: str) -> None:
        if other not in self.nodes[one].up:
            for here, there in ((one, other), (other, one)):
                self.nodes[here].up.add(there)
                self.nodes[here].host.on_peer_connected(there)

    def certify(self, ledger: Ledger, heights: Sequence[int]) -> None:
        """Let the validator hear that blocks are final."""

        class Final:
            def __init__(self, height: int) -> None:
                self.header = ledger.service._chain.header(height)

        self.nodes["validator"].host.on_certified(heights[-1], [Final(height) for height in heights])  # type: ignore[misc]


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Admitting(8)


def test_every_block_that_is_final_reaches_every_observer_in_order(ledger: Ledger) -> None:
    net = Net(6, ledger)
    for height in range(1, 9):
        net.certify(ledger, [height])
        net.world.run(500)
    assert [node.height for node in net.observers] == [8] * 6
    assert all(node.host.fresh for node in net.observers)
    assert all(not node.shown and not node.blamed for node in net.nodes.values())
    net.world.run(FRESH_MS)
    assert not net.observers[0].host.fresh
    readings = {reading.name: reading.value for reading in gossip_readings(net.nodes["validator"].host)}
    assert readings["guildmark_gossip_bytes_sent"]["observer"] > 0  # type: ignore[index]
    assert readings["guildmark_gossip_payload_bytes_sent"]["block"] > 0  # type: ignore[index]


def test_blocks_that_became_final_together_are_all_published(ledger: Ledger) -> None:
    net = Net(3, ledger)
    net.certify(ledger, list(range(1, 9)))
    net.world.run(2_000)
    assert [node.height for node in net.observers] == [8] * 3


def test_who_follows_publishes_nothing_of_its_own(ledger: Ledger) -> None:
    net = Net(2, ledger)
    net.nodes["validator"].follows_only = True
    net.certify(ledger, [1])
    net.world.run(2_000)
    assert [node.height for node in net.observers] == [0, 0]


def test_a_transaction_finds_a_validator_and_a_forged_one_goes_nowhere(ledger: Ledger) -> None:
    net = Net(5, ledger)
    assert net.observers[4].host.spread([b"a transaction"])
    net.world.run(2_000)
    assert net.nodes["validator"].offered == [b"a transaction"]
    assert all(not node.offered for node in net.observers), "whoever does not vote passes it on, and keeps nothing"
    others = net.observers[:4]
    passed_on = [node.host.status().pushed["transaction"] for node in others]
    assert net.observers[4].host.spread([b"forged"])
    net.world.run(1_000)
    assert [node.host.status().pushed["transaction"] for node in others] == passed_on
    assert sum(node.host.status().refusals.get("invalid-payload", 0) for node in others) >= 1


def test_a_block_that_no_quorum_signed_is_neither_taken_nor_passed_on(ledger: Ledger) -> None:
    """N8: whoever makes up a block pays for it, and the true one gets through."""
    net = Net(4, ledger)
    blocks, headers, vouched = ledger.service.blocks(1, 1)
    assert vouched is not None
    two = FinalityCertificate(0, 1, vouched.block_hash, 0, vouched.signatures[:2])
    forged = block_payload(blocks[0], headers, two)
    liar = net.observers[0]
    for victim in [node for node in net.observers[1:] if liar.name in node.host.status().active]:
        lie = Payload(forged.kind, payload_id(forged.kind, forged.body), 1, forged.body, forged.seal)
        victim.host.on_payload(liar.name, encode_message(lie))
        assert victim.host.status().refusals["invalid-payload"] == 1
        assert victim.height == 0
    net.certify(ledger, [1])
    net.world.run(2_000)
    assert [node.height for node in net.observers] == [1] * 4


def test_without_neighbors_nothing_is_spread(ledger: Ledger) -> None:
    assert not Net(0, ledger).nodes["validator"].host.spread([b"a transaction"])


def test_a_clock_that_jumps_neither_stops_gossip_nor_ends_its_neighborhoods(ledger: Ledger) -> None:
    net = Net(3, ledger)
    before = {name: node.host.status().active for name, node in net.nodes.items()}
    net.world.now_ms -= 3_600_000
    for node in net.observers:
        node.host.on_payload("validator", b"\x92\xa8announce\x90")
    assert {name: node.host.status().active for name, node in net.nodes.items()} == before


class Taker:
    """The part of a follower that takes blocks, in turns that a test decides."""

    def __init__(self) -> None:
        self.height = 0
        self.taken: list[bytes] = []
        self.shown: list[int] = []
        self.done: list[Callable[[], None]] = []

    def take_certified(
        self, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate, done: Callable[[], None]
    ) -> None:
        self.taken.append(block)
        self.done.append(done)

    def show_certificate(self, certificate: FinalityCertificate) -> None:
        self.shown.append(certificate.height)

    def go_on(self) -> None:
        self.height += 1
        self.done.pop()()


def certificate(height: int) -> FinalityCertificate:
    return FinalityCertificate(0, height, bytes(32), 0, ())


def test_blocks_are_taken_one_after_the_other_whatever_order_they_come_in() -> None:
    world, taker = World(1), Taker()
    blocks = InOrder(Clock(world), taker)
    for height in (3, 1, 2, 1):
        blocks.take(height, b"%d" % height, (), certificate(height))
    assert taker.taken == [b"1"]
    for _ in range(3):
        taker.go_on()
    assert taker.taken == [b"1", b"2", b"3"]
    blocks.take(2, b"2", (), certificate(2))
    assert len(taker.taken) == 3


def test_a_gap_that_stays_is_left_to_synchronization_and_what_was_kept_follows_it() -> None:
    world, taker = World(1), Taker()
    blocks = InOrder(Clock(world), taker)
    blocks.take(4, b"4", (), certificate(4))
    world.run(GAP_MS - 1)
    assert taker.shown == []
    world.run(1)
    assert taker.shown == [4]
    taker.height = 3  # synchronization came so far
    blocks.take(5, b"5", (), certificate(5))
    taker.go_on()
    assert taker.taken == [b"4", b"5"]


def test_only_so_many_blocks_wait_for_those_before_them() -> None:
    taker = Taker()
    blocks = InOrder(Clock(World(1)), taker)
    for height in range(2, AHEAD_MAX + 20):
        blocks.take(height, bytes(10), (), certificate(height))
    blocks.take(1, b"1", (), certificate(1))
    for _ in range(AHEAD_MAX + 10):
        if taker.done:
            taker.go_on()
    assert taker.height == AHEAD_MAX, "the lowest stay"
