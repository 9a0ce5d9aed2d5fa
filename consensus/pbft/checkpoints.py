"""Checkpoints are block seals: every executed block is signed, a quorum is its certificate. Spec: "Checkpoints"."""

from __future__ import annotations

from consensus.certificates import verify_stable
from consensus.engine import Certified, Diverged, ReplicaId, SyncNeeded
from consensus.errors import Refusal
from consensus.messages import Checkpoint
from consensus.pbft import batches, standing
from consensus.pbft.records import SignedCheckpoint
from consensus.pbft.state import State
from primitives.finality import FinalityCertificate


def on_executed(state: State, sequence: int, block_hash: bytes, epoch_end: int) -> None:
    """The ledger executed `sequence`: sign the block."""
    if sequence <= state.last_executed:
        return
    state.last_executed = sequence
    state.last_delivered = max(state.last_delivered, sequence)
    state.blocks[sequence] = (block_hash, epoch_end)
    learn_end(state, epoch_end)
    proposal = state.decided.pop(sequence, None)
    if proposal is not None:
        batches.persist_finished(state, sequence, batches.finish(state, sequence, proposal))
    batches.return_passed_over(state, sequence)
    if sequence > state.low:
        sign_checkpoint(state, sequence)
        count(state, sequence)
    highest = state.highest_certificate
    if highest is not None and sequence == highest.height:
        settle(state, highest)


def learn_end(state: State, epoch_end: int) -> None:
    """Our own block, or a valid certificate, says where the epoch ends."""
    state.epoch_end = state.epoch_end or epoch_end


def sign_checkpoint(state: State, sequence: int) -> None:
    if state.silent:
        return
    known = state.checkpoints.get(sequence, {}).get(state.own_id)
    if known is not None:
        state.broadcast(known)  # signed before a crash: the same bytes again, never others
        return
    block_hash, epoch_end = state.blocks[sequence]
    checkpoint: Checkpoint = state.sign(
        Checkpoint(state.validators.epoch, state.own_id, sequence, block_hash, epoch_end, bytes(64))
    )
    state.checkpoints.setdefault(sequence, {})[state.own_id] = checkpoint
    state.persist(SignedCheckpoint(checkpoint))
    state.broadcast(checkpoint)


def receive_checkpoint(state: State, message: Checkpoint) -> None:
    """Count a signature under a block, ours to execute or not yet."""
    if message.sequence <= state.low:
        return
    if message.sequence > state.high:
        raise Refusal("outside_the_window", message.replica)
    known = state.checkpoints.get(message.sequence, {}).get(message.replica)
    if known is not None and (known.block_hash, known.epoch_end) == (message.block_hash, message.epoch_end):
        return
    state.verify(message)
    if known is not None:
        state.accuse(known, message)
        raise Refusal("two_checkpoints", message.replica)
    state.checkpoints.setdefault(message.sequence, {})[message.replica] = message
    count(state, message.sequence)


def count(state: State, sequence: int) -> None:
    """Make a certificate where a quorum signed one hash."""
    by_block: dict[tuple[bytes, int], list[Checkpoint]] = {}
    for vote in state.checkpoints.get(sequence, {}).values():
        by_block.setdefault((vote.block_hash, vote.epoch_end), []).append(vote)
    for (block_hash, epoch_end), agreeing in by_block.items():
        if len(agreeing) >= state.validators.quorum:
            signatures = tuple(sorted((vote.replica, vote.signature) for vote in agreeing))
            certificate = FinalityCertificate(state.validators.epoch, sequence, block_hash, epoch_end, signatures)
            take_certificate(state, certificate, {vote.replica for vote in agreeing})
            return


def receive_certificate(state: State, certificate: FinalityCertificate, holder: int | None) -> None:
    """A certificate that somebody shows. Raises Refusal when it does not hold."""
    if certificate.height <= state.low:
        return
    highest = state.highest_certificate
    holders = set() if holder is None else {holder}
    if highest is not None and certificate == highest:
        state.certificate_holders |= holders
        return
    verify_stable(state.validators, state.verifier, certificate)
    take_certificate(state, certificate, holders)


