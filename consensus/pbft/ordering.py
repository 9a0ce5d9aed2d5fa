"""The normal case: pre-prepare, prepare, commit, and handing over in order. Spec: "Normal case"."""

from __future__ import annotations

from consensus.engine import EvidenceFound, Execute
from consensus.errors import Refusal
from consensus.evidence import Evidence
from consensus.messages import Commit, Prepare, PreparedCertificate, PrePrepare, Proposal, verify_signed
from consensus.pbft import batches
from consensus.pbft.records import Accepted, Prepared
from consensus.pbft.state import Slot, State


def propose(state: State, *, empty: bool = False) -> None:
    """As primary, propose what waits while there is room; with `empty` one proposal even if nothing waits."""
    while may_propose(state):
        digests = batches.fill_proposal(state)
        if not digests and not empty:
            return
        empty = False
        sequence = next_sequence(state)
        proposal = Proposal(state.replica_id, state.now_ms, digests)
        pre_prepare: PrePrepare = state.sign(
            PrePrepare(
                state.validators.epoch,
                state.replica_id or 0,
                state.next_position(),
                state.view,
                sequence,
                proposal,
                bytes(64),
            )
        )
        state.last_proposed = sequence
        accept(state, pre_prepare)
        state.broadcast(pre_prepare)


def next_sequence(state: State) -> int:
    return max(state.last_proposed, state.view_base, state.view_top, state.low) + 1


def may_propose(state: State) -> bool:
    if not (state.is_primary and state.may_vote):
        return False
    sequence = next_sequence(state)
    undecided = sum(1 for s in range(state.low + 1, sequence) if s not in state.decided and s > state.last_delivered)
    awaiting_execution = state.last_delivered - state.last_executed
    return (
        sequence <= state.high
        and undecided < state.configuration.pipeline_depth
        and awaiting_execution <= state.configuration.execution_lag_max
    )


def receive_pre_prepare(state: State, message: PrePrepare) -> None:
    """A fresh proposal of the view's primary."""
    if message.view != state.view or state.changing_view:
        raise Refusal("other_view", message.replica)
    if message.replica != state.primary or state.is_primary:
        raise Refusal("not_the_primary", message.replica)
    check_window(state, message.sequence, message.replica)
    if message.sequence <= state.view_top:
        raise Refusal("belongs_to_new_view", message.replica)
    slot = state.slot(message.sequence)
    known = slot.pre_prepare or slot.candidate
    if known is not None and known.digest == message.digest:
        return
    verify_signed(state.validators, state.verifier, message)
    if known is not None:
        state.emit(EvidenceFound(Evidence(known, message)))
        raise Refusal("two_proposals", message.replica)
    check_fresh(state, message)
    slot.candidate = message
    slot.candidate_is_reissue = False
    consider(state, message.sequence)


def check_window(state: State, sequence: int, culprit: int) -> None:
    if not state.low < sequence <= state.high:
        raise Refusal("outside_the_window", culprit)


def check_fresh(state: State, message: PrePrepare) -> None:
    """What only a fresh proposal must keep; re-issues of a NewView are exempt. Raises Refusal."""
    proposal = message.proposal
    if proposal.proposer != message.replica:
        raise Refusal("wrong_proposer", message.replica)
    if abs(proposal.timestamp_ms - state.now_ms) > state.configuration.clock_tolerance_ms:
        raise Refusal("timestamp_out_of_tolerance", message.replica)
    if len(set(proposal.batches)) != len(proposal.batches):
        raise Refusal("repeated_batch", message.replica)
    if len(proposal.batches) > state.configuration.batches_per_proposal_max:
        raise Refusal("too_many_batches", message.replica)
    if any(digest in state.proposed_in_view for digest in proposal.batches):
        raise Refusal("batch_already_proposed", message.replica)
    for other in state.slots.values():
        if other.candidate is not None and set(other.candidate.proposal.batches) & set(proposal.batches):
            raise Refusal("batch_already_proposed", message.replica)


def consider(state: State, sequence: int) -> None:
    """Accept the candidate of `sequence` if its predecessor is accepted and its batches are here, and so on up."""
    while (slot := state.slots.get(sequence)) is not None and slot.candidate is not None:
        if slot.pre_prepare is not None or not state.may_vote:
            return
        if not predecessor_accepted(state, sequence):
            return
        lacking = batches.missing(state, slot.candidate.proposal)
        if lacking:
            batches.request_missing(state, lacking, [slot.candidate.replica])
            return
        size = sum(sum(map(len, state.batches[d].items)) for d in slot.candidate.proposal.batches)
        if size > state.configuration.proposal_bytes_max:
            slot.candidate = None
            return
        accept(state, slot.candidate)
        sequence += 1


