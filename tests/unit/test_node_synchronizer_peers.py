"""Synchronization against peers that lie, stay silent, waste time or vanish, and serving without being exhausted."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from ledger_core_kit import Kit, Put, certify
from node_core_kit import Clock, Executor, Links

from consensus.engine import Synchronized
from ledger.block import decode_block
from ledger.errors import InvalidBlock, LedgerError
from node.chain_service import BlockResult, BlocksTaken, ChainService
from node.synchronizer import ANSWER_TIMEOUT_MS, RETRY_MS, SERVED_AT_ONCE_MAX, Synchronizer
from node.wire import BLOCKS_PER_ANSWER_MAX, BlocksAnswer, BlocksRequest, decode_sync
from p2p.channels import Channel
from primitives.codec import encode
from primitives.finality import FinalityCertificate

HEIGHT = 150
"""More than two answers."""


def make_source(height: int = HEIGHT) -> Kit:
    kit = Kit()
    for number in range(height):
        kit.execute(kit.transaction(Put(b"key-%d" % (number % 7), number)))
    kit.chain.add_certificate(certify(kit.chain, height))
    return kit


SOURCE = make_source()
SERVER = ChainService(SOURCE.chain)


class Laggard:
    """An empty node's synchronizer, its ledger, and peers whose conduct a test decides."""

    def __init__(self, *peers: str) -> None:
        self.kit = Kit()
        self.clock, self.links = Clock(), Links(*peers)
        self.executor = Executor(ChainService(self.kit.chain))
        self.results: list[BlockResult] = []
        self.events: list[Synchronized] = []
        self.diverged: list[InvalidBlock] = []
        self.synchronizer = Synchronizer(
            self.clock,
            self.links,
            self.executor,
            self.results.extend,
            self.events.append,
            self.diverged.append,
            lambda: self.kit.chain.height,
        )

    def need(self, height: int = HEIGHT, holders: Sequence[str] = ()) -> None:
        self.synchronizer.need(certify(SOURCE.chain, height), holders)

    def asked(self) -> tuple[str, BlocksRequest]:
        peer, channel, payload = self.links.sent[-1]
        request = decode_sync(payload)
        assert channel is Channel.SYNC
        assert isinstance(request, BlocksRequest)
        return peer, request

    def answer(self, peer: str, request: BlocksRequest, **changes: Any) -> None:
        self.synchronizer.on_answer(peer, msgspec.structs.replace(honest(request), **changes))

    def run(self, conduct: dict[str, Any], turns: int = 200) -> None:
        """Let peers answer as they do (None: not at all) until nothing is to be reached any more."""
        seen = 0
        for _ in range(turns):
            if self.synchronizer.target_height is None:
                return
            if len(self.links.sent) > seen:
                seen = len(self.links.sent)
                peer, request = self.asked()
                made = conduct.get(peer, honest)(request)
                if made is not None:
                    self.synchronizer.on_answer(peer, made)
            else:
                self.clock.advance(RETRY_MS)
        raise AssertionError(f"not synchronized: height {self.kit.chain.height}, asked {len(self.links.sent)} times")

    def requests_to(self, peer: str) -> int:
        return sum(node == peer for node, _, _ in self.links.sent)


def served(number: int, first: int, last: int) -> BlocksAnswer:
    blocks, headers, certificate = SERVER.blocks(first, last)
    return BlocksAnswer(number, tuple(blocks), tuple(headers), certificate)


def honest(request: BlocksRequest) -> BlocksAnswer:
    return served(request.request, request.first, request.last)


def silent(_: BlocksRequest) -> None:
    return None


def empty(request: BlocksRequest) -> BlocksAnswer:
    return BlocksAnswer(request.request, (), (), None)


def old_blocks(request: BlocksRequest) -> BlocksAnswer:
    """True blocks, certificate and all, which everyone has had long since."""
    answer = served(request.request, 1, 1)
    return msgspec.structs.replace(answer, headers=(), certificate=certify(SOURCE.chain, 1))


def gap(request: BlocksRequest) -> BlocksAnswer:
    return served(request.request, request.first + 1, request.last + 1)


