"""The judges at the network know what a node's disk holds, and what anybody can still know of a promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.messages import Commit
from node.journal import DAMAGED_FILE_NAME, FILE_NAME
from simulation.promises import InvariantViolated, Promises

LOST, PEER, LIAR = 0, 1, 3


class Stage:
    """Four nodes, of which the last lies; node 0 promises twice."""

    def __init__(self) -> None:
        self.lives = [1] * 4
        self.promises = Promises(4, {LIAR}, lambda node: (self.lives[node], True))

    def log(self, node: int, data: bytes, *, replaces: bool = False, name: str = FILE_NAME) -> None:
        self.promises.on_durable(node, name, data, replaces)

    def restart(self, node: int) -> None:
        self.lives[node] += 1

    def say(self, what: int) -> bytes:
        """Sign a commit for something, log it, send it; return the payload."""
        mark = bytes([what])
        commit = Commit(0, LOST, 1, 0, 1, mark * 32, mark * 64)
        self.log(LOST, b"commit " + commit.signature)
        payload = b"payload " + mark
        self.promises.note(commit, payload, LOST, LOST)
        return payload

    def lose_log(self) -> None:
        self.restart(LOST)
        self.log(LOST, b"", replaces=True)


def test_a_damaged_log_that_was_put_aside_is_not_the_log() -> None:
    stage = Stage()
    stage.log(0, b"promise")
    stage.log(0, b"an older one", replaces=True, name=DAMAGED_FILE_NAME)
    assert stage.promises.logs[0].holds(b"promise")
    stage.log(0, b"rewritten", replaces=True)
    assert not stage.promises.logs[0].holds(b"promise")


def test_a_promise_of_which_nothing_is_left_binds_nobody() -> None:
    """I5: it reached nobody, or only a node that crashed before its disk held more."""
    stage = Stage()
    payload = stage.say(1)
    stage.promises.on_arrival(PEER, payload)
    stage.restart(PEER)
    stage.log(PEER, b"another life")
    stage.lose_log()
    stage.say(2)
    with pytest.raises(InvariantViolated, match="signed two contents"):
        stage.say(3)  # its log holds the second
    with pytest.raises(InvariantViolated, match="arrived after"):
        stage.promises.on_arrival(2, payload)


def heard_by_one_that_runs(stage: Stage, payload: bytes) -> None:
    stage.promises.on_arrival(PEER, payload)


def logged_by_one(stage: Stage, payload: bytes) -> None:
    stage.promises.on_arrival(PEER, payload)
    stage.log(PEER, b"a vote, and how far it saw the others sign")
    stage.restart(PEER)


def survived_in_the_torn_end_of_a_log(stage: Stage, payload: bytes) -> None:
    stage.log(PEER, b"begun")
    stage.promises.on_arrival(PEER, payload)
    stage.restart(PEER)
    stage.log(PEER, b"begun, and some of what was not synced", replaces=True)


def heard_by_a_liar(stage: Stage, payload: bytes) -> None:
    stage.promises.on_arrival(LIAR, payload)
    stage.restart(LIAR)


@pytest.mark.parametrize(
    "known", [heard_by_one_that_runs, logged_by_one, survived_in_the_torn_end_of_a_log, heard_by_a_liar]
)
def test_a_promise_that_somebody_can_know_of_is_not_taken_back(known: Callable[[Stage, bytes], None]) -> None:
    """I5, R5."""
    stage = Stage()
    known(stage, stage.say(1))
    stage.lose_log()
    with pytest.raises(InvariantViolated, match="signed two contents"):
        stage.say(2)


def test_a_promise_in_the_log_is_not_taken_back() -> None:
    """I5."""
    stage = Stage()
    stage.say(1)
    with pytest.raises(InvariantViolated, match="signed two contents"):
        stage.say(2)
