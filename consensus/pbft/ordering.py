"""The normal case: pre-prepare, prepare, commit, and handing over in order. Spec: "Normal case"."""

from __future__ import annotations

from consensus.engine import Execute
from consensus.errors import Refusal
from consensus.messages import Commit, Prepare, PrePrepare, Proposal
from consensus.pbft import batches
from consensus.pbft.records import Accepted, Prepared
from consensus.pbft.slots import Slot
from consensus.pbft.state import State


def propose(state: State, *, empty: bool = False) -> None:
    """As primary, propose what waits while there is room; with `empty` one proposal even if nothing waits.

    Once the epoch's end is known, empty proposals fill the way there, so that the change is prompt.
    """
    while may_propose(state):
        sequence = next_sequence(state)
        digests = batches.fill_proposal(state, sequence, state.configuration.proposal_bytes_max)
        if not digests and not empty and not state.epoch_end:
            return
        empty = False
        proposal = Proposal(state.replica_id, state.now_ms, digests)
        pre_prepare = sign_pre_prepare(state, state.view, sequence, proposal)
        state.last_proposed = sequence
        state.proposed_at_ms = state.now_ms
        batches.mark_in_flight(state, sequence, proposal)
        accept(state, pre_prepare)


def sign_pre_prepare(state: State, view: int, sequence: int, proposal: Proposal) -> PrePrepare:
    epoch = state.validators.epoch
    signed: PrePrepare = state.sign(
        PrePrepare(epoch, state.own_id, state.next_position(), view, sequence, proposal, bytes(64))
    )
    return signed


def next_sequence(state: State) -> int:
    return max(state.last_proposed, state.view_base, state.view_top, state.low) + 1


def may_propose(state: State) -> bool:
    """Tell whether the pipeline, the watermarks and our executor leave room for one more sequence, and whether it is
    time for one: at once where nothing is under way, so that a lone transaction waits for nobody.

    A primary behind its view's base may lead: what it has not executed yet does not count as in flight.
    """
    if not (state.is_primary and state.may_vote):
        return False
    sequence = next_sequence(state)
    settled = max(state.low, state.view_base, state.last_delivered)
    undecided = sum(1 for pending in range(settled + 1, sequence) if pending not in state.decided)
    awaiting_execution = state.last_delivered - state.last_executed
    configuration = state.configuration
    at_rest = undecided == 0 and awaiting_execution == 0
    rested = state.now_ms - state.proposed_at_ms >= configuration.proposal_spacing_ms
    return (
        sequence <= state.high
        and undecided < configuration.pipeline_depth
        and awaiting_execution <= configuration.execution_lag_max
        and (at_rest or rested or bool(state.epoch_end))
    )


def receive_pre_prepare(state: State, message: PrePrepare) -> None:
    """A fresh proposal of the view's primary."""
    if message.view != state.view or state.changing_view:
        raise Refusal("other_view", message.replica)
    if message.replica != state.primary or state.is_primary:
        raise Refusal("not_the_primary", message.replica)
    check_window(state, message.sequence, message.replica)
    slot = state.slot(message.sequence)
    known = slot.pre_prepare or slot.candidate
    if known is not None and known.digest == message.digest:
        return
    if known is None and message.sequence <= state.view_top:
        raise Refusal("belongs_to_new_view", message.replica)
    state.verify(message)
    if known is not None:
        state.accuse(known, message)
        raise Refusal("two_proposals", message.replica)
    check_fresh(state, message)
    slot.candidate = message
    batches.mark_in_flight(state, message.sequence, message.proposal)
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
    if len(proposal.batches) > state.configuration.batches_per_proposal_max:
        raise Refusal("too_many_batches", message.replica)
    if len(set(proposal.batches)) != len(proposal.batches):
        raise Refusal("repeated_batch", message.replica)
    if any(digest in state.in_flight for digest in proposal.batches):
        raise Refusal("batch_already_proposed", message.replica)


def consider(state: State, sequence: int) -> None:
    """Accept the candidate of `sequence` if its predecessor is accepted and its batches are here, and so on up.

    A proposal above the byte limit stays a candidate for ever: as work that makes no progress it ends the view.
    """
    while (slot := state.slots.get(sequence)) is not None and slot.candidate is not None:
        candidate = slot.candidate
        lacking = batches.missing(state, candidate.proposal)
        if lacking:
            batches.request_missing(state, lacking, batch_holders(state, slot))
            return
        size = sum(state.batch_bytes[digest] for digest in candidate.proposal.batches)
        fits = size <= state.configuration.proposal_bytes_max
        if not (fits and state.may_vote and predecessor_accepted(state, sequence)):
            return
        accept(state, candidate)
        sequence += 1


