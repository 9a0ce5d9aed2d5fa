"""After a crash: the same bytes or silence, never a second digest; what a truncated log keeps."""

from __future__ import annotations

from typing import Any

import pytest
from consensus_harness import World, promises
from consensus_kit import (
    Solo,
    batch,
    certificate,
    commit,
    new_view,
    of,
    pre_prepare,
    prepare,
    proposal,
    sent,
    settle,
    signed,
    view_change,
)

from consensus.engine import BatchClosed, Certified, Effect, Execute, PeerConnected, ReplicaId
from consensus.errors import ConsensusError
from consensus.messages import Message, ViewChangeRequest, encode_message

A, B, C = batch(2, 1, b"a"), batch(3, 1, b"b"), batch(2, 2, b"c")
X, Y = proposal(0, A), proposal(0, B)
GOOD = b"\x01" * 32


def restarted(solo: Solo, records: list[bytes] | None = None, **recovered: Any) -> Solo:
    replica_id = solo.replica.status().replica_id
    assert replica_id is not None
    return Solo(replica_id, records=solo.records if records is None else records, **recovered)


def own_promises(solo: Solo) -> set[bytes]:
    return {encode_message(message) for record in solo.records for message in promises(record)}


def assert_only_repeats(effects: list[Effect], before: Solo) -> None:
    """Everything signed that leaves after a restart was signed before it."""
    for kind in ("pre-prepare", "prepare", "commit", "view-change", "new-view", "checkpoint", "batch"):
        for message in sent(effects, kind):
            assert encode_message(message) in own_promises(before)


def test_a_backup_that_accepted_one_proposal_never_prepares_another_after_a_restart() -> None:
    """R2."""
    before = Solo(1)
    before.receive(A, B, pre_prepare(0, 1, X))
    after = restarted(before)
    assert sent(after.receive(B, pre_prepare(0, 1, Y)), "prepare") == []
    assert after.refusals == {"two_proposals": 1}
    effects = after.receive(prepare(2, 0, 1, X))
    assert [vote.digest for vote in sent(effects, "commit")] == [pre_prepare(0, 1, X).digest]


def test_an_accepted_unexecuted_batch_and_the_votes_survive() -> None:
    """R1: so that a decided batch survives a loss of power."""
    before = Solo(1)
    before.receive(A, pre_prepare(0, 1, X), prepare(2, 0, 1, X))
    after = restarted(before)
    effects = after.receive(commit(0, 0, 1, X), commit(2, 0, 1, X))
    (execute,) = of(effects, Execute)
    assert [held.items for held in execute.batches] == [(b"a",)]


def test_a_primary_repeats_its_proposal_byte_for_byte_and_goes_on_above_it() -> None:
    """R2."""
    before = Solo(0)
    (made,) = sent(before.receive(A), "pre-prepare")
    after = restarted(before)
    assert sent(after.effects, "pre-prepare") == [made]
    (further,) = sent(after.receive(B), "pre-prepare")
    assert further.sequence == made.sequence + 1
    assert further.position > made.position


def test_a_replica_that_asked_for_a_view_does_not_vote_below_it_after_a_restart() -> None:
    before = Solo(1)
    before.receive(A)
    (asked,) = sent(before.expire("suspicion"), "view-change")
    after = restarted(before)
    assert sent(after.effects, "view-change") == [asked]
    assert sent(after.receive(A, pre_prepare(0, 1, X)), "prepare") == []
    assert "resend" in after.replica.status().running_timers


def test_a_view_that_began_is_remembered_with_its_reissued_proposals() -> None:
    changes = [view_change(r, 2) for r in (0, 2, 3)]
    before = Solo(1)
    before.receive(A, *changes, new_view(2, changes), pre_prepare(2, 1, proposal(2, A)))
    after = restarted(before)
    assert after.replica.status().view == 2
    assert sent(after.receive(pre_prepare(2, 1, proposal(2, B)), B), "prepare") == []
    request = ViewChangeRequest(0, tuple(change.digest for change in changes))
    assert sent(after.receive(request, sender=3), "view-change") == changes


def test_own_batches_keep_their_numbers_and_wait_again() -> None:
    before = Solo(1)
    (first,) = sent(before.step(BatchClosed((b"x",))), "batch")
    after = restarted(before)
    assert after.replica.status().own_batches_waiting == 1
    (second,) = sent(after.step(BatchClosed((b"y",))), "batch")
    assert second.number == first.number + 1
    assert second.position > first.position


@pytest.mark.parametrize("cut", range(12))
def test_a_log_cut_anywhere_gives_a_replica_that_never_contradicts_what_it_kept(cut: int) -> None:
    """R1: a crash at every persist point. What was not durable was not sent either."""
    before = Solo(1)
    before.receive(A, B, C, pre_prepare(0, 1, X), prepare(2, 0, 1, X), commit(0, 0, 1, X), commit(2, 0, 1, X))
    before.receive(pre_prepare(0, 2, Y), prepare(3, 0, 2, Y))
    before.expire("suspicion")
    assert len(before.records) >= 8
    kept = before.records[: min(cut, len(before.records))]
    after = restarted(before, kept)
    assert_only_repeats(after.effects, before)
    durable: list[Message] = [message for record in kept for message in promises(record)]
    position = max((getattr(m, "position", 0) for m in durable if getattr(m, "replica", None) == 1), default=0)
    (made,) = sent(after.step(BatchClosed((b"new",))), "batch")
    assert made.position > position


