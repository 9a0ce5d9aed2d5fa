"""The vote log: rebuilding a replica from it, and what a truncated one must keep. Spec: "Crash safety"."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.engine import Certified
from consensus.errors import Refusal
from consensus.messages import Batch, Checkpoint, PrePrepare, Signed, Status, ViewChange
from consensus.pbft import batches, checkpoints, entering, ordering, standing
from consensus.pbft.new_view import compute
from consensus.pbft.numbers import FinishedNumbers
from consensus.pbft.records import (
    Accepted,
    AskedForView,
    EnteredView,
    Finished,
    FinishedBefore,
    HeldBatch,
    LastPosition,
    Prepared,
    Record,
    SeenPositions,
    SignedCheckpoint,
    decode_record,
    encode_record,
)
from consensus.pbft.state import State, note_position
from primitives.finality import FinalityCertificate


def recover(
    state: State,
    records: Sequence[bytes],
    last_executed: int | None,
    last_block: tuple[bytes, int] | None,
    stable: FinalityCertificate | None,
) -> None:
    """Bring `state` to where the durable records and the ledger left it. Nothing is sent."""
    executed = state.validators.base if last_executed is None else last_executed
    state.stable = state.highest_certificate = stable
    if stable is not None:
        checkpoints.learn_end(state, stable.epoch_end)
    state.last_executed = state.last_delivered = executed
    finished_to = state.validators.base
    for data in records:
        record = decode_record(data)
        apply(state, record)
        if isinstance(record, Finished):
            finished_to = max(finished_to, record.sequence)
    state.blocks = {sequence: block for sequence, block in state.blocks.items() if sequence <= executed}
    if last_block is not None:
        state.blocks[executed] = last_block
        checkpoints.learn_end(state, last_block[1])
    for sequence, certificate in state.prepared.items():
        if finished_to < sequence <= executed:  # executed, but the crash came before the record that says so
            batches.finish(state, sequence, certificate.pre_prepare.proposal)
    batches.return_undecided(state)
    for sequence in sorted(state.slots):
        for proposal in state.slots[sequence].open_proposals:
            batches.mark_in_flight(state, sequence, proposal)
    if state.stable is not None:
        checkpoints.adopt(state, state.stable)


def apply(state: State, record: Record) -> None:
    """Redo one record, without effects."""
    match record:
        case HeldBatch(batch=batch):
            note_position(state, batch)
            note_own(state, batch.replica, batch.position)
            if batch.author == state.replica_id:
                state.own_number = max(state.own_number, batch.number)
            batches.hold(state, batch)
        case Accepted():
            redo_accepted(state, record)
        case Prepared():
            redo_prepared(state, record)
        case AskedForView(view_change=view_change):
            redo_asked(state, view_change)
        case EnteredView():
            redo_entered(state, record)
        case SignedCheckpoint(checkpoint=checkpoint):
            state.checkpoints.setdefault(checkpoint.sequence, {})[checkpoint.replica] = checkpoint
            state.blocks[checkpoint.sequence] = (checkpoint.block_hash, checkpoint.epoch_end)
        case Finished(sequence=sequence, batches=pairs):
            batches.finish_numbers(state, sequence, pairs)
        case FinishedBefore(author=author, floor=floor, above=above):
            state.finished[author] = FinishedNumbers(floor, set(above))
        case SeenPositions(positions=positions):
            state.positions_seen |= {r: max(p, state.positions_seen.get(r, 0)) for r, p in positions}
        case LastPosition(position=position, own_number=own_number):
            state.position = max(state.position, position)
            state.own_number = max(state.own_number, own_number)


def redo_asked(state: State, view_change: ViewChange) -> None:
    note_own(state, view_change.replica, view_change.position)
    state.own_view_change = view_change
    state.may_vote_from_view = max(state.may_vote_from_view, view_change.new_view)
    if view_change.new_view > state.view:
        state.view_changes[view_change.replica] = view_change
        state.changing_view = True


def note_own(state: State, replica: int, position: int) -> None:
    """Positions of what we signed are never given again."""
    if replica == state.replica_id:
        state.position = max(state.position, position)


def redo_accepted(state: State, record: Accepted) -> None:
    pre_prepare, prepare = record.pre_prepare, record.prepare
    note_position(state, pre_prepare)
    note_own(state, pre_prepare.replica, pre_prepare.position)
    if prepare is not None:
        note_own(state, prepare.replica, prepare.position)
    slot = state.slot(pre_prepare.sequence)
    if pre_prepare.view != state.view or slot.pre_prepare is not None:
        return
    slot.accept(pre_prepare)
    if prepare is not None:
        slot.own_prepare = prepare
        slot.prepares[prepare.replica] = prepare
    if pre_prepare.replica == state.replica_id:
        state.last_proposed = max(state.last_proposed, pre_prepare.sequence)


def redo_prepared(state: State, record: Prepared) -> None:
    certificate, commit = record.certificate, record.commit
    sequence = certificate.pre_prepare.sequence
    state.prepared[sequence] = certificate
    for vote in certificate.prepares:
        note_position(state, vote)
    if commit is None:
        return
    note_own(state, commit.replica, commit.position)
    slot = state.slot(sequence)
    if slot.pre_prepare is not None and (commit.view, commit.digest) == (state.view, slot.digest):
        slot.prepares.update({vote.replica: vote for vote in certificate.prepares})
        slot.own_commit = commit
        slot.commits[commit.replica] = commit


def redo_entered(state: State, record: EnteredView) -> None:
    new_view = record.new_view
    note_own(state, new_view.replica, new_view.position)
    note_position(state, new_view)
    for view_change in record.view_changes:
        note_position(state, view_change)
    for pre_prepare in new_view.pre_prepares:
        note_own(state, pre_prepare.replica, pre_prepare.position)
    reissue = compute(state.validators, record.view_changes)
    entering.begin(state, new_view, record.view_changes, reissue)
    if reissue.stable is not None and reissue.stable.height > state.low:
        state.stable = reissue.stable
        checkpoints.learn_end(state, reissue.stable.epoch_end)
        if state.highest_certificate is None or reissue.stable.height > state.highest_certificate.height:
            state.highest_certificate = reissue.stable


def restore_certificate(state: State, in_ledger: FinalityCertificate | None) -> None:
    """Give the ledger a certificate that the log knows by a view that was entered, and the ledger lost unsynced.

    Without it the ledger could show nobody the blocks up to there, and the watermark has passed them.
    """
    stable = state.stable
    if stable is not None and stable != in_ledger and stable.height <= state.last_executed:
        state.emit(Certified(stable))


def resume(state: State) -> None:
    """First effects once we may speak: repeat the promises that may never have left, byte for byte."""
    if state.silent:
        return
    executed = state.last_executed
    if executed > state.low and executed in state.blocks:
        checkpoints.sign_checkpoint(state, executed)
        checkpoints.count(state, executed)
    if state.changing_view and state.own_view_change is not None:
        state.broadcast(state.own_view_change)
        state.start_timer("resend", state.configuration.resend_ms)
        return
    for sequence in sorted(state.slots):
        slot = state.slots.get(sequence)
        if slot is not None and slot.pre_prepare is not None:
            repeat_proposal(state, slot.pre_prepare)
            ordering.progress(state, sequence)
    for sequence in sorted(state.slots):
        ordering.consider(state, sequence)


def check_own(state: State, message: Signed) -> None:
    """A message of our own came back. One above our log's last position shows that the log forgot what we promised.

    Batches go on: one that was executed here may be named again and is then fetched like any other.

    Raises:
        Refusal: `reflected`, for everything but a batch.
    """
    if not isinstance(message, Checkpoint | Status) and message.position > max(state.position, state.outdated_by):
        state.verify(message)
        standing.fall_behind(state, message.position)
    if not isinstance(message, Batch) or state.silent:
        raise Refusal("reflected", message.replica)


def repeat_proposal(state: State, pre_prepare: PrePrepare) -> None:
    """Only we can have lost a proposal of ours; lost votes are asked for in Status messages."""
    if pre_prepare.replica == state.replica_id and pre_prepare.sequence > state.view_top:
        state.broadcast(pre_prepare)


def retained(state: State) -> list[bytes]:
    """Return the records that a vote log truncated at the stable checkpoint must still hold."""
    records: list[Record] = [LastPosition(state.position, state.own_number)]
    records.append(SeenPositions(tuple(sorted(state.positions_seen.items()))))
    for author, numbers in sorted(state.finished.items()):
        records.append(FinishedBefore(author, numbers.floor, tuple(sorted(numbers.above))))
    records += [HeldBatch(batch) for _, batch in sorted(state.batches.items())]
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
