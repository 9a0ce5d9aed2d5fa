"""Checkpoints are block seals: every executed block is signed, a quorum is its certificate. Spec: "Checkpoints"."""

from __future__ import annotations

from consensus.engine import Certified, Diverged, EvidenceFound, SyncNeeded
from consensus.errors import Refusal
from consensus.evidence import Evidence
from consensus.messages import Checkpoint, verify_signed, verify_stable
from consensus.pbft import batches
from consensus.pbft.records import SignedCheckpoint
from consensus.pbft.state import State
from primitives.finality import FinalityCertificate


def on_executed(state: State, sequence: int, block_hash: bytes) -> None:
    """The ledger executed `sequence`: sign the block."""
    if sequence <= state.last_executed:
        return
    state.last_executed = sequence
    state.block_hashes[sequence] = block_hash
    proposal = state.decided.get(sequence)
    if proposal is not None:
        batches.finish(state, sequence, proposal)
    if state.replica_id is not None and state.diverged_at is None:
        sign_checkpoint(state, sequence, block_hash)
    count(state, sequence)


def sign_checkpoint(state: State, sequence: int, block_hash: bytes) -> None:
    assert state.replica_id is not None
    known = state.checkpoints.get(sequence, {}).get(state.replica_id)
    if known is not None:
        state.broadcast(known)  # signed before a crash: the same bytes again, never others
        return
    checkpoint: Checkpoint = state.sign(
        Checkpoint(state.validators.epoch, state.replica_id, sequence, block_hash, bytes(64))
    )
    state.checkpoints.setdefault(sequence, {})[state.replica_id] = checkpoint
    state.persist(SignedCheckpoint(checkpoint))
    state.broadcast(checkpoint)


def receive_checkpoint(state: State, message: Checkpoint) -> None:
    """Count a signature under a block, ours to execute or not yet."""
    if message.sequence <= state.low:
        return
    if message.sequence > state.high:
        raise Refusal("outside_the_window", message.replica)
    votes = state.checkpoints.setdefault(message.sequence, {})
    known = votes.get(message.replica)
    if known is not None and known.block_hash == message.block_hash:
        return
    verify_signed(state.validators, state.verifier, message)
    if known is not None:
        state.emit(EvidenceFound(Evidence(known, message)))
        raise Refusal("two_checkpoints", message.replica)
    votes[message.replica] = message
    count(state, message.sequence)


def count(state: State, sequence: int) -> None:
    """Make a certificate where a quorum signed one hash."""
    votes = state.checkpoints.get(sequence, {})
    by_hash: dict[bytes, list[Checkpoint]] = {}
    for vote in votes.values():
        by_hash.setdefault(vote.block_hash, []).append(vote)
    for block_hash, agreeing in by_hash.items():
        if len(agreeing) >= state.validators.quorum:
            signatures = sorted((vote.replica, vote.signature) for vote in agreeing)
            certificate = FinalityCertificate(state.validators.epoch, sequence, block_hash, tuple(signatures))
            take_certificate(state, certificate, {vote.replica for vote in agreeing})
            return


def receive_certificate(state: State, certificate: FinalityCertificate, holder: int) -> None:
    """A certificate that somebody advertises. Raises Refusal when it does not hold."""
    if certificate.height <= state.low:
        return
    highest = state.highest_certificate
    if highest is not None and certificate == highest:
        state.certificate_holders.add(holder)
        return
    verify_stable(state.validators, certificate)
    take_certificate(state, certificate, {holder})


def take_certificate(state: State, certificate: FinalityCertificate, holders: set[int]) -> None:
    """A valid certificate: stable where we executed that block, a reason to synchronize where we are behind."""
    highest = state.highest_certificate
    if highest is None or certificate.height > highest.height:
        state.highest_certificate = certificate
        state.certificate_holders = set(holders)
    elif certificate.height == highest.height:
        state.certificate_holders |= holders
    if certificate.height <= state.last_executed:
        settle(state, certificate)
    elif certificate.height > state.high:
        ask_for_synchronization(state)


def settle(state: State, certificate: FinalityCertificate) -> None:
    """Compare a certificate with our own block, and make it the stable checkpoint."""
    if certificate.height <= state.low:
        return
    own = state.block_hashes.get(certificate.height)
    if own is not None and own != certificate.block_hash:
        state.diverged_at = certificate.height
        state.emit(Diverged(certificate, own))
        return
    state.emit(Certified(certificate))
    make_stable(state, certificate)


def make_stable(state: State, certificate: FinalityCertificate) -> None:
    """Move the low watermark and forget what lies below it."""
    state.stable = certificate
    low = certificate.height
    for table in (state.slots, state.prepared, state.decided, state.block_hashes, state.checkpoints):
        for sequence in [sequence for sequence in table if sequence <= low]:
            del table[sequence]
    batches.prune(state)


def on_synchronized(state: State, certificate: FinalityCertificate, executed: tuple[tuple[int, int], ...] = ()) -> None:
    """The ledger reached a certified height by itself."""
    if certificate.height <= state.low and certificate.height <= state.last_executed:
        return
    if state.diverged_at is not None and certificate.height >= state.diverged_at:
        state.diverged_at = None
    batches.finish_numbers(state, certificate.height, executed)
    for sequence in range(state.last_executed + 1, certificate.height + 1):
        if (proposal := state.decided.get(sequence)) is not None:
            batches.finish(state, sequence, proposal)
    state.last_executed = max(state.last_executed, certificate.height)
    state.last_delivered = max(state.last_delivered, certificate.height)
    if certificate.height > state.low:
        make_stable(state, certificate)
    for sequence in sorted(state.checkpoints):
        count(state, sequence)


def ask_for_synchronization(state: State) -> None:
    """Tell the node that a certified height is beyond what we execute ourselves."""
    certificate = state.highest_certificate
    if certificate is not None and certificate.height > state.last_executed:
        state.emit(SyncNeeded(certificate, tuple(sorted(state.certificate_holders))))  # type: ignore[arg-type]
