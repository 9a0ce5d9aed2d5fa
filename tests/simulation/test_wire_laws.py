"""The judges at the network know what a node's disk holds, and what anybody can still know of a promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from consensus.messages import Commit
from consensus.pbft.records import SeenPositions, encode_record
from node.journal import DAMAGED_FILE_NAME, FILE_NAME
from simulation.promises import InvariantViolated, Promises

LOST, PEER, LIAR = 0, 1, 3


class Stage:
    """Four nodes, of which the last lies; node 0 promises twice."""

    def __init__(self) -> None:
        self.lives = [1] * 4
        self.promises = Promises(4, {LIAR}, lambda _: range(4), lambda node: (self.lives[node], True))

    def log(self, node: int, data: bytes, *, replaces: bool = False, name: str = FILE_NAME) -> None:
        self.promises.on_durable(node, name, data, replaces)

    def say(self, what: int) -> bytes:
        """Sign a commit for something at position 1, log it, send it; return the payload."""
        mark = bytes([what])
        commit = Commit(0, LOST, 1, 0, 1, mark * 32, mark * 64)
        self.log(LOST, b"commit " + commit.signature)
        payload = b"payload " + mark
        self.promises.note(commit, payload, LOST, LOST)
        return payload

    def hear(self, payload: bytes, *nodes: int) -> None:
        for node in nodes:
            self.promises.on_arrival(node, payload)

    def note_seen(self, *nodes: int, position: int = 1) -> None:
        """Let nodes log with a vote how far they saw node 0 sign, among other things."""
        record = encode_record(SeenPositions(((LOST, position), (2, 70_000))))
        for node in nodes:
            self.log(node, b"what was before" + record + b"a vote")

    def restart(self, *nodes: int) -> None:
        for node in nodes:
            self.lives[node] += 1

    def lose_log(self) -> None:
        self.restart(LOST)
        self.promises.on_lost(LOST)
        self.log(LOST, b"", replaces=True)


def test_a_damaged_log_that_was_put_aside_is_not_the_log() -> None:
    stage = Stage()
    stage.log(0, b"promise")
    stage.log(0, b"an older one", replaces=True, name=DAMAGED_FILE_NAME)
    assert stage.promises.logs[0].holds(b"promise")
    stage.log(0, b"rewritten", replaces=True)
    assert not stage.promises.logs[0].holds(b"promise")


def test_the_judge_reads_in_a_log_how_far_others_were_seen_to_sign() -> None:
    stage = Stage()
    stage.note_seen(PEER, position=3)
    stage.note_seen(PEER, position=300)
    stage.log(PEER, b"\xa4seen and no record")
    assert stage.promises.logs[PEER].seen() == {LOST: 300, 2: 70_000}


def test_a_promise_that_at_most_f_others_can_know_of_may_be_lost_with_its_log() -> None:
    """I5: the gate asks a quorum, which may do without them."""
    stage = Stage()
    stage.hear(stage.say(1), PEER, 2, LIAR)
    stage.note_seen(PEER)
    stage.restart(PEER, 2, LIAR)  # node 2 heard, and the power went before it logged that
    stage.lose_log()
    stage.say(2)
    with pytest.raises(InvariantViolated, match="signed two contents"):
        stage.say(3)  # its log holds the second


def test_what_a_replica_said_after_its_loss_is_no_knowledge_of_what_it_said_before() -> None:
    """I5: positions begin anew with an empty log."""
    stage = Stage()
    stage.say(1)  # heard by nobody
    stage.lose_log()
    later = Commit(0, LOST, 7, 0, 2, bytes(32), bytes(64))
    stage.promises.note(later, b"later", LOST, LOST)
    stage.hear(b"later", PEER, 2)
    stage.note_seen(PEER, 2, position=7)
    stage.say(2)


def test_a_log_that_was_written_anew_excuses_nothing() -> None:
    """I5: it was not lost, and must hold the last position."""
    stage = Stage()
    stage.say(1)
    stage.log(LOST, b"rewritten without it", replaces=True)
    with pytest.raises(InvariantViolated, match="signed two contents"):
        stage.say(2)


def heard_by_two_that_run(stage: Stage, payload: bytes) -> None:
    stage.hear(payload, PEER, 2)


def logged_by_two(stage: Stage, payload: bytes) -> None:
    stage.hear(payload, PEER, 2)
    stage.note_seen(PEER, 2)
    stage.restart(PEER, 2)


def heard_by_one_and_logged_by_another(stage: Stage, payload: bytes) -> None:
    stage.hear(payload, PEER, 2)
    stage.note_seen(PEER, position=4)
    stage.restart(PEER)


@pytest.mark.parametrize("known", [heard_by_two_that_run, logged_by_two, heard_by_one_and_logged_by_another])
def test_a_promise_that_more_than_f_others_can_know_of_is_not_taken_back(known: Callable[[Stage, bytes], None]) -> None:
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
