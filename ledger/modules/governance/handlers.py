"""Proposing, voting, objecting, and what time makes of a proposal."""

from __future__ import annotations

import msgspec

from ledger.epochs import is_development
from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.attempts import attempt
from ledger.modules.fields import MARKER
from ledger.modules.governance import events, members, treasury
from ledger.modules.governance.kinds import Kind, kind_of
from ledger.modules.governance.operations import Object, Propose, RecoverAccount, Vote
from ledger.modules.governance.records import (
    DELAY_END,
    OPEN,
    OPEN_PROPOSALS_MAX,
    PROPOSALS,
    STOOD_MS,
    VOTING_END,
    AccreditationChange,
    ArtifactChange,
    Change,
    CreditChange,
    MemberChange,
    Proposal,
    State,
    ValidatorChange,
    carries,
    judges,
    passes,
    proposal_id,
    stops,
)
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import account, organizations
from ledger.modules.organizations.records import organization_part


def propose(context: Context, operation: Propose) -> None:
    """Open a proposal, which an approval could bring into effect as things stand."""
    organization = _representative(context)
    if operation.text is not None:
        check_cid(operation.text, "governance.text")
    identifier = proposal_id(context.transaction_id, operation.change)
    if PROPOSALS.get(context.view, identifier) is not None:
        raise OperationError("governance.proposal_exists", "the transaction proposes this twice")
    if isinstance(operation.change, CreditChange):
        treasury.require_own(context, operation.change)
    kind_of(operation.change).require_possible(context, identifier, operation.change)
    part = organization_part(organization)
    if sum(1 for _ in OPEN.items(context.view, part)) >= OPEN_PROPOSALS_MAX:
        raise OperationError(
            "governance.too_many_proposals", f"an organization has at most {OPEN_PROPOSALS_MAX} open proposals"
        )
    proposal = Proposal(
        organization=organization,
        proposer=context.sender,
        change=operation.change,
        title=operation.title,
        text=operation.text,
        proposed_at_ms=context.block_time_ms,
        closes_at_ms=context.block_time_ms + context.parameters.voting_period_ms,
        state="open",
        approvals=(),
        refusals=(),
    )
    tally = quota.Tally(context)
    tally.put(organization, PROPOSALS.key(identifier), None, proposal)
    tally.put(organization, OPEN.key(part, identifier), None, MARKER)
    tally.schedule(organization, proposal.closes_at_ms, VOTING_END, identifier)
    tally.settle()
    context.emit(
        events.ProposalOpened(
            proposal=identifier,
            organization=organization,
            change=str(type(operation.change).__struct_config__.tag),
            node_id=operation.change.node_id if isinstance(operation.change, ValidatorChange) else "",
            subject=_subject(operation.change),
            closes_at_ms=proposal.closes_at_ms,
        )
    )
    if isinstance(operation.change, MemberChange):
        members.opened(context, organization, identifier, operation.change, proposal.closes_at_ms)


def _subject(change: Change) -> str:
    """Name the organization, the account or the artifact that a change is of."""
    if isinstance(change, ArtifactChange):
        return change.artifact
    if isinstance(change, RecoverAccount | AccreditationChange):
        return change.account.hex()
    if isinstance(change, CreditChange):
        return "" if change.account is None else change.account.hex()
    return change.organization if isinstance(change, MemberChange) else ""


def vote(context: Context, operation: Vote) -> None:
    """Count the vote of the sender's organization, and act on the outcome as soon as no further vote can change it. The
    votes of organizations that were removed since count neither way.

    The vote that would approve a change which has become impossible, and which takes effect without a delay, is
    refused: the proposal stays open, and may become possible again.
    """
    organization = _representative(context)
    proposal = _proposal(context, operation.proposal)
    if proposal.state != "open" or context.block_time_ms >= proposal.closes_at_ms:
        raise OperationError("governance.voting_closed", "the proposal is decided, or its time is over")
    if organization in (*proposal.approvals, *proposal.refusals):
        raise OperationError("governance.already_voted", f"{organization} has voted on this proposal")
    context.emit(events.VoteCast(operation.proposal, organization, operation.approve))
    field = "approvals" if operation.approve else "refusals"
    proposal = msgspec.structs.replace(proposal, **{field: (*getattr(proposal, field), organization)})
    approvals, refusals, voters = tally(context, proposal)
    # Of either threshold: two thirds of all are two thirds of whoever votes, and a third against leaves too few.
    if passes(approvals, voters):
        _end_voting(context, proposal, operation.proposal)
        _approve(context, operation.proposal, proposal)
    elif not passes(voters - refusals, voters):
        _end_voting(context, proposal, operation.proposal)
        context.emit(events.ProposalRejected(operation.proposal))
        _close(context, operation.proposal, proposal, "rejected")
    else:
        quota.store(context, proposal.organization, PROPOSALS, proposal, operation.proposal, enforced=False)


def object_(context: Context, operation: Object) -> None:
    """Count the objection of the sender's organization, and stop what waits where it is one of a third of all."""
    organization = _representative(context)
    proposal = _proposal(context, operation.proposal)
    if proposal.state != "waiting" or context.block_time_ms >= proposal.executes_at_ms:
        raise OperationError("governance.not_waiting", "the proposal does not wait for a delay, or not any more")
    if organization in proposal.objections:
        raise OperationError("governance.already_objected", f"{organization} has objected to this proposal")
    context.emit(events.ObjectionRaised(operation.proposal, organization))
    proposal = msgspec.structs.replace(proposal, objections=(*proposal.objections, organization))
    if _is_stopped(context, proposal):
        quota.cancel(context, proposal.organization, proposal.executes_at_ms, DELAY_END, operation.proposal)
        _stop(context, operation.proposal, proposal)
    else:
        quota.store(context, proposal.organization, PROPOSALS, proposal, operation.proposal, enforced=False)


