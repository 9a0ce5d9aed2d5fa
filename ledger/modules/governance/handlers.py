"""Proposing and voting."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.fields import MARKER
from ledger.modules.governance import artifacts, events, members
from ledger.modules.governance.admission import admit, require_admissible
from ledger.modules.governance.operations import Propose, RecoverAccount, Vote
from ledger.modules.governance.records import (
    OPEN,
    OPEN_PROPOSALS_MAX,
    PROPOSALS,
    VOTING_END,
    ArtifactChange,
    Change,
    MemberChange,
    Proposal,
    State,
    ValidatorChange,
    passes,
    proposal_id,
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
    if isinstance(operation.change, MemberChange):
        members.require_possible(context, operation.change)
    elif isinstance(operation.change, ArtifactChange):
        artifacts.require_possible(context, operation.change)
    else:
        require_admissible(context, identifier, operation.change)
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
    quota.store(context, organization, PROPOSALS, proposal, identifier)
    quota.store(context, organization, OPEN, MARKER, part, identifier)
    quota.schedule(context, organization, proposal.closes_at_ms, VOTING_END, identifier)
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
    if isinstance(change, RecoverAccount):
        return change.account.hex()
    return change.organization if isinstance(change, MemberChange) else ""


def vote(context: Context, operation: Vote) -> None:
    """Count the vote of the sender's organization, and act on the outcome at once. The votes of organizations that were
    removed since count neither way.

    The vote that would approve a change which has become impossible is refused: the proposal stays open, and may become
    possible again.
    """
    organization = _representative(context)
    proposal = PROPOSALS.get(context.view, operation.proposal)
    if proposal is None:
        raise OperationError("governance.unknown_proposal", "no such proposal on this network")
    if proposal.state != "open" or context.block_time_ms >= proposal.closes_at_ms:
        raise OperationError("governance.voting_closed", "the proposal is decided, or its time is over")
    if organization in (*proposal.approvals, *proposal.refusals):
        raise OperationError("governance.already_voted", f"{organization} has voted on this proposal")
    context.emit(events.VoteCast(operation.proposal, organization, operation.approve))
    field = "approvals" if operation.approve else "refusals"
    proposal = msgspec.structs.replace(proposal, **{field: (*getattr(proposal, field), organization)})
    voters = set(organizations(context.view))
    approvals, refusals = len(voters.intersection(proposal.approvals)), len(voters.intersection(proposal.refusals))
    if passes(approvals, len(voters)):
        end = _bring_about(context, operation.proposal, proposal.change)
        context.emit(events.ProposalApproved(operation.proposal, end))
        _close(context, operation.proposal, proposal, "approved")
    elif not passes(len(voters) - refusals, len(voters)):
        context.emit(events.ProposalRejected(operation.proposal))
        _close(context, operation.proposal, proposal, "rejected")
    else:
        quota.store(context, proposal.organization, PROPOSALS, proposal, operation.proposal, enforced=False)


def _bring_about(context: Context, identifier: bytes, change: Change) -> int:
    """Make an approved change, or let it wait for the epoch's end; return that end, 0 where none is known or needed."""
    if isinstance(change, MemberChange):
        members.bring_about(context, change)
        return 0
    if isinstance(change, ArtifactChange):
        artifacts.bring_about(context, identifier, change)
        return 0
    return admit(context, identifier, change)


def on_voting_end(context: Context, subject: bytes) -> None:
    """A proposal that too few have voted on expires."""
    proposal = PROPOSALS.get(context.view, subject)
    if proposal is None or proposal.state != "open":
        return
    quota.swept(context, proposal.organization)
    _store_closed(context, subject, proposal, "expired")
    context.emit(events.ProposalExpired(subject))


def _close(context: Context, identifier: bytes, proposal: Proposal, state: State) -> None:
    quota.cancel(context, proposal.organization, proposal.closes_at_ms, VOTING_END, identifier)
    _store_closed(context, identifier, proposal, state)


def _store_closed(context: Context, identifier: bytes, proposal: Proposal, state: State) -> None:
    closed = msgspec.structs.replace(proposal, state=state)
    quota.store(context, proposal.organization, PROPOSALS, closed, identifier, enforced=False)
    quota.remove(context, proposal.organization, OPEN, organization_part(proposal.organization), identifier)
    if state != "approved" and isinstance(proposal.change, MemberChange):
        members.dropped(context, identifier, proposal.change)


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
