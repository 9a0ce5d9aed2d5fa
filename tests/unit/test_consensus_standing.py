"""Whether a started replica may trust its log: it is silent until a quorum says so, or for the whole epoch."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from consensus_kit import (
    Solo,
    batch,
    certificate,
    checkpoint,
    commit,
    of,
    pre_prepare,
    prepare,
    proposal,
    sent,
    signed,
    view_change,
)

from consensus.engine import (
    BatchClosed,
    BatchesReleased,
    BlockExecuted,
    Broadcast,
    Outdated,
    Persist,
    Send,
    TimerExpired,
)
from consensus.messages import BatchRequest, Status
from consensus.pbft.records import AskedForView, LastPosition, SignedCheckpoint, decode_record, encode_record
from consensus.pbft.standing import CLAIM_PERIODS

A = batch(3, 1, b"a")
BLOCK = b"\x01" * 32
LOG = [encode_record(LastPosition(5, 0))]
"""A log that ends at position 5."""
PROMISES = {"batch", "pre-prepare", "prepare", "commit", "view-change", "new-view", "checkpoint"}


def status(replica: int, seen: int = 0, *, position: int = 0, epoch: int = 0, to: int = 1) -> Status:
    """A Status that says: I saw the log position `seen` of yours; mine is `position`."""
    return signed(Status(epoch, replica, 0, 0, 0, None, (), position, seen, to, bytes(64)))


def started(replica_id: int = 1, n: int = 4, **recovered: Any) -> Solo:
    """A replica after a start of its process."""
    settings: dict[str, Any] = {"gated": True, "records": LOG} | recovered
    return Solo(replica_id, n, **settings)


def lost(replica_id: int = 1) -> Solo:
    """A replica whose log is known to be missing."""
    solo = Solo(replica_id, records=LOG)
    solo.replica.distrust_log()
    return solo


def pass_periods(solo: Solo, periods: int) -> None:
    for _ in range(periods):
        solo.expire("status")


def voting(solo: Solo) -> bool:
    return solo.replica.status().voting


def promised(effects: list[Any], own: int = 1) -> list[str]:
    """The kinds of what left in our own name, but for what promises nothing."""
    return [kind for kind in sorted(PROMISES) for message in sent(effects, kind) if message.replica == own]


def broadcast(effects: list[Any], kind: str) -> list[Any]:
    """What was told to everyone; repairs for the sender of a Status are left out."""
    return sent(of(effects, Broadcast), kind)


def provoke(solo: Solo) -> list[Any]:
    """Let everything happen that a replica answers with a promise."""
    fresh = batch(3, 2, b"b")
    effects = solo.receive(A, fresh, pre_prepare(0, 1, proposal(0, A)), prepare(2, 0, 1, proposal(0, A)))
    effects += solo.receive(prepare(3, 0, 1, proposal(0, A)), *(commit(r, 0, 1, proposal(0, A)) for r in (0, 2, 3)))
    effects += solo.step(BatchClosed((b"own",)))
    effects += solo.executed(1, BLOCK)
    effects += solo.receive(*(view_change(replica, 1) for replica in (0, 2, 3)))
    for timer in ("suspicion", "turn", "forward", "new-view", "resend", "heartbeat"):
        effects += solo.step(TimerExpired(timer))
    return effects


# --- the gate opens


@pytest.mark.parametrize(("n", "needed"), [(2, 1), (3, 1), (4, 2), (5, 3), (7, 4), (10, 6)])
def test_a_started_replica_is_silent_until_a_quorum_knows_nothing_above_its_log(n: int, needed: int) -> None:
    """R6: our own Status counts as one of the quorum."""
    solo = started(1, n)
    others = [replica for replica in range(n) if replica != 1]
    for replica in others[: needed - 1]:
        solo.receive(status(replica, seen=5))
    assert not voting(solo)
    assert not solo.replica.proven
    solo.receive(status(others[needed - 1], seen=3))
    assert voting(solo)
    assert solo.replica.proven


def test_alone_in_its_set_a_replica_is_its_own_quorum() -> None:
    solo = started(0, 1)
    assert voting(solo)
    assert of(solo.step(BatchClosed((b"own",))), Persist)


def test_one_voice_counts_once_and_only_its_own() -> None:
    """S8, S9: neither repeated nor forged, neither reflected nor of another epoch."""
    solo = started()
    solo.receive(*[status(0)] * 10)
    solo.receive(signed(msgspec.structs.replace(status(2), signature=bytes(64)), key=3))
    solo.receive(status(1), status(2, epoch=1))
    assert not voting(solo)
    assert solo.refusals == {"bad_signature": 1, "reflected": 1, "other_epoch": 1}
    solo.receive(status(2))
    assert voting(solo)


def test_what_was_said_to_another_opens_nothing_and_silences_nobody() -> None:
    """S9: a liar passes on what honest replicas told it of its own positions."""
    solo = started()
    solo.receive(*(status(replica, to=3) for replica in (0, 2)))
    assert not voting(solo)
    assert of(solo.receive(*(status(replica, seen=99, to=3) for replica in (0, 2))), Outdated) == []
    solo.receive(status(0), status(2))
    assert voting(solo)


def test_nothing_that_promises_leaves_while_the_gate_is_shut() -> None:
    """R6: a vote, a proposal, a batch, a view, a block: each may contradict what the log forgot."""
    solo = started()
    before = len(solo.records)
    effects = provoke(solo)
    assert promised(effects) == []
    assert of(effects, BatchesReleased) == [BatchesReleased((b"own",))]
    assert "suspicion" not in solo.replica.status().running_timers
    kept = {type(record) for record in map(decode_record, solo.records[before:])}
    assert SignedCheckpoint not in kept
    assert AskedForView not in kept


def test_it_says_what_it_waits_for() -> None:
    solo = started()
    assert "waits for the Status of 2 more replicas" in solo.replica.status().silent_because
    solo.receive(status(0))
    assert "waits for the Status of 1 more replicas" in solo.replica.status().silent_because
    solo.receive(status(3, seen=9))
    assert "replicas [3] say that it has signed more" in solo.replica.status().silent_because


def test_while_silent_it_tells_its_own_status() -> None:
    """L12: if all are started together, everyone waits for everyone's Status, and nobody for anything else."""
    solo = started()
    told = sent(solo.expire("status"), "status")
    assert len(told) == 3
    assert {message.last_position for message in told} == {5}


