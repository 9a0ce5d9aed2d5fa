"""Synchronization against peers that lie, stay silent, waste time or vanish."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ledger_core_kit import Put, certify
from sync_kit import (
    HEIGHT,
    LIES,
    SERVER,
    SOURCE,
    USELESS,
    Laggard,
    changed,
    garbage,
    honest,
    pruned,
    silent,
    take,
    tampered_body,
)

from ledger.errors import LedgerError
from node.block_ranges import Trust
from node.chain_service import BlockResult, BlocksTaken, ChainService
from node.ports import InlineWorkers
from node.sync_fetching import ASKED_ELSEWHERE_MS
from node.sync_peers import ANSWER_TIMEOUT_MS, RETRY_MS
from node.synchronizer import SyncHost, Synchronizer
from node.wire import BLOCKS_PER_ANSWER_MAX, BlocksAnswer
from primitives.finality import FinalityCertificate


def test_an_honest_peer_brings_it_to_the_head() -> None:
    node = Laggard("a")
    node.need()
    node.run({})
    assert node.heights == list(range(1, HEIGHT + 1))
    assert node.kit.chain.head_hash == SOURCE.chain.head_hash
    assert node.kit.chain.certified_height == HEIGHT
    assert node.events[-1].certificate.height == HEIGHT
    assert len({pair for event in node.events for pair in event.executed_batches}) == HEIGHT
    assert node.clock.timers == 0


@pytest.mark.parametrize("conduct", USELESS)
def test_a_peer_that_serves_nothing_of_use_does_not_hold_it_up(conduct: Any) -> None:
    """L13: the bad peer is asked first, and named as the holder."""
    node = Laggard("a-bad", "b-good")
    node.need(holders=["a-bad"])
    node.run({"a-bad": conduct})
    assert node.heights == list(range(1, HEIGHT + 1))
    assert len(node.requests("a-bad")) <= 2
    assert node.accused == ({"a-bad"} if conduct in LIES else set())


@pytest.mark.parametrize("conduct", USELESS)
def test_among_three_the_bad_one_costs_nobody_else(conduct: Any) -> None:
    """L13: the others serve what it was asked for, and what they serve counts."""
    node = Laggard("a-bad", "b-good", "c-good")
    node.need(holders=["a-bad", "b-good", "c-good"])
    node.run({"a-bad": conduct})
    assert node.heights == list(range(1, HEIGHT + 1))
    assert node.accused <= {"a-bad"}
    assert len({pair for event in node.events for pair in event.executed_batches}) == HEIGHT


@pytest.mark.parametrize("conduct", USELESS)
def test_a_useless_peer_alone_is_asked_at_a_measured_pace(conduct: Any) -> None:
    """L13: no answer of a peer makes this node ask again at once."""
    node = Laggard("a-bad")
    node.need()
    with pytest.raises(AssertionError, match="not synchronized"):
        node.run({"a-bad": conduct}, turns=60)
    assert node.requests("a-bad")
    assert len(node.requests("a-bad")) <= 31
    before = len(node.links.sent)
    for _ in range(100):
        node.need()
    assert len(node.links.sent) - before <= 1


def test_a_liar_stays_last_even_after_it_served_well() -> None:
    node = Laggard("a-bad", "b-good")
    node.need(holders=["a-bad"])
    peer, request = node.requests("a-bad")[0]
    node.answer(peer, request, garbage)
    node.links.peers.remove("b-good")
    node.synchronizer.on_peer_disconnected("b-good")
    node.clock.advance(RETRY_MS)
    node.answer(*node.requests("a-bad")[-1])
    assert node.kit.chain.height > 0
    node.links.peers.append("b-good")
    served_by_liar = len(node.requests("a-bad"))
    node.answered = len(node.links.sent)
    node.synchronizer.on_peer_disconnected("a-bad")
    node.run({})
    assert len(node.requests("a-bad")) == served_by_liar


def test_an_answer_that_nobody_asked_for_is_nothing() -> None:
    node = Laggard("a", "b")
    node.need(holders=["a"])
    peer, request = node.requests("a")[0]
    node.answer("b", request)
    node.synchronizer.on_answer(peer, changed(honest(request), request=request.request + 100))
    assert node.kit.chain.height == 0
    node.answer(peer, request)
    assert node.kit.chain.height == BLOCKS_PER_ANSWER_MAX
    node.answer(peer, request)
    assert node.heights == list(range(1, BLOCKS_PER_ANSWER_MAX + 1))


def test_others_are_asked_at_once_when_the_asked_one_vanishes() -> None:
    """N1"""
    node = Laggard("a", "b", "c")
    node.need(holders=["a"])
    lost = node.requests("a")[0][1]
    node.answer(*node.requests("b")[0])
    node.links.peers.remove("a")
    node.synchronizer.on_peer_disconnected("a")
    assert [request.first for _, request in node.requests("b")[1:]] == [lost.first]
    node.answered = 2
    node.run({})
    assert node.heights == list(range(1, HEIGHT + 1))


def test_a_slow_link_is_asked_for_less_and_given_more_time() -> None:
    """L6: 400 ms a block are 25 s for a full answer, which nobody waits for."""
    node = Laggard("a")
    node.need()
    answered = 0
    for _ in range(200):
        if node.synchronizer.target_height is None:
            break
        if len(node.links.sent) == answered:
            node.clock.advance(RETRY_MS)
            continue
        peer, request = node.requests()[answered]
        answered += 1
        answer = honest(request)
        node.clock.advance(400 * len(answer.blocks))
        node.synchronizer.on_answer(peer, answer)
    assert node.kit.chain.height == HEIGHT
    assert len(node.links.sent) < 60


def test_a_peer_that_answers_in_the_last_moment_does_not_set_the_pace() -> None:
    """L13: what everything waits for is asked for elsewhere, long before the slow peer's time is over."""
    node = Laggard("a-slow", "b", "c")
    node.need(holders=["a-slow"])
    first = node.requests("a-slow")[0][1]
    assert first.first == 1
    for peer in ("b", "c"):
        node.answer(*node.requests(peer)[0])
    assert node.kit.chain.height == 0
    node.clock.advance(ASKED_ELSEWHERE_MS + RETRY_MS)
    again = [(peer, request) for peer, request in node.requests() if request.first == 1 and peer != "a-slow"]
    assert [request.last for _, request in again] == [first.last]
    node.answer(*again[0])
    assert node.kit.chain.height > first.last
    node.answer("a-slow", first)
    assert (node.kit.chain.height, node.accused) == (HEIGHT, set())
    assert node.heights == list(range(1, HEIGHT + 1))