def take_certificate(state: State, certificate: FinalityCertificate, holders: set[int]) -> None:
    """A valid certificate: the stable checkpoint where we executed that block, a reason to synchronize far behind it.

    In between, within the window, the votes that decided the block are most likely on their way. Not those for what
    the view re-issued: a quorum may have decided it before, and who has forgotten it below a stable checkpoint does not
    vote for it again.
    """
    learn_end(state, certificate.epoch_end)
    standing.doubt(state, certificate)
    highest = state.highest_certificate
    higher = highest is None or certificate.height > highest.height
    if higher:
        state.highest_certificate = certificate
        state.certificate_holders = set(holders)
    elif highest is not None and certificate.height == highest.height:
        state.certificate_holders |= holders
    if certificate.height <= state.last_executed:
        settle(state, certificate)
    elif certificate.height >= state.low + state.configuration.window:
        adopt(state, certificate)
        ask_for_synchronization(state)
    elif higher and state.last_delivered < min(state.view_top, certificate.height):
        ask_for_synchronization(state)


def settle(state: State, certificate: FinalityCertificate) -> None:
    """Compare a certificate with our own block, and make it the stable checkpoint.

    A block whose hash is not known any more (executed before a restart) is settled by a later certificate.
    """
    own = state.blocks.get(certificate.height)
    if own is None or state.diverged_at is not None:
        return
    if own != (certificate.block_hash, certificate.epoch_end):
        state.diverged_at = certificate.height
        state.emit(Diverged(certificate, own[0]))
        return
    adopt(state, certificate)
    state.emit(Certified(certificate))


def adopt(state: State, certificate: FinalityCertificate) -> None:
    """Move the low watermark and forget what lies below it, but for what we have yet to execute."""
    if certificate.height > state.low:
        state.stable = certificate
    for table in (state.slots, state.prepared, state.checkpoints):
        for sequence in [sequence for sequence in table if sequence <= state.low]:
            del table[sequence]
    for sequence in [sequence for sequence in state.blocks if sequence <= state.low]:
        del state.blocks[sequence]
    batches.prune(state)


def on_synchronized(state: State, certificate: FinalityCertificate, executed: tuple[tuple[int, int], ...] = ()) -> None:
    """The ledger reached a certified height by itself."""
    if certificate.epoch != state.validators.epoch:
        return  # it was said to the replica of the epoch before
    height = certificate.height
    standing.doubt(state, certificate)
    learn_end(state, certificate.epoch_end)
    if state.diverged_at is not None and height >= state.diverged_at:
        state.diverged_at = None
    batches.finish_numbers(state, height, executed)
    batches.persist_finished(state, height, executed)
    for sequence in sorted(sequence for sequence in state.decided if sequence <= height):
        batches.persist_finished(state, sequence, batches.finish(state, sequence, state.decided.pop(sequence)))
    state.last_executed = max(state.last_executed, height)
    state.last_delivered = max(state.last_delivered, height)
    if state.highest_certificate is None or state.highest_certificate.height < height:
        state.highest_certificate = certificate
        state.certificate_holders = set()
    adopt(state, certificate)
    batches.return_passed_over(state, height)
    for sequence in sorted(state.checkpoints):
        count(state, sequence)


def notice_lag(state: State) -> None:
    """A Status period after we learned of a certified height, its decisions did not come by themselves: synchronize.

    While decisions do come, if late, blocks that are fetched would only have their signatures checked a second time: a
    loaded replica would fall behind by catching up. So it is given some periods; not more, or a primary that lets us
    have one batch a period would decide how far behind we are.
    """
    known = state.certified_at_status
    late, too_late = known[-1] > state.last_delivered, known[0] > state.last_delivered
    if too_late or (late and not state.delivered_since_status):
        ask_for_synchronization(state)
    state.delivered_since_status = False
    known.append(known[-1] if state.highest_certificate is None else state.highest_certificate.height)


def ask_for_synchronization(state: State) -> None:
    """Tell the node that a certified height is beyond what we execute ourselves."""
    certificate = state.highest_certificate
    if certificate is not None and certificate.height > state.last_executed:
        holders = tuple(ReplicaId(replica) for replica in sorted(state.certificate_holders))
        state.emit(SyncNeeded(certificate, holders))