def test_a_proposal_that_waited_is_voted_for_when_the_gate_opens() -> None:
    solo = started()
    solo.receive(A, pre_prepare(0, 1, proposal(0, A)))
    assert promised(solo.receive(status(0))) == []
    effects = solo.receive(status(2))
    assert [message.position for message in broadcast(effects, "prepare")] == [6]


def test_a_block_that_was_executed_in_silence_is_signed_when_the_gate_opens() -> None:
    solo = started()
    solo.executed(1, BLOCK)
    solo.receive(status(0))
    effects = solo.receive(status(2))
    assert [(message.sequence, message.block_hash) for message in broadcast(effects, "checkpoint")] == [(1, BLOCK)]


def test_promises_of_the_log_are_repeated_byte_for_byte_when_the_gate_opens() -> None:
    """R2: they may never have left. Until then not even they do: the log may hold only a part of them."""
    earlier = Solo(1)
    earlier.receive(A, pre_prepare(0, 1, proposal(0, A)))
    earlier.expire("suspicion")
    (wish,) = sent(earlier.effects, "view-change")
    solo = started(records=earlier.records)
    assert promised(solo.effects) == []
    solo.receive(status(0, seen=9))
    solo.receive(status(0, seen=wish.position))
    effects = solo.receive(status(3, seen=wish.position))
    assert broadcast(effects, "view-change") == [wish]
    assert set(promised(effects)) == {"view-change"}