def tampered_body(request: BlocksRequest) -> BlocksAnswer:
    """Right headers, but the last block's transactions are left out."""
    answer = honest(request)
    block = decode_block(answer.blocks[-1])
    forged = encode(msgspec.structs.replace(block, batches=()))
    return msgspec.structs.replace(answer, blocks=(*answer.blocks[:-1], forged))


def forged_certificate(request: BlocksRequest) -> BlocksAnswer:
    answer = honest(request)
    assert answer.certificate is not None
    signatures = tuple((index, bytes(64)) for index, _ in answer.certificate.signatures)
    return msgspec.structs.replace(
        answer, certificate=msgspec.structs.replace(answer.certificate, signatures=signatures)
    )


def garbage(request: BlocksRequest) -> BlocksAnswer:
    return msgspec.structs.replace(honest(request), blocks=(b"no block",))


def test_an_honest_peer_brings_it_to_the_head() -> None:
    node = Laggard("a")
    node.need()
    node.run({})
    assert [result.block.header.height for result in node.results] == list(range(1, HEIGHT + 1))
    assert node.kit.chain.head_hash == SOURCE.chain.head_hash
    assert node.kit.chain.certified_height == HEIGHT
    assert node.events[-1].certificate.height == HEIGHT
    assert len({pair for event in node.events for pair in event.executed_batches}) == HEIGHT


LIES = [gap, tampered_body, forged_certificate, garbage]


@pytest.mark.parametrize("conduct", [silent, empty, old_blocks, *LIES])
def test_a_peer_that_serves_nothing_of_use_does_not_hold_it_up(conduct: Any) -> None:
    """L13: the bad peer is asked first, and named as the holder."""
    node = Laggard("a-bad", "b-good")
    node.need(holders=["a-bad"])
    node.run({"a-bad": conduct})
    assert node.kit.chain.height == HEIGHT
    assert node.requests_to("a-bad") <= 2
    assert bool(node.links.complaints) == (conduct in LIES)


@pytest.mark.parametrize("conduct", [silent, empty, old_blocks, *LIES])
def test_a_useless_peer_alone_is_asked_at_a_measured_pace(conduct: Any) -> None:
    """L13: no answer of a peer makes this node ask again at once."""
    node = Laggard("a-bad")
    node.need()
    with pytest.raises(AssertionError, match="not synchronized"):
        node.run({"a-bad": conduct}, turns=60)
    assert node.requests_to("a-bad") <= 31
    before = len(node.links.sent)
    for _ in range(100):
        node.need()
    assert len(node.links.sent) - before <= 1


def test_a_liars_good_blocks_are_executed_and_noticed() -> None:
    """L13: what it served before the forged block is the chain's; nobody may wait for it in vain."""
    node = Laggard("a-bad", "b-good")
    node.need(holders=["a-bad"])
    node.run({"a-bad": tampered_body})
    assert [result.block.header.height for result in node.results] == list(range(1, HEIGHT + 1))
    assert len({pair for event in node.events for pair in event.executed_batches}) == HEIGHT


def test_a_liar_stays_last_even_after_it_served_well() -> None:
    node = Laggard("a-bad", "b-good")
    node.need(holders=["a-bad"])
    peer, request = node.asked()
    node.synchronizer.on_answer(peer, garbage(request))
    node.links.peers.remove("b-good")
    node.clock.advance(RETRY_MS)
    node.synchronizer.on_answer(*(lambda asked: (asked[0], honest(asked[1])))(node.asked()))
    node.links.peers.append("b-good")
    peer, request = node.asked()
    node.synchronizer.on_answer(peer, honest(request))
    node.run({})
    assert node.links.sent[-1][0] == "b-good"


def test_an_answer_that_nobody_asked_for_is_nothing() -> None:
    node = Laggard("a", "b")
    node.need(holders=["a"])
    peer, request = node.asked()
    node.synchronizer.on_answer("b", honest(request))
    node.synchronizer.on_answer(peer, msgspec.structs.replace(honest(request), request=request.request + 1))
    assert node.kit.chain.height == 0
    node.synchronizer.on_answer(peer, honest(request))
    assert node.kit.chain.height == BLOCKS_PER_ANSWER_MAX