def test_records_retained_by_a_truncated_log_are_enough() -> None:
    """R4: positions, batch numbers, the newest view change and the newest view are never dropped."""
    before = Solo(1)
    (own,) = sent(before.step(BatchClosed((b"mine",))), "batch")
    block_hash = settle(before, 1, proposal(0, A, own), A, own)
    before.receive(B, pre_prepare(0, 2, Y), prepare(2, 0, 2, Y))
    kept = before.replica.retained_records()
    stable = before.replica._state.stable
    after = restarted(before, kept, last_executed=1, last_block=(block_hash, 0), stable=stable)
    assert sent(after.receive(C, pre_prepare(0, 2, proposal(0, C))), "prepare") == []
    assert len(of(after.receive(commit(0, 0, 2, Y), commit(2, 0, 2, Y)), Execute)) == 1
    after.receive(A)
    assert after.replica.status().batches_waiting == 1  # C alone: A was executed
    (further,) = sent(after.step(BatchClosed((b"more",))), "batch")
    assert further.number == own.number + 1
    assert further.position > own.position
    assert after.replica.retained_records()[2:4] == kept[2:4]


def test_a_certificate_that_only_the_log_still_has_goes_to_the_ledger_again() -> None:
    """R3, L2: lost there unsynced, and passed by the watermark here, it would let nobody fetch the blocks up to it."""
    before = Solo(1)
    stable = certificate(3, GOOD)
    changes = [view_change(replica, 2, stable=stable) for replica in (0, 2, 3)]
    before.receive(*changes, new_view(2, changes))
    assert before.replica.status().view == 2
    after = restarted(before, last_executed=4, last_block=(GOOD, 0))
    assert of(after.effects, Certified) == [Certified(stable)]
    known = restarted(before, last_executed=4, last_block=(GOOD, 0), stable=stable)
    assert of(known.effects, Certified) == []
    behind = restarted(before, last_executed=2, last_block=(GOOD, 0))
    assert of(behind.effects, Certified) == []


def test_a_block_executed_before_the_crash_is_signed_after_it_and_only_once() -> None:
    """R3."""
    before = Solo(1)
    before.receive(A, pre_prepare(0, 1, X), prepare(2, 0, 1, X), commit(0, 0, 1, X), commit(2, 0, 1, X))
    unsigned = restarted(before, last_executed=1, last_block=(GOOD, 0))
    assert [vote.block_hash for vote in sent(unsigned.effects, "checkpoint")] == [GOOD]
    assert of(unsigned.receive(commit(3, 0, 1, X)), Execute) == []
    before.executed(1, GOOD)
    signed_before = restarted(before, last_executed=1, last_block=(GOOD, 0))
    (again,) = sent(signed_before.effects, "checkpoint")
    assert encode_message(again) in own_promises(before)
    assert signed_before.replica.status().batches_waiting == 0


def test_a_replica_shown_its_own_message_above_its_logs_last_position_falls_silent() -> None:
    """R6: its log was restored from an old copy."""
    solo = Solo(1)
    forgotten = signed(type(prepare(1, 0, 1, X))(0, 1, 77, 0, 1, pre_prepare(0, 1, X).digest, bytes(64)))
    forged = signed(forgotten, key=2)
    solo.receive(forged)
    assert solo.replica.status().voting
    solo.receive(forgotten)
    assert not solo.replica.status().voting
    assert "vote log" in solo.replica.status().silent_because
    assert sent(solo.receive(A, pre_prepare(0, 1, X)), "prepare") == []
    assert sent(solo.step(BatchClosed((b"x",))), "batch") == []


def test_bytes_that_are_no_record_are_refused() -> None:
    """R7: a log is never half believed."""
    with pytest.raises(ConsensusError):
        Solo(1, records=[b"\x00garbage"])


def test_positions_are_told_in_status_and_only_verified_ones_count() -> None:
    solo = Solo(1)
    solo.receive(signed(batch(3, 9, b"a", position=1_000), key=2), batch(3, 9, b"a", position=50))
    solo.receive(batch(3, 9, b"a", position=10**6))  # known already, so not verified
    (told,) = sent(solo.step(PeerConnected(ReplicaId(3))), "status")
    assert told.highest_position_seen == 50


def test_all_replicas_restart_together_and_go_on() -> None:
    """L12, R1: nothing acknowledged is lost."""
    world = World(4, seed=9)
    for number in range(12):
        world.submit(number % 4, b"%d" % number)
        world.run(7)
    for host in world.hosts:
        host.crash(keep_unsynced=0)
    for host in world.hosts:
        host.start()
    world.submit(0, b"last")
    assert world.run(5_000, world.all_have(b"last", *(b"%d" % number for number in range(12))))