def test_without_any_peer_it_waits_for_one() -> None:
    node = Laggard()
    node.need()
    node.clock.advance(10 * RETRY_MS)
    node.links.peers.append("a")
    node.clock.advance(RETRY_MS)
    node.run({})
    assert node.kit.chain.height == HEIGHT


def test_nobody_is_asked_for_blocks_that_it_says_it_has_dropped() -> None:
    """A node that all its peers have left behind says what it needs, and goes on when somebody has it after all."""
    node = Laggard("a", "b")
    node.need()
    with pytest.raises(AssertionError, match="not synchronized"):
        node.run({"a": pruned, "b": pruned}, turns=100)
    assert len(node.links.sent) == 2
    assert (node.too_far_behind, node.accused) == ([HEIGHT], set())
    said = node.synchronizer.progress()
    assert said.needs_snapshot == HEIGHT
    assert any("needs a snapshot" in sentence for sentence in said.sentences())
    node.links.peers.append("archive")
    node.clock.advance(RETRY_MS)
    node.run({})
    assert node.heights == list(range(1, HEIGHT + 1))
    assert node.synchronizer.progress().needs_snapshot is None


def test_one_silent_peer_does_not_hide_that_nobody_has_the_next_block() -> None:
    """R5: all others have pruned it; the node waits a while for the silent one, and then needs a snapshot."""
    node = Laggard("a", "b", "mute")
    node.need()
    with pytest.raises(AssertionError, match="not synchronized"):
        node.run({"a": pruned, "b": pruned, "mute": silent}, turns=150)
    assert node.too_far_behind
    assert set(node.too_far_behind) == {HEIGHT}
    assert node.synchronizer.progress().needs_snapshot == HEIGHT


def test_it_ends_when_the_node_got_there_by_itself() -> None:
    """S15: blocks that were decided here meanwhile execute once."""
    node = Laggard("a")
    node.need(3)
    peer, request = node.asked()
    take(ChainService(node.kit.chain), *SERVER.blocks(1, 3))
    assert node.synchronizer.target_height is None
    node.answer(peer, request)
    node.clock.advance(ANSWER_TIMEOUT_MS + RETRY_MS)
    assert len(node.links.sent) == 1
    assert (node.results, node.clock.timers) == ([], 0)


def test_a_busy_ledger_is_no_peers_fault() -> None:
    node = Laggard("a", "b")

    class Busy:
        def take_blocks(self, *_: Any) -> BlocksTaken:
            raise LedgerError("executor.busy", "too many requests")

    service, node.executor.service = node.executor.service, Busy()
    node.need(holders=["a"])
    node.answer(*node.requests("a")[0])
    assert (node.links.complaints, node.kit.chain.height) == ([], 0)
    node.executor.service = service
    asked = len(node.links.sent)
    node.clock.advance(RETRY_MS)
    assert node.kit.chain.height == BLOCKS_PER_ANSWER_MAX
    assert [request.first for _, request in node.requests()[asked:]].count(1) == 0