def predecessor_accepted(state: State, sequence: int) -> bool:
    before = sequence - 1
    if before <= max(state.view_base, state.low):
        return True
    slot = state.slots.get(before)
    return slot is not None and slot.pre_prepare is not None


def accept(state: State, pre_prepare: PrePrepare) -> None:
    """Take the proposal as the one of its (view, sequence), durably, and vote for it."""
    slot = state.slot(pre_prepare.sequence)
    slot.candidate = None
    slot.pre_prepare = pre_prepare
    slot.digest = pre_prepare.digest
    batches.mark_in_flight(state, pre_prepare.proposal)
    prepare: Prepare | None = None
    if not state.is_primary:
        prepare = state.sign(
            Prepare(
                state.validators.epoch,
                state.replica_id or 0,
                state.next_position(),
                pre_prepare.view,
                pre_prepare.sequence,
                slot.digest,
                bytes(64),
            )
        )
        slot.own_prepare = prepare
        slot.prepares[prepare.replica] = prepare
    state.persist(Accepted(pre_prepare, prepare))
    if prepare is not None:
        state.broadcast(prepare)
    progress(state, pre_prepare.sequence)


def receive_vote(state: State, message: Prepare | Commit) -> None:
    """Count a prepare or commit: one a replica, in the current view only."""
    if message.view != state.view or state.changing_view:
        raise Refusal("other_view", message.replica)
    check_window(state, message.sequence, message.replica)
    if message.replica == state.replica_id:
        raise Refusal("reflected", message.replica)
    slot = state.slot(message.sequence)
    votes: dict[int, Prepare | Commit] = slot.prepares if isinstance(message, Prepare) else slot.commits  # type: ignore[assignment]
    known = votes.get(message.replica)
    if known is not None and known.digest == message.digest:
        return
    verify_signed(state.validators, state.verifier, message)
    if known is not None:
        state.emit(EvidenceFound(Evidence(known, message)))
        raise Refusal("two_votes", message.replica)
    if isinstance(message, Prepare) and message.replica == state.primary:
        raise Refusal("primary_prepares_by_proposing", message.replica)
    votes[message.replica] = message
    progress(state, message.sequence)


def progress(state: State, sequence: int) -> None:
    """Move a slot on: prepared, then committed."""
    slot = state.slots[sequence]
    if slot.pre_prepare is None or state.changing_view:
        return
    if slot.own_commit is None and state.may_vote and is_prepared(state, slot):
        prepare_certificate(state, sequence, slot)
    commits = [vote for vote in slot.commits.values() if vote.digest == slot.digest]
    prepared = state.prepared.get(sequence)
    is_ours = prepared is not None and prepared.pre_prepare.digest == slot.digest
    if not slot.decided and is_ours and len(commits) >= state.validators.quorum:
        slot.decided = True
        decide(state, sequence, slot.pre_prepare.proposal)


def is_prepared(state: State, slot: Slot) -> bool:
    assert slot.pre_prepare is not None
    voters = {vote.replica for vote in slot.prepares.values() if vote.digest == slot.digest}
    voters.add(slot.pre_prepare.replica)
    return len(voters) >= state.validators.quorum


def prepare_certificate(state: State, sequence: int, slot: Slot) -> None:
    """Keep the certificate durably, then promise by a commit."""
    assert slot.pre_prepare is not None
    prepares = sorted((v for v in slot.prepares.values() if v.digest == slot.digest), key=lambda vote: vote.replica)
    certificate = PreparedCertificate(slot.pre_prepare, tuple(prepares[: state.validators.quorum - 1]))
    state.prepared[sequence] = certificate
    commit: Commit = state.sign(
        Commit(
            state.validators.epoch,
            state.replica_id or 0,
            state.next_position(),
            state.view,
            sequence,
            slot.digest,
            bytes(64),
        )
    )
    slot.own_commit = commit
    slot.commits[commit.replica] = commit
    state.persist(Prepared(certificate, commit))
    state.broadcast(commit)


def decide(state: State, sequence: int, proposal: Proposal) -> None:
    """A quorum committed `proposal` at `sequence`: it is final, in whatever view."""
    if sequence > state.last_delivered:
        state.decided.setdefault(sequence, proposal)
    state.view_decided_any = True
    state.views_without_progress = 0
    deliver(state)


def deliver(state: State) -> None:
    """Hand decided sequences to the ledger, in order, each once."""
    while (proposal := state.decided.get(state.last_delivered + 1)) is not None:
        if batches.missing(state, proposal):
            batches.request_missing(state, batches.missing(state, proposal), others(state))
            return
        state.last_delivered += 1
        state.emit(Execute(state.last_delivered, proposal, tuple(state.batches[digest] for digest in proposal.batches)))


def others(state: State) -> list[int]:
    return [replica for replica in range(state.validators.n) if replica != state.replica_id]