def on_voting_end(context: Context, subject: bytes) -> None:
    """The last count of a proposal that is still open: where it takes two thirds of those that voted it may be approved
    now; else it expires, or is rejected where enough have approved and too many refused."""
    proposal = PROPOSALS.get(context.view, subject)
    if proposal is None or proposal.state != "open":
        return
    quota.swept(context, proposal.organization)
    approvals, refusals, voters = tally(context, proposal)
    if kind_of(proposal.change).threshold == "voters":
        if carries(approvals, refusals, voters):
            _approve(context, subject, proposal)
            return
        if 2 * approvals > voters:
            context.emit(events.ProposalRejected(subject))
            _close(context, subject, proposal, "rejected")
            return
    _close(context, subject, proposal, "expired")
    context.emit(events.ProposalExpired(subject))


def on_delay_end(context: Context, subject: bytes) -> None:
    """Do what was approved, as a whole or not at all; what has become impossible says why, and changes nothing. Where
    organizations were removed meanwhile, the objections may have become enough. Where the network stood still at the
    end, the delay begins anew: a stop of any length would else leave no time to object. The clock of a development
    network is moved on purpose."""
    proposal = PROPOSALS.get(context.view, subject)
    if proposal is None or proposal.state != "waiting":
        return
    quota.swept(context, proposal.organization)
    if _is_stopped(context, proposal):
        _stop(context, subject, proposal)
        return
    kind = kind_of(proposal.change)
    late_ms = context.block_time_ms - proposal.executes_at_ms
    if late_ms > STOOD_MS and not is_development(context.view):
        context.emit(events.ProposalDelayed(subject, _wait(context, subject, proposal, kind)))
        return
    code = attempt(context, lambda inner: _ignore(kind.bring_about(inner, subject, proposal.change)))
    if code:
        context.emit(events.ProposalFailed(subject, code))
        _close(context, subject, msgspec.structs.replace(proposal, failure=code), "failed")
    else:
        context.emit(events.ProposalExecuted(subject))
        _close(context, subject, proposal, "executed")


def tally(context: Context, proposal: Proposal) -> tuple[int, int, int]:
    """Return (approvals, refusals, organizations) as they count now."""
    voters = set(organizations(context.view))
    return len(voters.intersection(proposal.approvals)), len(voters.intersection(proposal.refusals)), len(voters)


def _is_stopped(context: Context, proposal: Proposal) -> bool:
    voters = set(organizations(context.view))
    return stops(len(voters.intersection(proposal.objections)), judges(proposal, len(voters)))


def _stop(context: Context, identifier: bytes, proposal: Proposal) -> None:
    context.emit(events.ProposalStopped(identifier))
    _close(context, identifier, proposal, "stopped")


def _approve(context: Context, identifier: bytes, proposal: Proposal) -> None:
    """Do what is approved, or let it wait: for its delay, or for the epoch's end."""
    kind = kind_of(proposal.change)
    if kind.delay is None:
        end = kind.bring_about(context, identifier, proposal.change)
        context.emit(events.ProposalApproved(identifier, end, 0))
        _close(context, identifier, proposal, "approved")
        return
    approved = msgspec.structs.replace(proposal, state="waiting", present=len(organizations(context.view)))
    context.emit(events.ProposalApproved(identifier, 0, _wait(context, identifier, approved, kind)))


def _wait(context: Context, identifier: bytes, proposal: Proposal, kind: Kind) -> int:
    """Let an approved proposal wait for its delay from now on; return the end."""
    assert kind.delay is not None
    due_ms = context.block_time_ms + context.parameters.value(kind.delay)
    waiting = msgspec.structs.replace(proposal, executes_at_ms=due_ms)
    quota.schedule(context, proposal.organization, due_ms, DELAY_END, identifier, enforced=False)
    quota.store(context, proposal.organization, PROPOSALS, waiting, identifier, enforced=False)
    return due_ms


def _end_voting(context: Context, proposal: Proposal, identifier: bytes) -> None:
    quota.cancel(context, proposal.organization, proposal.closes_at_ms, VOTING_END, identifier)


def _close(context: Context, identifier: bytes, proposal: Proposal, state: State) -> None:
    closed = msgspec.structs.replace(proposal, state=state)
    quota.store(context, proposal.organization, PROPOSALS, closed, identifier, enforced=False)
    quota.remove(context, proposal.organization, OPEN, organization_part(proposal.organization), identifier)
    if state != "approved" and isinstance(proposal.change, MemberChange):
        members.dropped(context, identifier, proposal.change)


def _proposal(context: Context, identifier: bytes) -> Proposal:
    proposal = PROPOSALS.get(context.view, identifier)
    if proposal is None:
        raise OperationError("governance.unknown_proposal", "no such proposal on this network")
    return proposal


def _ignore(_end: int) -> None:
    """What is done after a delay says itself when it holds."""


def _representative(context: Context) -> str:
    """Return the sender's organization, for which the sender speaks.

    Only accounts of the genesis do, as only they open further ones: whoever an organization has opened an account for
    would otherwise decide for it.
    """
    sender = account(context.view, context.sender)
    assert sender is not None
    if not sender.vouches:
        raise OperationError("governance.not_a_representative", "the account does not speak for its organization")
    return sender.organization
