"""Status: what a replica has and lacks, told periodically and on every new link; peers send what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from consensus.errors import Refusal
from consensus.messages import SlotSummary, Status, verify_signed
from consensus.pbft import batches, checkpoints, ordering, view_change
from consensus.pbft.state import State

MESSAGES_PER_REPAIR_MAX: Final = 256
"""Messages sent in answer to one Status."""
SLOTS_PER_STATUS_MAX: Final = 64


def build_status(state: State, receiver: int) -> Status:
    assert state.replica_id is not None
    slots = tuple(
        SlotSummary(sequence, slot.pre_prepare is not None, mask(slot.prepares), mask(slot.commits))
        for sequence, slot in sorted(state.slots.items())[:SLOTS_PER_STATUS_MAX]
        if not slot.decided
    )
    status: Status = state.sign(
        Status(
            state.validators.epoch,
            state.replica_id,
            state.view,
            state.changing_view,
            state.last_executed,
            state.stable,
            slots,
            state.positions_seen.get(receiver, 0),
            bytes(64),
        )
    )
    return status


def mask(votes: Mapping[int, object]) -> int:
    return sum(1 << replica for replica in votes)


def on_status_timer(state: State) -> None:
    """Tell everyone where we are; ask again for what is still missing."""
    for replica in ordering.others(state):
        state.send(build_status(state, replica), replica)
    retry_fetches(state)
    highest = state.highest_certificate
    if highest is not None and highest.height > state.last_delivered:
        checkpoints.ask_for_synchronization(state)
    state.start_timer("status", state.configuration.status_period_ms)


def retry_fetches(state: State) -> None:
    """Batches that a proposal awaits: first asked of the primary, now of everyone."""
    state.requested.clear()
    lacking = sorted(batches.wanted_digests(state))
    if lacking:
        batches.request_missing(state, lacking, ordering.others(state))
    if state.pending_new_view is not None:
        view_change.try_new_view(state, state.pending_new_view)


def receive_status(state: State, status: Status) -> None:
    """Send the other what it lacks of ours, within a bound."""
    if status.replica == state.replica_id:
        raise Refusal("reflected", status.replica)
    verify_signed(state.validators, state.verifier, status)
    if status.stable is not None:
        checkpoints.receive_certificate(state, status.stable, status.replica)
    if state.replica_id is None:
        return
    sent = len(state.effects)
    repair_view(state, status)
    for sequence in sorted(state.checkpoints):
        own = state.checkpoints[sequence].get(state.replica_id)
        if own is not None and sequence > (0 if status.stable is None else status.stable.height):
            state.send(own, status.replica)
    if status.view == state.view and not status.changing_view and not state.changing_view:
        repair_slots(state, status, sent + MESSAGES_PER_REPAIR_MAX)


def repair_view(state: State, status: Status) -> None:
    """A replica in an older view gets the NewView; one that is changing gets our wish."""
    if status.view < state.view and state.new_view is not None and not state.changing_view:
        for digest in sorted(state.new_view_changes):
            state.send(state.new_view_changes[digest], status.replica)
        state.send(state.new_view, status.replica)
    elif state.changing_view and state.own_view_change is not None and status.view < state.own_view_change.new_view:
        state.send(state.own_view_change, status.replica)


def repair_slots(state: State, status: Status, limit: int) -> None:
    theirs = {summary.sequence: summary for summary in status.slots}
    low = 0 if status.stable is None else status.stable.height
    for sequence, slot in sorted(state.slots.items()):
        if sequence <= low or sequence <= status.last_executed or len(state.effects) >= limit:
            continue
        summary = theirs.get(sequence, SlotSummary(sequence, False, 0, 0))
        if slot.pre_prepare is None:
            continue
        if not summary.pre_prepared and sequence > state.view_top:
            state.send(slot.pre_prepare, status.replica)
        for votes, held in ((slot.prepares, summary.prepares), (slot.commits, summary.commits)):
            for replica, vote in sorted(votes.items()):
                if not held >> replica & 1 and replica != status.replica:
                    state.send(vote, status.replica)  # type: ignore[arg-type]  # Prepare or Commit
