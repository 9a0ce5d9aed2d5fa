"""Proposing, voting, withdrawing, and counting at the end."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.attempts import attempt
from ledger.modules.charters import events
from ledger.modules.charters.counting import outcome, required
from ledger.modules.charters.execution import beneficiary, carry_out, rehearse, require_charter
from ledger.modules.charters.operations import (
    AcceptContribution,
    Action,
    Propose,
    SellWhole,
    Vote,
    Withdraw,
    proposal_id,
)
from ledger.modules.charters.records import BY_ASSET, OPEN, OPEN_MAX, PROPOSALS, VOTING_END, Proposal, State, Voter
from ledger.modules.charters.sales import try_again, waits
from ledger.modules.fields import MARKER
from ledger.modules.market import offers as market
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.modules.organizations.records import organization_part
from ledger.state.view import Readable


def propose(context: Context, operation: Propose) -> None:
    """Open a proposal that could be carried out as things stand."""
    asset_id, action = operation.asset, operation.action
    adopted = require_charter(context, asset_id)
    shares = ownership(context.view, asset_id).shares
    if not any(share.account == context.sender for share in shares):
        raise OperationError("charters.not_an_owner", "only an owner of the asset proposes")
    if operation.text is not None:
        check_cid(operation.text, "charters.text")
    identifier = proposal_id(context.transaction_id, asset_id, action)
    if PROPOSALS.get(context.view, identifier) is not None:
        raise OperationError("charters.proposal_exists", "the transaction proposes this twice")
    organization = sender_organization(context)
    part = (asset_id, organization_part(organization))
    if sum(1 for _ in OPEN.items(context.view, *part)) >= OPEN_MAX:
        raise OperationError(
            "charters.too_many_proposals", f"{organization} has {OPEN_MAX} open proposals on the asset already"
        )
    closes_at_ms = context.block_time_ms + adopted.rules.voting_period_ms
    if isinstance(action, SellWhole):
        _require_lasting(context, asset_id, action, closes_at_ms)
    if isinstance(action, AcceptContribution) and action.reward.giver not in (None, context.sender):
        raise OperationError("charters.giver", "who gives a share of its own proposes that itself")
    rehearse(context, identifier, asset_id, adopted, action)
    proposal = Proposal(
        asset=asset_id,
        organization=organization,
        proposer=context.sender,
        action=action,
        title=operation.title,
        text=operation.text,
        revision=adopted.revision,
        transfers=require_asset(context.view, asset_id).transfers,
        required=required(adopted.rules, action),
        voters=_electorate(context.view, tuple(Voter(share.account, share.bps) for share in shares), action),
        proposed_at_ms=context.block_time_ms,
        closes_at_ms=closes_at_ms,
    )
    quota.create(
        context,
        organization,
        (PROPOSALS, proposal, (identifier,)),
        (OPEN, MARKER, (*part, identifier)),
        (BY_ASSET, MARKER, (asset_id, identifier)),
    )
    quota.schedule(context, organization, closes_at_ms, VOTING_END, identifier)
    tag = str(type(action).__struct_config__.tag)
    context.emit(events.Proposed(identifier, asset_id, tag, context.sender, closes_at_ms))


def vote(context: Context, operation: Vote) -> None:
    """Count a vote, and act at once on what no further vote can change."""
    identifier = operation.proposal
    proposal = _require_open(context, identifier)
    voter = next((one for one in proposal.voters if one.account == context.sender), None)
    if voter is None:
        raise OperationError("charters.no_vote", "the sender had no share that votes when this was proposed")
    if voter.approve is not None:
        raise OperationError("charters.already_voted", "the sender has voted on this")
    cast = Voter(voter.account, voter.bps, operation.approve)
    voters = tuple(cast if one is voter else one for one in proposal.voters)
    proposal = msgspec.structs.replace(proposal, voters=voters)
    context.emit(events.Voted(identifier, proposal.asset, voter.account, voter.bps, operation.approve))
    decision = outcome(voters, proposal.required, over=False)
    if decision is None:
        quota.store(context, proposal.organization, PROPOSALS, proposal, identifier, enforced=False)
        return
    quota.cancel(context, proposal.organization, proposal.closes_at_ms, VOTING_END, identifier)
    _decide(context, identifier, proposal, accepted=decision)


def withdraw(context: Context, operation: Withdraw) -> None:
    """Take a proposal back."""
    identifier = operation.proposal
    proposal = _require_open(context, identifier)
    if proposal.proposer != context.sender:
        raise OperationError("charters.not_the_proposer", "only its proposer takes a proposal back")
    quota.cancel(context, proposal.organization, proposal.closes_at_ms, VOTING_END, identifier)
    _close(context, identifier, proposal, "withdrawn")
    context.emit(events.Withdrawn(identifier, proposal.asset))


def on_voting_end(context: Context, subject: bytes) -> None:
    """Deadline: count, and do what was decided."""
    proposal = PROPOSALS.get(context.view, subject)
    assert proposal is not None  # proposals are kept
    assert proposal.state == "open"  # whatever ends a proposal cancels its deadline
    quota.swept(context, proposal.organization)
    _decide(context, subject, proposal, accepted=outcome(proposal.voters, proposal.required, over=True) is True)


def _decide(context: Context, identifier: bytes, proposal: Proposal, *, accepted: bool) -> None:
    """Close a proposal, and do what it says where it is `accepted`; its deadline is gone already. Cannot fail: what
    cannot be done leaves everything as it was, and says why."""
    if not accepted:
        _close(context, identifier, proposal, "rejected")
        context.emit(events.Rejected(identifier, proposal.asset))
        return
    code = attempt(context, lambda inner: carry_out(inner, identifier, proposal))
    if not code and waits(context.view, proposal.asset, identifier):
        _close(context, identifier, proposal, "selling")
    else:
        _finish(context, identifier, proposal, code)


def on_sale_due(context: Context, subject: bytes) -> None:
    """Deadline: conclude a decided sale as soon as no share is locked any more."""
    organization = require_asset(context.view, subject).organization
    quota.swept(context, organization)
    ended = try_again(context, subject, organization)
    if ended is not None:
        identifier, code = ended
        proposal = PROPOSALS.get(context.view, identifier)
        assert proposal is not None  # proposals are kept
        _finish(context, identifier, proposal, code)


def _finish(context: Context, identifier: bytes, proposal: Proposal, code: str) -> None:
    if code:
        _close(context, identifier, proposal, "failed", code)
        context.emit(events.Failed(identifier, proposal.asset, code))
    else:
        _close(context, identifier, proposal, "executed")
        context.emit(events.Executed(identifier, proposal.asset))


def _close(context: Context, identifier: bytes, proposal: Proposal, state: State, code: str = "") -> None:
    closed = msgspec.structs.replace(proposal, state=state, code=code, decided_at_ms=context.block_time_ms)
    quota.store(context, proposal.organization, PROPOSALS, closed, identifier, enforced=False)
    part = organization_part(proposal.organization)
    quota.remove(context, proposal.organization, OPEN, proposal.asset, part, identifier)


def _require_open(context: Context, identifier: bytes) -> Proposal:
    proposal = PROPOSALS.get(context.view, identifier)
    if proposal is None:
        raise OperationError("charters.unknown_proposal", f"no proposal {identifier.hex()}")
    if proposal.state != "open" or context.block_time_ms >= proposal.closes_at_ms:
        raise OperationError("charters.voting_closed", "the proposal is decided, or its time is over")
    return proposal


def _require_lasting(context: Context, asset: bytes, action: SellWhole, closes_at_ms: int) -> None:
    """Refuse to vote on an offer that will be gone before the vote ends."""
    offer = market.require_whole(context, action.offer, asset)
    if offer.expires_at_ms <= closes_at_ms:
        raise OperationError("charters.offer_too_short", f"the offer must last beyond the vote, to {closes_at_ms}")


def _electorate(view: Readable, owners: tuple[Voter, ...], action: Action) -> tuple[Voter, ...]:
    """Leave out who gets something by it, unless nobody else is there who could lose by it. Where all owners give a
    share, each of them is asked."""
    recipient = beneficiary(view, action)
    if recipient is None:
        return owners
    if isinstance(action, AcceptContribution) and action.reward.share_bps and action.reward.giver is None:
        return tuple(owner for owner in owners if owner.account != recipient) or owners
    own = organization_of(view, recipient)
    return tuple(owner for owner in owners if organization_of(view, owner.account) != own) or owners