def batch_holders(state: State, slot: Slot) -> set[int]:
    """Return whom to ask first: the primary, or where that is us, those who prepared."""
    assert slot.candidate is not None
    primary = slot.candidate.replica
    return {primary} if primary != state.replica_id else set(slot.prepares) or set(state.others)


def predecessor_accepted(state: State, sequence: int) -> bool:
    before = sequence - 1
    if before <= max(state.view_base, state.low):
        return True
    slot = state.slots.get(before)
    return slot is not None and slot.pre_prepare is not None


def accept(state: State, pre_prepare: PrePrepare) -> None:
    """Take the proposal as the one of its (view, sequence), durably, and vote for it: a primary by proposing it."""
    slot = state.slot(pre_prepare.sequence)
    slot.accept(pre_prepare)
    if pre_prepare.replica == state.replica_id:
        state.persist(Accepted(pre_prepare, None))
        if pre_prepare.sequence > state.view_top:
            state.broadcast(pre_prepare)  # a re-issue has left with its NewView
    else:
        epoch, view, sequence = state.validators.epoch, pre_prepare.view, pre_prepare.sequence
        prepare: Prepare = state.sign(
            Prepare(epoch, state.own_id, state.next_position(), view, sequence, slot.digest, bytes(64))
        )
        slot.own_prepare = prepare
        slot.prepares[prepare.replica] = prepare
        state.persist(Accepted(pre_prepare, prepare))
        state.broadcast(prepare)
    progress(state, pre_prepare.sequence)


def receive_vote(state: State, message: Prepare | Commit) -> None:
    """Count a prepare or commit: one a replica, in the current view only."""
    if message.view != state.view or state.changing_view:
        raise Refusal("other_view", message.replica)
    check_window(state, message.sequence, message.replica)
    if isinstance(message, Prepare) and message.replica == state.primary:
        raise Refusal("primary_prepares_by_proposing", message.replica)
    slot = state.slots.get(message.sequence, Slot())
    known = (slot.prepares if isinstance(message, Prepare) else slot.commits).get(message.replica)
    if known is not None and known.digest == message.digest:
        return
    state.verify(message)
    if known is not None:
        state.accuse(known, message)
        raise Refusal("two_votes", message.replica)
    slot = state.slot(message.sequence)
    if isinstance(message, Prepare):
        slot.prepares[message.replica] = message
    else:
        slot.commits[message.replica] = message
    progress(state, message.sequence)


def progress(state: State, sequence: int) -> None:
    """Move a slot on: prepared, then committed."""
    slot = state.slots[sequence]
    if slot.pre_prepare is None or state.changing_view:
        return
    if slot.own_commit is None and state.may_vote and len(slot.preparers()) >= state.validators.quorum:
        commit_prepared(state, sequence, slot)
    if not slot.decided and slot.own_commit is not None and len(slot.committers()) >= state.validators.quorum:
        slot.decided = True
        decide(state, sequence, slot.pre_prepare.proposal)


def commit_prepared(state: State, sequence: int, slot: Slot) -> None:
    """A quorum prepared: keep the certificate durably, then promise by a commit."""
    certificate = slot.certificate(state.validators.quorum)
    state.prepared[sequence] = certificate
    epoch = state.validators.epoch
    commit: Commit = state.sign(
        Commit(epoch, state.own_id, state.next_position(), state.view, sequence, slot.digest, bytes(64))
    )
    slot.own_commit = commit
    slot.commits[commit.replica] = commit
    state.persist(Prepared(certificate, commit))
    state.broadcast(commit)


def decide(state: State, sequence: int, proposal: Proposal) -> None:
    """A quorum committed `proposal` at `sequence`: it is final, in whatever view.

    Further ahead of our executor than two windows, which only a replica that synchronizes can be, it is not kept: the
    block will come with its certificate.
    """
    if state.last_delivered < sequence <= state.last_executed + 2 * state.configuration.window:
        state.decided.setdefault(sequence, proposal)
    state.view_decided_any = True
    state.views_without_progress = 0
    deliver(state)


def deliver(state: State) -> None:
    """Hand decided sequences to the ledger, in order, each once."""
    while (proposal := state.decided.get(state.last_delivered + 1)) is not None:
        lacking = batches.missing(state, proposal)
        if lacking:
            batches.request_missing(state, lacking, state.others)
            return
        state.last_delivered += 1
        state.delivered_since_status = True
        held = tuple(state.batches[digest] for digest in proposal.batches)
        state.emit(Execute(state.last_delivered, proposal, held))
