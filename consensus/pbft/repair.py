"""Status: what a replica has and lacks, told periodically and on every new link; peers send what it lacks.

Lost messages are repaired here and nowhere else, within a bound for each peer and period. Spec: "Status and repair".
"""

from __future__ import annotations

from typing import Final

from consensus.errors import Refusal
from consensus.messages import Message, SlotSummary, Status, mask_replicas, replica_mask
from consensus.pbft import batches, checkpoints, entering, recovery, standing
from consensus.pbft.state import State

REPAIRS_PER_PERIOD_MAX: Final = 512
"""Messages sent to one replica in answer to its Status messages, in one Status period of ours."""
SLOTS_PER_STATUS_MAX: Final = 64
"""Sequences that a Status describes, the lowest undelivered first; later ones are repaired when those are done."""
_NOTHING: Final = SlotSummary(0, False, False, b"", b"")


def build_status(state: State, receiver: int) -> Status:
    described = [sequence for sequence in sorted(state.slots) if sequence > state.last_delivered]
    slots = tuple(summarize(state, sequence) for sequence in described[:SLOTS_PER_STATUS_MAX])
    status: Status = state.sign(
        Status(
            epoch=state.validators.epoch,
            replica=state.own_id,
            view=state.view,
            asked_view=max(state.view, state.may_vote_from_view),
            last_executed=state.last_executed,
            stable=state.stable,
            slots=slots,
            last_position=state.position,
            highest_position_seen=state.positions_seen.get(receiver, 0),
            receiver=receiver,
            signature=bytes(64),
        )
    )
    return status


def summarize(state: State, sequence: int) -> SlotSummary:
    slot = state.slots[sequence]
    if slot.decided:
        return SlotSummary(sequence, True, True, b"", b"")
    named = slot.pre_prepare is not None or slot.candidate is not None
    return SlotSummary(sequence, False, named, replica_mask(slot.prepares), replica_mask(slot.commits))


def on_status_timer(state: State) -> None:
    """Tell everyone where we are; ask again for what is still missing."""
    state.start_timer("status", state.configuration.status_period_ms)
    state.repairs_left = {}
    if state.replica_id is not None:
        if standing.pass_period(state):
            recovery.resume(state)
        for replica in state.others:
            state.send(build_status(state, replica), replica)
    batches.retry_missing(state)
    entering.retry_pending(state)
    checkpoints.notice_lag(state)


def greet(state: State, replica: int) -> None:
    """A link came up: whatever was sent over the one before may be lost."""
    if state.replica_id is not None:
        state.send(build_status(state, replica), replica)


def receive_status(state: State, status: Status) -> None:
    """Learn the certificate that the other shows, and send it what it lacks of ours."""
    state.verify(status)
    if standing.hear(state, status):
        recovery.resume(state)
    if status.stable is not None:
        try:
            checkpoints.receive_certificate(state, status.stable, status.replica)
        except Refusal as refusal:
            raise Refusal(refusal.reason, status.replica) from refusal
    if state.replica_id is None:
        return
    if (proof := standing.proof_of_position(state, status)) is not None:
        answer(state, proof, status.replica)
    repair_view(state, status)
    repair_checkpoints(state, status)
    if status.view == status.asked_view == state.view and not state.changing_view:
        repair_slots(state, status)


def answer(state: State, message: Message, receiver: int) -> None:
    """Send a repair while the receiver's allowance lasts."""
    left = state.repairs_left.get(receiver, REPAIRS_PER_PERIOD_MAX)
    if left > 0:
        state.repairs_left[receiver] = left - 1
        state.send(message, receiver)


def repair_view(state: State, status: Status) -> None:
    """A replica that waits for a view which began gets its NewView; one behind our wish gets our ViewChange."""
    begun = state.new_view
    if begun is not None and status.view < begun.view and status.asked_view <= begun.view:
        answer(state, begun, status.replica)
        for digest in sorted(state.new_view_changes):
            answer(state, state.new_view_changes[digest], status.replica)
    wish = state.own_view_change
    if state.changing_view and wish is not None and status.view < wish.new_view:
        answer(state, wish, status.replica)


def repair_checkpoints(state: State, status: Status) -> None:
    """Send our signatures under blocks that the other cannot prove yet."""
    proved = state.validators.base if status.stable is None else status.stable.height
    for sequence in sorted(state.checkpoints):
        own = state.checkpoints[sequence].get(state.own_id)
        if own is not None and sequence > proved:
            answer(state, own, status.replica)


def repair_slots(state: State, status: Status) -> None:
    """Send the proposals and votes of this view that the other does not have, whoever signed them."""
    theirs = {summary.sequence: summary for summary in status.slots}
    base = state.validators.base if status.stable is None else status.stable.height
    settled = max(base, status.last_executed)
    complete = len(status.slots) < SLOTS_PER_STATUS_MAX
    last = max(state.slots, default=0) if complete else max(theirs)
    for sequence in sorted(sequence for sequence in state.slots if settled < sequence <= last):
        slot = state.slots[sequence]
        summary = theirs.get(sequence, _NOTHING)
        if summary.decided or slot.pre_prepare is None:
            continue
        if not summary.pre_prepared and sequence > state.view_top:
            answer(state, slot.pre_prepare, status.replica)
        for votes, mask in ((slot.prepares, summary.prepares), (slot.commits, summary.commits)):
            for replica in sorted(set(votes) - mask_replicas(mask) - {status.replica}):
                answer(state, votes[replica], status.replica)