def test_own_proposals_are_repeated_when_the_gate_opens() -> None:
    """R2, as primary."""
    earlier = Solo(0)
    (proposed,) = sent(earlier.receive(A), "pre-prepare")
    solo = started(0, records=earlier.records)
    solo.receive(status(1, seen=proposed.position, to=0))
    assert broadcast(solo.receive(status(2, to=0)), "pre-prepare") == [proposed]


# --- claims


def test_one_claim_holds_the_gate_shut_for_a_few_periods_and_no_longer() -> None:
    """R6: a true claim comes with the message that proves it; a liar must not silence us for ever."""
    solo = started()
    solo.receive(status(0, seen=6), status(2), status(3))
    assert not voting(solo)
    pass_periods(solo, CLAIM_PERIODS - 1)
    assert not voting(solo)
    pass_periods(solo, 1)
    assert voting(solo)
    assert of(solo.effects, Outdated) == []


def test_a_claim_that_is_taken_back_holds_nothing() -> None:
    """Our own message was on its way while the other wrote; or the claim was of a signature that did not verify."""
    solo = started()
    solo.receive(status(0, seen=6), status(2))
    assert not voting(solo)
    solo.receive(status(0, seen=5))
    assert voting(solo)


def test_who_claims_does_not_agree_any_more() -> None:
    solo = started()
    solo.receive(status(0), status(0, seen=6))
    pass_periods(solo, CLAIM_PERIODS)
    solo.receive(status(2))
    assert not voting(solo), "one of a quorum is missing, whatever time has passed"
    solo.receive(status(3))
    assert voting(solo)


@pytest.mark.parametrize(("n", "claims"), [(4, 2), (7, 3), (10, 4)])
def test_claims_of_f_plus_one_silence_for_the_epoch(n: int, claims: int) -> None:
    """R5, R6: one of so many is honest. Said once, with what an honest one said at least."""
    solo = started(1, n)
    others = [replica for replica in range(n) if replica != 1]
    for index, replica in enumerate(others[: claims - 1]):
        assert of(solo.receive(status(replica, seen=100 + index)), Outdated) == []
    assert of(solo.receive(status(others[claims - 1], seen=8)), Outdated) == [Outdated(5, 8)]
    assert solo.replica.status().outdated
    later = solo.receive(*(status(replica, seen=200) for replica in others))
    later += solo.receive(*(status(replica, seen=0) for replica in others))
    pass_periods(solo, 2 * CLAIM_PERIODS)
    assert of(later + solo.effects, Outdated) == []
    assert not voting(solo)
    assert promised(provoke(solo)) == []


# --- proofs


@pytest.mark.parametrize("gated", [True, False])
def test_a_message_of_our_own_from_above_the_log_silences_for_the_epoch(gated: bool) -> None:
    """R6: also long after the gate has opened, for a quorum may not have known."""
    solo = started(gated=gated)
    own = signed(msgspec.structs.replace(prepare(1, 7, 3, proposal(0)), position=6))
    assert of(solo.receive(own), Outdated) == [Outdated(5, 6)]
    assert "ends at position 5, but it has signed 6" in solo.replica.status().silent_because
    further = signed(msgspec.structs.replace(own, position=9))
    assert of(solo.receive(own, further), Outdated) == [], "told once"
    assert not solo.replica.proven
    solo.receive(*(status(replica) for replica in (0, 2, 3)))
    assert promised(provoke(solo)) == []


@pytest.mark.parametrize("kind", ["batch", "pre-prepare", "prepare", "commit", "view-change"])
def test_every_kind_of_promise_proves_it(kind: str) -> None:
    """R6"""
    own: dict[str, Any] = {
        "batch": batch(0, 4, b"forgotten", position=6),
        "pre-prepare": pre_prepare(0, 2, proposal(0)),
        "prepare": prepare(0, 3, 2, proposal(3)),
        "commit": commit(0, 0, 2, proposal(0)),
        "view-change": view_change(0, 3),
    }
    message = own[kind]
    if message.position != 6:
        message = signed(msgspec.structs.replace(message, position=6))
    solo = started(0)
    assert of(solo.receive(message), Outdated) == [Outdated(5, 6)]


