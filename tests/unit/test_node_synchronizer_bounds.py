"""How much synchronization holds and asks for at once, whoever is there to serve."""

from __future__ import annotations

from functools import lru_cache

import msgspec
import pytest
from ledger_core_kit import Kit, certify
from sync_kit import HEIGHT, SERVER, Laggard, take

from node import chain_service, sync_fetching
from node.chain_service import ChainService
from node.sync_fetching import REQUESTS_MAX
from node.sync_peers import ASKED_OF_PEER_MAX
from node.sync_plan import Plan
from node.wire import BLOCKS_PER_ANSWER_MAX, BlocksAnswer, BlocksRequest

SMALL_BYTES = 4_000
"""Of an answer: some ten of the blocks here."""


@lru_cache(maxsize=1)
def source() -> ChainService:
    """The same chain with a certificate of every block: no answer needs headers beside its blocks."""
    chain = Kit().chain
    while chain.height < HEIGHT:
        take(ChainService(chain), *SERVER.blocks(chain.height + 1, HEIGHT))
    for height in range(1, HEIGHT):
        chain.add_certificate(certify(chain, height))
    return ChainService(chain)


def certified_everywhere(request: BlocksRequest) -> BlocksAnswer:
    return BlocksAnswer(request.request, *msgspec.structs.astuple(source().serve(request.first, request.last)))


@pytest.mark.parametrize("peers", [1, 3, 12])
def test_what_is_held_for_a_ledger_that_does_not_come_along_is_bounded(
    peers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I13"""
    bound = 5 * SMALL_BYTES
    monkeypatch.setattr(chain_service, "ANSWER_BYTES_MAX", SMALL_BYTES)
    monkeypatch.setattr(sync_fetching, "ANSWER_BYTES_MAX", SMALL_BYTES)
    monkeypatch.setattr(sync_fetching, "BUFFERED_BYTES_MAX", bound)
    node = Laggard(*(f"peer-{index}" for index in range(peers)))
    node.executor.held = True
    node.need()
    for _ in range(100):
        waiting = node.requests()[node.answered :]
        reserved = len(waiting) * SMALL_BYTES
        assert node.synchronizer.progress().buffered_bytes + reserved <= bound
        if not waiting:
            break
        node.answered += 1
        node.answer(*waiting[0])
    assert node.synchronizer.progress().buffered_bytes > 0
    assert node.kit.chain.height == 0
    node.executor.held = False
    node.executor.go_on()
    node.run(dict.fromkeys(node.links.peers, certified_everywhere))
    assert node.heights == list(range(1, HEIGHT + 1))
    assert node.synchronizer.progress().buffered_bytes == 0


def test_ranges_of_small_blocks_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """I13"""
    monkeypatch.setattr(sync_fetching, "BUFFERED_RANGES_MAX", 2)
    node = Laggard("a", "b", "c")
    node.executor.held = True
    node.need()
    assert len(node.requests()) == 2
    for peer, request in node.requests():
        node.answer(peer, request)
    assert len(node.requests()) == 2
    node.answered = 2
    node.executor.held = False
    node.executor.go_on()
    node.run({})
    assert node.kit.chain.height == HEIGHT


def test_one_peer_has_few_requests_and_all_together_have_not_many() -> None:
    """I13, N8: a correct peer drops what is more than it serves at once."""
    node = Laggard(*(f"peer-{index:02}" for index in range(40)))
    node.synchronizer.fetching._span = 1
    node.need()
    assert len(node.requests()) == REQUESTS_MAX
    while node.synchronizer.target_height is not None:
        waiting = [peer for peer, _ in node.requests()[node.answered :]]
        assert len(waiting) <= REQUESTS_MAX
        assert max(waiting.count(peer) for peer in waiting) <= ASKED_OF_PEER_MAX
        node.answered += 1
        node.answer(*node.requests()[node.answered - 1])
    assert node.kit.chain.height == HEIGHT


def test_a_new_peer_gets_one_request_and_one_that_served_well_two() -> None:
    node = Laggard("a")
    node.synchronizer.fetching._span = 8
    node.need()
    assert len(node.requests()) == 1
    node.answer(*node.requests()[0])
    assert len(node.requests()) == 1 + ASKED_OF_PEER_MAX
    node.clock.advance(3_500)
    assert len(node.requests()[3:]) <= 1, "after silence one again"


def test_a_plan_takes_what_came_back_before_anything_higher() -> None:
    plan = Plan()
    assert plan.first(0, 100) == 1
    assert [plan.take(0, 100, 30) for _ in range(4)] == [(1, 30), (31, 60), (61, 90), (91, 100)]
    assert plan.first(0, 100) is None
    plan.give_back(61, 90)
    plan.give_back(31, 60)
    plan.give_back(5, 4)
    assert [plan.take(0, 100, 20) for _ in range(4)] == [(31, 50), (51, 60), (61, 80), (81, 90)]
    plan.give_back(31, 50)
    assert plan.first(40, 100) == 41, "what was executed meanwhile is not asked for"
    assert plan.first(50, 120) == 101
    plan.restart()
    assert plan.take(50, 120, BLOCKS_PER_ANSWER_MAX) == (51, 51 + BLOCKS_PER_ANSWER_MAX - 1)
