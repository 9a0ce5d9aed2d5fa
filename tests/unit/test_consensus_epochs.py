"""The end of an epoch, as one replica sees it, and what it makes of messages of other epochs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from consensus_harness import FAST, KEYS, NETWORK_ID, VERIFIER
from consensus_kit import (
    Solo,
    batch,
    certificate,
    checkpoint,
    commit,
    new_view,
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
    CertificateShown,
    Certified,
    MessageReceived,
    ReplicaId,
)
from consensus.evidence import build_evidence, verify_evidence
from consensus.messages import Message, Status
from consensus.pbft.replica import Replica
from consensus.validators import ValidatorSet

A = batch(3, 1, b"a")
BLOCK = b"\x01" * 32
END = 3


def decide(solo: Solo, sequence: int, content: Any, *, epoch_end: int) -> None:
    """Let backup 1 decide, execute and certify `content`, whose header tells the epoch's end."""
    block_hash = sequence.to_bytes(32, "big")
    solo.receive(pre_prepare(0, sequence, content), prepare(2, 0, sequence, content))
    solo.receive(*(commit(replica, 0, sequence, content) for replica in (0, 2)))
    solo.step(BlockExecuted(sequence, block_hash, epoch_end))
    solo.receive(*(checkpoint(replica, sequence, block_hash, epoch_end) for replica in (0, 2)))


def second_epoch(own_id: int | None = 1) -> Replica:
    """A replica of epoch 1: member 4 of five has left, and member 3 has a new key."""
    keys = tuple(KEYS[index].public_key for index in (0, 1, 2, 67))
    validators = ValidatorSet(NETWORK_ID, 1, keys, base=END)
    signer = None if own_id is None else KEYS[own_id]
    replica = Replica(FAST, validators, own_id, signer, VERIFIER, gated=False)
    replica.start(0)
    return replica


def show(replica: Replica, *messages: Message) -> None:
    for message in messages:
        replica.step(MessageReceived(message, ReplicaId(0)), 0)


# --- the way to the end -----------------------------------------------------------------------------------------------


def test_nothing_is_accepted_beyond_the_end_that_our_own_block_tells() -> None:
    """G3: the window ends where the epoch does."""
    solo = Solo(1)
    decide(solo, 1, proposal(0), epoch_end=END)
    assert solo.replica.status().high_watermark == END
    solo.receive(pre_prepare(0, 2, proposal(0)), pre_prepare(0, 3, proposal(0)))
    assert sent(solo.receive(pre_prepare(0, 4, proposal(0))), "prepare") == []
    assert solo.refusals == {"outside_the_window": 1}


@pytest.mark.parametrize("shown_in", ["certificate", "status"])
def test_a_certificate_alone_tells_the_end(shown_in: str) -> None:
    """G3: a replica that has not executed the block of the change must know the end too."""
    solo = Solo(1)
    told = certificate(1, BLOCK, epoch_end=END)
    if shown_in == "certificate":
        solo.step(CertificateShown(told, None))
    else:
        solo.receive(signed(Status(0, 2, 0, 0, 1, told, (), 1, 0, 1, bytes(64))))
    assert solo.replica.status().epoch_end == END
    solo.receive(pre_prepare(0, 4, proposal(0)))
    assert solo.refusals == {"outside_the_window": 1}


def test_another_end_under_the_same_block_is_another_statement() -> None:
    """G3: signatures that tell different ends make no certificate together."""
    solo = Solo(1)
    solo.receive(pre_prepare(0, 1, proposal(0)), prepare(2, 0, 1, proposal(0)))
    solo.receive(commit(0, 0, 1, proposal(0)), commit(2, 0, 1, proposal(0)))
    solo.step(BlockExecuted(1, BLOCK, END))
    assert of(solo.receive(checkpoint(0, 1, BLOCK), checkpoint(2, 1, BLOCK, END + 1)), Certified) == []
    assert solo.replica.status().stable_checkpoint == 0


def test_the_primary_fills_the_way_to_the_end_and_stops_there() -> None:
    """G3: the change is prompt although nobody submits anything."""
    solo = Solo(0)
    (first,) = sent(solo.step(BatchClosed((b"a",))), "pre-prepare")
    solo.receive(*(prepare(replica, 0, 1, first.proposal) for replica in (2, 3)))
    solo.receive(*(commit(replica, 0, 1, first.proposal) for replica in (2, 3)))
    filled = sent(solo.step(BlockExecuted(1, BLOCK, END)), "pre-prepare")
    assert [(message.sequence, message.proposal.batches) for message in filled] == [(2, ()), (3, ())]


