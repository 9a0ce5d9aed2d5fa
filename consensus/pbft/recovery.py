"""The vote log: rebuilding a replica from it, and what a truncated one must keep. Spec: "Crash safety"."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.messages import NewView, PrePrepare, ViewChange
from consensus.pbft import batches, checkpoints, ordering
from consensus.pbft.new_view import compute
from consensus.pbft.records import (
    Accepted,
    AskedForView,
    EnteredView,
    HeldBatch,
    LastPosition,
    Prepared,
    Record,
    SignedCheckpoint,
    decode_record,
    encode_record,
)
from consensus.pbft.state import State
from primitives.finality import FinalityCertificate


def recover(
    state: State,
    records: Sequence[bytes],
    last_executed: int | None,
    last_block_hash: bytes,
    stable: FinalityCertificate | None,
) -> None:
    """Bring `state` to where the durable records and the ledger left it. Nothing is sent."""
    state.stable = stable
    state.highest_certificate = stable
    executed = state.validators.base if last_executed is None else last_executed
    state.last_executed = state.last_delivered = executed
    if executed > state.low:
        state.block_hashes[executed] = last_block_hash
    for data in records:
        apply(state, decode_record(data))
    for sequence, certificate in state.prepared.items():
        if sequence <= executed:
            batches.finish(state, sequence, certificate.pre_prepare.proposal)
    batches.return_undecided(state)
    for slot in state.slots.values():
        if slot.pre_prepare is not None:
            batches.mark_in_flight(state, slot.pre_prepare.proposal)
    for table in (state.slots, state.prepared, state.checkpoints):
        for sequence in [sequence for sequence in table if sequence <= state.low]:
            del table[sequence]
    if state.own_view_change is not None and state.own_view_change.new_view > state.view:
        state.changing_view = True
    batches.prune(state)


def apply(state: State, record: Record) -> None:
    """Redo one record, without effects."""
    match record:
        case HeldBatch(batch=batch):
            position(state, batch.replica, batch.position)
            if batch.author == state.replica_id:
                state.own_number = max(state.own_number, batch.number)
            batches.hold(state, batch)
        case Accepted(pre_prepare=pre_prepare, prepare=prepare):
            redo_accepted(state, pre_prepare)
            if prepare is not None:
                position(state, prepare.replica, prepare.position)
                slot = state.slot(pre_prepare.sequence)
                slot.own_prepare = prepare
                slot.prepares[prepare.replica] = prepare
        case Prepared(certificate=certificate, commit=commit):
            sequence = certificate.pre_prepare.sequence
            state.prepared[sequence] = certificate
            if commit is None:
                return
            position(state, commit.replica, commit.position)
            slot = state.slot(sequence)
            if slot.pre_prepare is not None and slot.digest == commit.digest and commit.view == state.view:
                slot.prepares.update({vote.replica: vote for vote in certificate.prepares})
                slot.own_commit = commit
                slot.commits[commit.replica] = commit
        case AskedForView(view_change=view_change):
            position(state, view_change.replica, view_change.position)
            state.own_view_change = view_change
            state.may_vote_from_view = view_change.new_view
            state.view_changes[view_change.replica] = view_change
        case EnteredView(new_view=new_view, view_changes=view_changes):
            redo_entered(state, new_view, view_changes)
        case SignedCheckpoint(checkpoint=checkpoint):
            state.checkpoints.setdefault(checkpoint.sequence, {})[checkpoint.replica] = checkpoint
        case LastPosition(position=last):
            state.position = max(state.position, last)


def position(state: State, replica: int, value: int) -> None:
    if replica == state.replica_id:
        state.position = max(state.position, value)


def redo_accepted(state: State, pre_prepare: PrePrepare) -> None:
    position(state, pre_prepare.replica, pre_prepare.position)
    if pre_prepare.view < state.view:
        return  # kept for its batches' sake; the view has moved on
    slot = state.slot(pre_prepare.sequence)
    slot.pre_prepare = pre_prepare
    slot.digest = pre_prepare.digest
    if pre_prepare.replica == state.replica_id:
        state.last_proposed = max(state.last_proposed, pre_prepare.sequence)


def redo_entered(state: State, new_view: NewView, view_changes: tuple[ViewChange, ...]) -> None:
    position(state, new_view.replica, new_view.position)
    reissue = compute(state.validators, view_changes)
    state.view = new_view.view
    state.new_view = new_view
    state.new_view_changes = {view_change.digest: view_change for view_change in view_changes}
    state.view_base = reissue.min_sequence
    state.view_top = max([reissue.min_sequence, *(sequence for sequence, _ in reissue.proposals)])
    state.last_proposed = state.view_top
    state.slots = {}
    state.view_changes = {r: vc for r, vc in state.view_changes.items() if vc.new_view > state.view}
    for pre_prepare in new_view.pre_prepares:
        if pre_prepare.sequence > state.low:
            state.slot(pre_prepare.sequence).candidate = pre_prepare
            position(state, pre_prepare.replica, pre_prepare.position)


def resume(state: State) -> None:
    """First effects after a start: repeat the promises that may never have left, byte for byte."""
    if state.replica_id is None:
        return
    if state.last_executed > state.low and state.last_executed in state.block_hashes:
        checkpoints.sign_checkpoint(state, state.last_executed, state.block_hashes[state.last_executed])
        checkpoints.count(state, state.last_executed)
    for sequence in sorted(state.slots):
        slot = state.slots[sequence]
        if slot.pre_prepare is not None:
            slot.candidate = None
            if slot.pre_prepare.replica == state.replica_id and not state.changing_view:
                state.broadcast(slot.pre_prepare)
            ordering.progress(state, sequence)
    if state.changing_view and state.own_view_change is not None:
        state.broadcast(state.own_view_change)
        state.start_timer("resend", state.configuration.resend_ms)
        return
    for sequence in sorted(state.slots):
        ordering.consider(state, sequence)


def retained(state: State) -> list[bytes]:
    """Return the records that a vote log truncated at the stable checkpoint must still hold."""
    records: list[Record] = [LastPosition(state.position)]
    records += [HeldBatch(batch) for digest, batch in state.batches.items() if digest not in state.finished]
    records += [
        HeldBatch(batch) for digest, batch in state.batches.items() if state.finished.get(digest, 0) > state.low
    ]
    if state.new_view is not None:
        records.append(EnteredView(state.new_view, tuple(state.new_view_changes.values())))
    for sequence in sorted(state.slots):
        slot = state.slots[sequence]
        if slot.pre_prepare is not None:
            records.append(Accepted(slot.pre_prepare, slot.own_prepare))
    for sequence in sorted(state.prepared):
        voted = state.slots.get(sequence)
        records.append(Prepared(state.prepared[sequence], None if voted is None else voted.own_commit))
    for sequence in sorted(state.checkpoints):
        own = state.checkpoints[sequence].get(-1 if state.replica_id is None else state.replica_id)
        if own is not None:
            records.append(SignedCheckpoint(own))
    if state.own_view_change is not None:
        records.append(AskedForView(state.own_view_change))
    return [encode_record(record) for record in records]