def test_the_next_peer_is_asked_when_the_asked_one_vanishes() -> None:
    """N1"""
    node = Laggard("a", "b")
    node.need(holders=["a"])
    assert node.asked()[0] == "a"
    node.links.peers.remove("a")
    node.synchronizer.on_peer_disconnected("a")
    node.clock.advance(RETRY_MS)
    assert node.asked()[0] == "b"


def test_a_slow_link_is_asked_for_less_and_given_more_time() -> None:
    """L6: 400 ms a block are 25 s for a full answer, which nobody waits for."""
    node = Laggard("a")
    node.need()
    for _ in range(100):
        if node.synchronizer.target_height is None:
            break
        asked = len(node.links.sent)
        peer, request = node.asked()
        answer = honest(request)
        node.clock.advance(400 * len(answer.blocks))
        node.synchronizer.on_answer(peer, answer)
        if len(node.links.sent) == asked:
            node.clock.advance(RETRY_MS)
    assert node.kit.chain.height == HEIGHT
    assert len(node.links.sent) < 40


def test_without_any_peer_it_waits_for_one() -> None:
    node = Laggard()
    node.need()
    node.clock.advance(10 * RETRY_MS)
    node.links.peers.append("a")
    node.clock.advance(RETRY_MS)
    node.run({})
    assert node.kit.chain.height == HEIGHT


def test_a_target_moves_up_and_never_down() -> None:
    node = Laggard("a")
    node.need(100)
    node.need(HEIGHT)
    node.need(120)
    assert node.synchronizer.target_height == HEIGHT
    node.run({})
    assert node.kit.chain.height == HEIGHT


def test_it_ends_when_the_node_got_there_by_itself() -> None:
    """S15: blocks that were decided here meanwhile execute once."""
    node = Laggard("a")
    node.need(3)
    peer, request = node.asked()
    blocks, headers, certificate = SERVER.blocks(1, 3)
    assert certificate is not None
    ChainService(node.kit.chain).take_blocks(blocks, headers, certificate)
    assert node.synchronizer.target_height is None
    node.synchronizer.on_answer(peer, honest(request))
    node.clock.advance(ANSWER_TIMEOUT_MS + RETRY_MS)
    assert len(node.links.sent) == 1
    assert node.results == []


def test_a_busy_ledger_is_no_peers_fault() -> None:
    node = Laggard("a", "b")

    class Busy:
        def take_blocks(self, *_: Any) -> BlocksTaken:
            raise LedgerError("executor.busy", "too many requests")

    service, node.executor.service = node.executor.service, Busy()
    node.need(holders=["a"])
    node.synchronizer.on_answer(*(lambda asked: (asked[0], honest(asked[1])))(node.asked()))
    assert node.links.complaints == []
    node.executor.service = service
    node.clock.advance(RETRY_MS)
    assert node.asked()[0] == "a"
    node.run({})


def test_a_certified_history_that_is_not_ours_is_our_own_fault() -> None:
    """S13: the peer is right, and this node's chain is wrong."""
    node = Laggard("a")
    node.kit.execute(node.kit.transaction(Put(b"another", 1)))
    node.need()
    node.synchronizer.on_answer(*(lambda asked: (asked[0], honest(asked[1])))(node.asked()))
    assert [error.code for error in node.diverged] == ["sync.diverged"]
    assert node.links.complaints == []


def test_after_a_stop_nothing_is_asked_answered_or_taken() -> None:
    node = Laggard("a")
    node.executor.held = True
    node.need()
    peer, request = node.asked()
    node.synchronizer.serve("a", BlocksRequest(1, 1, 5))
    node.synchronizer.on_answer(peer, honest(request))
    node.synchronizer.stop()
    node.executor.go_on()
    node.clock.advance(10 * ANSWER_TIMEOUT_MS)
    node.need()
    node.synchronizer.serve("a", BlocksRequest(2, 1, 5))
    assert (node.results, node.events, len(node.links.sent), node.clock.timers) == ([], [], 1, 0)


