"""Serving blocks: certified ones only, in bounded answers, to peers that cannot exhaust the ledger."""

from __future__ import annotations

import msgspec
import pytest
from node_core_kit import Executor, Links
from sync_kit import HEIGHT, SERVER, served

from node.block_server import SERVED_AT_ONCE_MAX, BlockServer
from node.wire import BLOCKS_PER_ANSWER_MAX, BlocksAnswer, BlocksRequest, decode_sync


class Desk:
    def __init__(self) -> None:
        self.links, self.executor = Links("a", "b"), Executor(SERVER)
        self.server = BlockServer(self.links, self.executor)

    def answers(self) -> list[BlocksAnswer]:
        found = [decode_sync(payload) for _, _, payload in self.links.sent]
        assert all(isinstance(answer, BlocksAnswer) for answer in found)
        return found  # type: ignore[return-value]  # the line above


def test_a_request_is_answered_with_what_the_ledger_has() -> None:
    desk = Desk()
    desk.server.serve("a", BlocksRequest(7, 3, 5))
    assert desk.answers() == [BlocksAnswer(7, *msgspec.structs.astuple(SERVER.serve(3, 5)))]
    assert len(desk.answers()[0].blocks) == 3
    assert (desk.answers()[0].oldest, desk.answers()[0].newest) == (0, HEIGHT)


def test_a_peers_requests_wait_in_bounded_number() -> None:
    """N8"""
    desk = Desk()
    desk.executor.held = True
    for number in range(20):
        desk.server.serve("a", BlocksRequest(number, 1, 5))
    desk.server.serve("b", BlocksRequest(1, 1, 5))
    desk.server.serve("b", BlocksRequest(2, 5, 1))
    assert len(desk.executor.calls) == SERVED_AT_ONCE_MAX + 1
    desk.executor.go_on()
    desk.server.serve("a", BlocksRequest(21, 1, 5))
    assert len(desk.executor.calls) == SERVED_AT_ONCE_MAX + 2


def test_after_a_stop_nobody_is_answered() -> None:
    desk = Desk()
    desk.executor.held = True
    desk.server.serve("a", BlocksRequest(1, 1, 5))
    desk.server.stop()
    desk.executor.go_on()
    desk.server.serve("a", BlocksRequest(2, 1, 5))
    assert (desk.links.sent, len(desk.executor.calls)) == ([], 1)


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