def test_a_certified_history_that_is_not_ours_is_our_own_fault() -> None:
    """S13: the peer is right, and this node's chain is wrong."""
    node = Laggard("a")
    node.kit.execute(node.kit.transaction(Put(b"another", 1)))
    node.need()
    node.answer(*node.asked())
    assert [error.code for error in node.diverged] == ["sync.diverged"]
    assert node.links.complaints == []


def test_after_a_stop_nothing_is_asked_or_taken() -> None:
    node = Laggard("a")
    node.executor.held = True
    node.need()
    node.answer(*node.asked())
    asked = len(node.links.sent)
    node.synchronizer.stop()
    node.executor.go_on()
    node.clock.advance(10 * ANSWER_TIMEOUT_MS)
    node.need()
    assert (node.results, node.events, len(node.links.sent), node.clock.timers) == ([], [], asked, 0)


@pytest.mark.parametrize("first", [0, 1])
def test_blocks_below_the_first_are_no_trap(first: int) -> None:
    """N11: block 0 has a certificate as little as a parent."""
    blocks, headers, certificate = SERVER.blocks(first, 10)
    taken = take(ChainService(Laggard().kit.chain), blocks, headers, certificate)
    assert len(taken.results) == len(blocks) - (first == 0)


def test_a_certificate_of_a_stranger_moves_nothing() -> None:
    node = Laggard("a")
    certificate = certify(SOURCE.chain, 5, signers=(0,))
    service = ChainService(node.kit.chain)
    taken = take(service, SERVER.blocks(1, 5)[0], [], certificate)
    assert (taken.results, taken.refusal is not None and taken.refusal.code) == ((), "sync.certificate")
    unknown = FinalityCertificate(9, certificate.height, certificate.block_hash, 0, certificate.signatures)
    assert take(service, SERVER.blocks(1, 5)[0], [], unknown).results == ()


def test_batches_of_an_ended_epoch_are_not_taken_for_those_of_the_next() -> None:
    """G3: the node went on by decisions before it came to a certificate, and synchronizes again in the next epoch."""
    node = Laggard("a")
    state = {"height": 0}
    synchronizer = Synchronizer(
        node.clock,
        node.links,
        node.executor,
        InlineWorkers(),
        SyncHost(
            height=lambda: state["height"],
            trust=lambda: Trust(b"", 0, ()),
            on_blocks=lambda results: state.update(height=results[-1].block.header.height),
            on_reached=node.events.append,
            on_diverged=node.diverged.append,
        ),
    )
    taken = [(0, 10, (2, 1)), None, (1, 30, (3, 1))]

    def block(height: int) -> Any:
        return SimpleNamespace(block=SimpleNamespace(header=SimpleNamespace(height=height)), size_bytes=1)

    class Service:
        def take_blocks(self, *_: Any) -> BlocksTaken:
            if (result := taken.pop(0)) is None:
                raise LedgerError("executor.busy", "too many requests")
            epoch, height, pair = result
            header: Any = SimpleNamespace(header=SimpleNamespace(epoch=epoch, height=height), transactions_executed=0)
            return BlocksTaken((BlockResult(header, 0, (pair,)),))

    class Checked:
        """Workers that find every answer right."""

        def run(self, _job: Any, answer: Any, _size_bytes: int) -> None:
            request = node.asked()[1]
            blocks = tuple(block(height) for height in range(request.first, request.last + 1))
            answer(
                SimpleNamespace(
                    blocks=blocks, first=request.first, last=request.last, certificate=certificate, size_bytes=1
                ),
                None,
            )

    node.executor.service = Service()
    synchronizer.fetching._workers = Checked()
    for height, reached in ((12, 20), (30, 30)):
        certificate = certify(SOURCE.chain, height)
        synchronizer.need(certificate, ())
        synchronizer.on_answer("a", BlocksAnswer(node.asked()[1].request, (b"",), (), certificate, 0, HEIGHT))
        if height == 12:
            assert (state["height"], node.events) == (10, [])
            state["height"] = reached  # by decisions: the epoch ended meanwhile
            node.clock.advance(RETRY_MS)
    assert [event.executed_batches for event in node.events] == [((3, 1),)]


def test_silence_is_remembered_and_not_named() -> None:
    node = Laggard("a", "b")
    node.need(holders=["a"])
    node.run({"a": silent})
    assert node.kit.chain.height == HEIGHT
    assert node.accused == set()


def test_one_wrong_body_spoils_its_answer_and_nothing_is_executed_of_it() -> None:
    """L13: what a liar serves is refused before it costs the ledger anything."""
    node = Laggard("a")
    node.need()
    node.answer(*node.asked(), tampered_body)
    assert (node.kit.chain.height, [method for method, _ in node.executor.calls]) == (0, [])