def test_what_somebody_wrote_in_our_name_proves_nothing() -> None:
    """S9"""
    solo = started()
    forged = signed(msgspec.structs.replace(prepare(1, 0, 1, proposal(0)), position=6), key=3)
    assert of(solo.receive(forged), Outdated) == []
    assert solo.refusals == {"bad_signature": 1}
    solo.receive(status(0), status(2))
    assert voting(solo)


def test_what_the_log_holds_and_what_has_no_position_proves_nothing() -> None:
    """N7: one's own messages come back all the time."""
    solo = started()
    known = signed(msgspec.structs.replace(prepare(1, 0, 1, proposal(0)), position=5))
    effects = solo.receive(known, checkpoint(1, 1, BLOCK), status(1, seen=99, position=99))
    assert of(effects, Outdated) == []
    solo.receive(status(0), status(2))
    assert voting(solo)


# --- showing others what they forgot


def test_a_replica_whose_log_ends_below_what_we_saw_is_shown_the_message() -> None:
    """R6: the proof travels with the answer to its Status, and convinces it."""
    solo = Solo(0)
    vote = signed(msgspec.structs.replace(prepare(2, 0, 1, proposal(0)), position=8))
    solo.receive(pre_prepare(0, 1, proposal(0)), vote)
    assert vote not in sent(solo.receive(status(2, position=8)), "prepare")
    effects = solo.receive(status(2, position=7))
    assert vote in sent(effects, "prepare")
    assert of(started(2).receive(vote), Outdated) == [Outdated(5, 8)]


def test_a_forgotten_batch_is_shown_with_its_items() -> None:
    """Without them its hash could not be recomputed, and it would prove nothing."""
    solo = Solo(1)
    shown = batch(2, 1, b"item", b"other", position=9)
    solo.receive(shown)
    assert shown in sent(solo.receive(status(2, position=8)), "batch")


def test_a_status_tells_each_replica_the_highest_position_seen_of_it() -> None:
    solo = Solo(1)
    solo.receive(batch(2, 1, b"a", position=9), batch(2, 2, b"b", position=4), batch(3, 1, b"c", position=2))
    sends = of(solo.expire("status"), Send)
    told = {send.to[0]: send.message.highest_position_seen for send in sends}
    assert told == {0: 0, 2: 9, 3: 2}


# --- a log that is known to be lost


def test_with_a_lost_log_no_status_opens_anything() -> None:
    """R5, R7: nobody can say what a log would have held that is gone."""
    solo = lost()
    solo.receive(*(status(replica) for replica in (0, 2, 3)))
    pass_periods(solo, 2 * CLAIM_PERIODS)
    assert "missing" in solo.replica.status().silent_because
    assert (solo.replica.proven, solo.replica.status().outdated) == (False, True)
    effects = provoke(solo)
    assert promised(effects) == []
    assert of(effects, BatchesReleased) == [BatchesReleased((b"own",))]
    own = signed(msgspec.structs.replace(prepare(1, 7, 3, proposal(0)), position=6))
    assert of(solo.receive(own, status(0, seen=9), status(2, seen=9)), Outdated) == [], "it is known already"


def test_a_silent_replica_serves_what_others_ask_for() -> None:
    """It counts among the f in voting, and is of use otherwise."""
    solo = lost()
    solo.receive(A)
    assert sent(solo.receive(BatchRequest(0, (A.digest,)), sender=2), "batch") == [A]


def test_a_silent_replica_follows_certificates() -> None:
    """R5: its blocks come by synchronization, up to the end of the epoch, which it then knows."""
    solo = lost()
    solo.receive(signed(msgspec.structs.replace(status(0), stable=certificate(20, BLOCK, epoch_end=22))))
    found = solo.replica.status()
    assert (found.low_watermark, found.epoch_end, found.high_watermark) == (20, 22, 22)
    effects = solo.step(BlockExecuted(1, BLOCK, 0))
    assert promised(effects) == []
