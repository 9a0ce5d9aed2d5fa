"""Doing what the owners have decided: with the same functions, and so the same checks, as manager and owners do it
themselves."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets import management
from ledger.modules.assets.operations import SetAlias, SetManager
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.charters import adoption, events
from ledger.modules.charters.adopted import CHARTERS, Adopted
from ledger.modules.charters.counting import carried
from ledger.modules.charters.operations import (
    AcceptContribution,
    Action,
    ChangeCharter,
    ListWhole,
    NameManager,
    OfferTerms,
    Pay,
    PointAlias,
    SellWhole,
    WithdrawTerms,
)
from ledger.modules.charters.records import Proposal
from ledger.modules.charters.sales import list_whole, sell_whole
from ledger.modules.contributions import acceptance
from ledger.modules.contributions.reads import require_contribution
from ledger.modules.contributions.records import CONTRIBUTIONS
from ledger.modules.credits import accounting
from ledger.modules.credits.records import treasury_holder
from ledger.modules.fields import BPS
from ledger.modules.licenses import offers as licenses
from ledger.modules.licenses.operations import Offer
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import organization_of, require_party
from ledger.modules.reputation import flows
from ledger.state.view import Readable
from primitives.identifiers import AccountId


def require_charter(context: Context, asset: bytes) -> Adopted:
    """Return the charter of an asset.

    Raises:
        OperationError: `assets.unknown_asset`, `charters.no_charter`.
    """
    require_asset(context.view, asset)
    adopted = CHARTERS.get(context.view, asset)
    if adopted is None:
        raise OperationError("charters.no_charter", "the asset has no charter")
    return adopted


def carry_out(context: Context, identifier: bytes, proposal: Proposal) -> None:
    """Do what was decided.

    Raises:
        OperationError: `charters.lapsed` where the charter or the whole asset's owners are others than when it was
            proposed, or somebody owns a share now who had to be asked and was not, or a payment was carried by shares
            that were sold since; else as what is done.
    """
    adopted = CHARTERS.get(context.view, proposal.asset)
    if adopted is None or adopted.revision != proposal.revision:
        raise OperationError("charters.lapsed", "the charter has changed since it was proposed")
    if require_asset(context.view, proposal.asset).transfers != proposal.transfers:
        raise OperationError("charters.lapsed", "the asset has changed hands since it was proposed")
    _require_all_asked(context, proposal)
    _require_still_carried(context, proposal)
    perform(_acting(context, proposal.proposer, identifier), proposal.asset, adopted, proposal.action)


def _require_all_asked(context: Context, proposal: Proposal) -> None:
    """Refuse what needs all owners, or was left to one organization because it owned everything, where somebody has
    bought a share since. Who votes is fixed with the proposal, and could otherwise sell a share first and then decide
    what nobody decides against an owner."""
    owners = [share.account for share in ownership(context.view, proposal.asset).shares]
    recipient = beneficiary(context.view, proposal.action)
    if recipient is not None:
        own = organization_of(context.view, recipient)
        votes_itself = any(organization_of(context.view, voter.account) == own for voter in proposal.voters)
        gives_share = proposal.required.of_all_bps == BPS
        if votes_itself and not gives_share and any(organization_of(context.view, one) != own for one in owners):
            raise OperationError("charters.lapsed", "others own a part of it than who is to have it")
    if proposal.required.of_all_bps == BPS:
        agreed = {voter.account for voter in proposal.voters if voter.approve}
        if not agreed.issuperset(one for one in owners if one != recipient):
            raise OperationError("charters.lapsed", "it takes all owners, and some own a share since it was proposed")


def _require_still_carried(context: Context, proposal: Proposal) -> None:
    """Refuse a payment that is carried by shares which their voters have sold since: a share is sold with its part of
    the treasury, and its seller would spend what the buyer has paid for."""
    if not isinstance(proposal.action, Pay):
        return
    held = {share.account: share.bps for share in ownership(context.view, proposal.asset).shares}
    if not carried(proposal.voters, proposal.required, held):
        raise OperationError("charters.lapsed", "who has voted for the payment has sold too much since")


def beneficiary(view: Readable, action: Action) -> bytes | None:
    """Return the account that gets something by an action without paying for it; None where there is none, or what
    it stands for is gone."""
    if isinstance(action, Pay):
        return action.recipient
    if isinstance(action, AcceptContribution):
        record = CONTRIBUTIONS.get(view, action.contribution)
        return None if record is None else record.contributor
    return None


def rehearse(context: Context, identifier: bytes, asset: bytes, adopted: Adopted, action: Action) -> None:
    """Do what the sender proposes as it could be done now, and take all of it back.

    Raises:
        OperationError: as what is done.
    """
    perform(_acting(context.over(context.view.child()), context.sender, identifier), asset, adopted, action)


def perform(context: Context, asset: bytes, adopted: Adopted, action: Action) -> None:
    """Do an action. The sender is the proposer, and the transaction's id that of the proposal.

    Raises:
        OperationError: as what is done.
    """
    match action:
        case OfferTerms():
            manager = require_asset(context.view, asset).manager
            operation = Offer(asset, action.terms, action.expires_at_ms, action.version, action.buyer)
            licenses.open_offer(_acting(context, manager, context.transaction_id), operation)
        case WithdrawTerms():
            _withdraw_terms(context, asset, action)
        case PointAlias():
            management.point_alias(context, SetAlias(asset, action.alias, action.version))
        case NameManager():
            management.replace_manager(context, SetManager(asset, action.manager))
        case AcceptContribution():
            _accept_contribution(context, asset, action)
        case Pay():
            require_party(context.view, action.recipient, "charters.invalid_recipient")
            accounting.move(context, treasury_holder(asset), action.recipient, action.amount)
            flows.moved_from_holders(context, ownership(context.view, asset).shares, action.recipient, action.amount)
            adoption.count_payment(context, asset, adopted)
            context.emit(events.TreasuryPaid(asset, action.recipient, action.amount))
        case SellWhole():
            sell_whole(context, context.transaction_id, asset, adopted, action)
        case ListWhole():
            list_whole(context, asset, adopted, action)
        case ChangeCharter():
            adoption.check_charter(action.charter)
            adoption.replace(context, asset, adopted, action.charter)
        case _:
            adoption.dissolve(context, asset, adopted)


def _accept_contribution(context: Context, asset: bytes, action: AcceptContribution) -> None:
    record = require_contribution(context.view, action.contribution)
    if record.asset != asset:
        raise OperationError("charters.another_asset", "the contribution is to another asset")
    acceptance.accept(context, action.contribution, action.reward)


def _withdraw_terms(context: Context, asset: bytes, action: WithdrawTerms) -> None:
    record = licenses.require_offer(context, action.offer)
    if record.asset != asset:
        raise OperationError("charters.another_asset", "the offer is on another asset")
    licenses.end_offer(context, action.offer, record)


def _acting(context: Context, account: bytes, identifier: bytes) -> Context:
    """Return the same surroundings for an account in whose name the owners act; ids come from the proposal's."""
    acting = Context(
        view=context.view,
        network_id=context.network_id,
        height=context.height,
        block_time_ms=context.block_time_ms,
        parameters=context.parameters,
        sender=AccountId(account),
        signer=b"",
        transaction_id=identifier,
        facts=context.facts,
    )
    acting.events, acting.artifacts = context.events, context.artifacts
    return acting