def test_an_epoch_whose_last_block_is_certified_is_over() -> None:
    """G3: nothing is signed in it any more; what was not decided goes back, and is offered in the next."""
    solo = Solo(1)
    for sequence in range(1, END + 1):
        decide(solo, sequence, proposal(0, at_ms=solo.now_ms + sequence), epoch_end=END)
    status = solo.replica.status()
    assert (status.stable_checkpoint, status.voting) == (END, False)
    assert "ended" in status.silent_because
    assert of(solo.step(BatchClosed((b"late",))), BatchesReleased) == [BatchesReleased((b"late",))]
    assert sent(solo.expire("suspicion"), "view-change") == []
    solo.receive(A)
    assert solo.replica.undecided_items(frozenset({3})) == (b"a",)
    assert solo.replica.undecided_items(frozenset({2})) == ()


def test_an_end_that_does_not_come_is_work_that_waits() -> None:
    """G3, L3: a primary that does not fill the way to the end is replaced."""
    solo = Solo(1)
    decide(solo, 1, proposal(0), epoch_end=END)
    assert "suspicion" in solo.replica.status().running_timers
    assert [change.new_view for change in sent(solo.expire("suspicion"), "view-change")] == [1]


# --- other epochs -----------------------------------------------------------------------------------------------------

X = proposal(0)


@pytest.mark.parametrize(
    "old",
    [
        A,
        pre_prepare(0, END + 1, X),
        prepare(2, 0, END + 1, X),
        commit(2, 0, END + 1, X),
        checkpoint(2, END + 1, BLOCK),
        view_change(2, 1),
        new_view(1, [view_change(replica, 1) for replica in (0, 1, 2)]),
        signed(Status(0, 2, 5, 5, 9, None, (), 1, 0, 1, bytes(64))),
    ],
    ids=lambda message: message.kind,
)
def test_what_was_signed_in_an_older_epoch_counts_for_nothing(old: Any) -> None:
    """S10: nor does it when its epoch is rewritten, for the signature covers it."""
    replica = second_epoch()
    show(replica, old)
    assert replica.refusals == {"other_epoch": 1}
    show(replica, msgspec.structs.replace(old, epoch=1))
    assert replica.refusals == {"other_epoch": 1, "bad_signature": 1}
    assert replica.status().view == 0
    assert not replica.status().view_changes_seen


def test_a_removed_member_and_a_replaced_key_have_no_vote() -> None:
    """S9: of five members the last has left, and the fourth has another key since."""
    replica = second_epoch()

    def in_epoch_1(message: Any, key: int) -> Any:
        return signed(msgspec.structs.replace(message, epoch=1), key=key)

    vote = prepare(3, 0, END + 1, X)
    show(replica, in_epoch_1(prepare(4, 0, END + 1, X), 4), in_epoch_1(vote, 3), in_epoch_1(vote, 4))
    assert replica.refusals == {"not_a_member": 1, "bad_signature": 2}
    show(replica, in_epoch_1(vote, 67))
    assert set(replica._state.slots[END + 1].prepares) == {3}


def test_a_certificate_of_the_old_members_moves_nobody() -> None:
    """S9, S10: neither under its own epoch nor under the new one."""
    replica = second_epoch()
    for epoch in (0, 1):
        forged = msgspec.structs.replace(certificate(END + 5, BLOCK, (0, 1, 2, 3)), epoch=epoch)
        replica.step(CertificateShown(forged, ReplicaId(3)), 0)
    assert replica.refusals == {"other_epoch": 1, "bad_certificate": 1}
    assert replica.status().low_watermark == END


def test_votes_of_two_epochs_contradict_nobody() -> None:
    """S18, S10: the same view and sequence begin again in every epoch."""
    validators = ValidatorSet(NETWORK_ID, 1, tuple(key.public_key for key in KEYS[:4]))
    first = prepare(2, 0, 4, X)
    second = signed(msgspec.structs.replace(prepare(2, 0, 4, proposal(1)), epoch=1))
    assert not verify_evidence(validators, VERIFIER, build_evidence(first, second))


def test_a_node_beside_the_set_follows_and_signs_nothing() -> None:
    """S9: a removed member's node goes on following the chain."""
    follower = second_epoch(own_id=None)
    assert follower.status().silent_because == "not a member of this epoch's validator set"
    assert of(follower.step(BatchClosed((b"mine",)), 0), BatchesReleased) == [BatchesReleased((b"mine",))]
