"""Proposing and voting."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.fields import MARKER
from ledger.modules.governance import events
from ledger.modules.governance.admission import admit, require_admissible
from ledger.modules.governance.operations import Propose, Vote
from ledger.modules.governance.records import (
    OPEN,
    OPEN_PROPOSALS_MAX,
    PROPOSALS,
    VOTING_END,
    Proposal,
    State,
    passes,
    proposal_id,
)
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organizations, representative
from ledger.modules.organizations.records import organization_part


def propose(context: Context, operation: Propose) -> None:
    """Open a proposal, which an approval could bring into effect as things stand."""
    organization = representative(context, "governance.not_a_representative")
    if operation.text is not None:
        check_cid(operation.text, "governance.text")
    identifier = proposal_id(context.transaction_id, operation.change)
    if PROPOSALS.get(context.view, identifier) is not None:
        raise OperationError("governance.proposal_exists", "the transaction proposes this twice")
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
    tag = str(type(operation.change).__struct_config__.tag)
    context.emit(events.ProposalOpened(identifier, organization, tag, operation.change.node_id, proposal.closes_at_ms))


def vote(context: Context, operation: Vote) -> None:
    """Count the vote of the sender's organization, and act on the outcome at once.

    The vote that would approve a change which has become impossible is refused: the proposal stays open, and may become
    possible again.
    """
    organization = representative(context, "governance.not_a_representative")
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
    everybody = len(organizations(context.view))
    if passes(len(proposal.approvals), everybody):
        end = admit(context, operation.proposal, proposal.change)
        context.emit(events.ProposalApproved(operation.proposal, end))
        _close(context, operation.proposal, proposal, "approved")
    elif not passes(everybody - len(proposal.refusals), everybody):
        context.emit(events.ProposalRejected(operation.proposal))
        _close(context, operation.proposal, proposal, "rejected")
    else:
        quota.store(context, proposal.organization, PROPOSALS, proposal, operation.proposal, enforced=False)


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