def test_a_peers_requests_wait_in_bounded_number() -> None:
    """N8"""
    node = Laggard("a", "b")
    node.executor.held = True
    for number in range(20):
        node.synchronizer.serve("a", BlocksRequest(number, 1, 5))
    node.synchronizer.serve("b", BlocksRequest(1, 1, 5))
    node.synchronizer.serve("b", BlocksRequest(2, 5, 1))
    assert len(node.executor.calls) == SERVED_AT_ONCE_MAX + 1
    node.executor.go_on()
    node.synchronizer.serve("a", BlocksRequest(21, 1, 5))
    assert len(node.executor.calls) == SERVED_AT_ONCE_MAX + 2


@pytest.mark.parametrize(
    ("first", "last", "heights"),
    [
        (1, 1_000, BLOCKS_PER_ANSWER_MAX),
        (HEIGHT, HEIGHT, 1),
        (HEIGHT + 1, HEIGHT + 5, 0),
        (2**63 - 1, 2**63 - 1, 0),
        (0, 2**63 - 1, BLOCKS_PER_ANSWER_MAX),
    ],
)
def test_what_is_served_is_bounded_and_certified(first: int, last: int, heights: int) -> None:
    """N11"""
    answer = served(1, first, last)
    assert len(answer.blocks) == heights
    assert (answer.certificate is None) == (heights == 0)


@pytest.mark.parametrize("first", [0, 1])
def test_blocks_below_the_first_are_no_trap(first: int) -> None:
    """N11: block 0 has a certificate as little as a parent."""
    node = Laggard("a")
    blocks, headers, certificate = SERVER.blocks(first, 10)
    assert certificate is not None
    taken = ChainService(node.kit.chain).take_blocks(blocks, headers, certificate)
    assert len(taken.results) == len(blocks) - (first == 0)


def test_a_certificate_of_a_stranger_moves_nothing() -> None:
    node = Laggard("a")
    certificate = certify(SOURCE.chain, 5, signers=(0,))
    taken = ChainService(node.kit.chain).take_blocks(SERVER.blocks(1, 5)[0], [], certificate)
    assert (taken.results, taken.refusal is not None and taken.refusal.code) == ((), "sync.certificate")
    unknown = FinalityCertificate(9, certificate.height, certificate.block_hash, 0, certificate.signatures)
    assert ChainService(node.kit.chain).take_blocks(SERVER.blocks(1, 5)[0], [], unknown).results == ()


def test_batches_of_an_ended_epoch_are_not_taken_for_those_of_the_next() -> None:
    """G3: the node went on by decisions before it came to a certificate, and synchronizes again in the next epoch."""
    laggard = Laggard("a")
    state = {"height": 0}
    synchronizer = Synchronizer(
        laggard.clock,
        laggard.links,
        laggard.executor,
        lambda results: state.update(height=results[-1].block.header.height),
        laggard.events.append,
        laggard.diverged.append,
        lambda: state["height"],
    )
    answers = [(0, 10, (2, 1)), (1, 30, (3, 1))]

    class Service:
        def take_blocks(self, *_: Any) -> BlocksTaken:
            epoch, height, pair = answers.pop(0)
            block: Any = SimpleNamespace(header=SimpleNamespace(epoch=epoch, height=height))
            return BlocksTaken((BlockResult(block, 0, (pair,)),))

    laggard.executor.service = Service()
    synchronizer.need(certify(SOURCE.chain, 12), ())
    synchronizer.on_answer("a", BlocksAnswer(1, (b"",), (), certify(SOURCE.chain, 12)))
    assert laggard.events == []
    state["height"] = 20  # by decisions: the epoch ended meanwhile
    laggard.clock.advance(60_000)
    synchronizer.need(certify(SOURCE.chain, 30), ())
    _, request = laggard.asked()
    synchronizer.on_answer("a", BlocksAnswer(request.request, (b"",), (), certify(SOURCE.chain, 30)))
    assert [event.executed_batches for event in laggard.events] == [((3, 1),)]
