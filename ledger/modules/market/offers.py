"""Buyers' offers, with the price in escrow from the beginning."""

from __future__ import annotations

from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.reads import ownership
from ledger.modules.credits import accounting
from ledger.modules.fields import MARKER
from ledger.modules.licenses.grants import require_grant
from ledger.modules.market import events
from ledger.modules.market.conditions import condition_digest, condition_of, require_condition
from ledger.modules.market.escrows import pay_from_escrow
from ledger.modules.market.operations import AcceptOffer, MakeOffer, WithdrawOffer, offer_id
from ledger.modules.market.records import OFFERS, OFFERS_BY_BUYER, OFFERS_BY_THING, MarketOffer
from ledger.modules.market.sales import require_end, require_stranger
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.transfers import conveyance
from ledger.modules.transfers.conveyance import Conveyance
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.things import asset_of, check_form, require_conveyable, require_free, require_offerable
from ledger.state.view import Readable

OFFER_EXPIRY: Final = "market.offer_expiry"


def make_offer(context: Context, operation: MakeOffer) -> None:
    """Put a price into escrow for something that could be sold to the sender now."""
    require_end(context, operation.expires_at_ms)
    thing, buyer = operation.thing, context.sender
    check_form(thing)
    if (thing.kind == "share") != (operation.holder is not None):
        raise OperationError("market.holder", "an offer on a share names its holder, and no other does")
    asset = asset_of(context.view, thing)
    holder = _holder(context.view, thing) if operation.holder is None else operation.holder
    require_conveyable(context, thing, holder, for_price=True)
    require_stranger(context, thing, holder, buyer)
    conveyance.require_recipient(context, Conveyance(thing, holder, buyer))
    require_condition(context.view, thing, operation.condition)
    identifier = offer_id(context.transaction_id, thing, operation.holder)
    if OFFERS.get(context.view, identifier) is not None:
        raise OperationError("market.offer_exists", "one transaction makes one offer on a thing")
    offer = MarketOffer(
        thing=thing,
        asset=asset,
        holder=operation.holder,
        buyer=buyer,
        price=operation.price,
        made_at_ms=context.block_time_ms,
        expires_at_ms=operation.expires_at_ms,
        condition=operation.condition,
    )
    organization = organization_of(context.view, buyer)
    quota.store(context, organization, OFFERS, offer, identifier)
    quota.store(context, organization, OFFERS_BY_THING, MARKER, thing.id, identifier)
    quota.store(context, organization, OFFERS_BY_BUYER, MARKER, buyer, identifier)
    quota.schedule(context, organization, operation.expires_at_ms, OFFER_EXPIRY, identifier)
    accounting.hold(context, identifier, buyer, operation.price)
    context.emit(
        events.OfferMade(
            offer=identifier,
            kind=thing.kind,
            id=thing.id,
            bps=thing.bps,
            asset=asset,
            holder=operation.holder,
            buyer=buyer,
            price=operation.price,
            expires_at_ms=operation.expires_at_ms,
        )
    )


def accept_offer(context: Context, operation: AcceptOffer) -> None:
    """Sell: all checks again, on the thing as the buyer saw it; then price, royalties and the thing in one step."""
    identifier = operation.offer
    offer = _require_offer(context, identifier)
    thing, seller = offer.thing, context.sender
    if context.block_time_ms >= offer.expires_at_ms:
        raise OperationError("market.offer_expired", f"the offer expired at {offer.expires_at_ms}")
    if offer.price < operation.price_min:
        raise OperationError("market.price_below_min", f"the offer is {offer.price}")
    if offer.holder is not None and offer.holder != seller:
        raise OperationError("market.not_the_holder", "the offer is on another account's share")
    require_offerable(context, thing, operation, for_price=True)
    require_stranger(context, thing, seller, offer.buyer)
    require_condition(context.view, thing, offer.condition)
    _remove(context, identifier, offer)
    pay_from_escrow(context, identifier, Conveyance(thing, seller, offer.buyer))
    context.emit(events.OfferAccepted(identifier, offer.asset, seller, offer.buyer, offer.price))


def require_whole(context: Context, identifier: bytes, asset: bytes) -> MarketOffer:
    """Return an offer on the whole of an asset.

    Raises:
        OperationError: `market.unknown_offer`, `market.offer_expired`, or `market.not_the_holder` for an offer on
            anything else.
    """
    offer = _require_offer(context, identifier)
    if offer.thing != Thing("asset", asset):
        raise OperationError("market.not_the_holder", "the offer is not on the whole of this asset")
    if context.block_time_ms >= offer.expires_at_ms:
        raise OperationError("market.offer_expired", f"the offer expired at {offer.expires_at_ms}")
    return offer


def bind(context: Context, identifier: bytes, offer: MarketOffer) -> None:
    """End an offer on the whole of an asset whose owners have decided to take it: its price stays in escrow, for
    `sell_bound`, and its buyer cannot take it back.

    Raises:
        OperationError: `market.own_organization`, `market.condition_changed`.
    """
    require_stranger(context, offer.thing, ownership(context.view, offer.asset).shares[0].account, offer.buyer)
    require_condition(context.view, offer.thing, offer.condition)
    _remove(context, identifier, offer)


def sell_bound(context: Context, identifier: bytes, asset: bytes, buyer: bytes, condition: bytes) -> None:
    """Sell the whole of an asset to the buyer whose offer is bound, in the condition of that digest. Those who did not
    agree, and those whose value is frozen, sell with the others, and are paid with them.

    Raises:
        OperationError: `market.own_organization`, `market.condition_changed`, `assets.*`, `transfers.*`,
            `royalties.uncovered`.
    """
    thing, seller = Thing("asset", asset), ownership(context.view, asset).shares[0].account
    require_stranger(context, thing, seller, buyer)
    if condition_digest(condition_of(context.view, thing)) != condition:
        raise OperationError("market.condition_changed", "it has changed since the price was named")
    require_free(context.view, asset)
    price = accounting.held(context.view, identifier)
    pay_from_escrow(context, identifier, Conveyance(thing, seller, buyer), voted=True)
    context.emit(events.OfferAccepted(identifier, asset, seller, buyer, price))


def withdraw_offer(context: Context, operation: WithdrawOffer) -> None:
    """Return the price to its buyer at its wish."""
    offer = _require_offer(context, operation.offer)
    if offer.buyer != context.sender:
        raise OperationError("market.not_the_buyer", "only the buyer takes an offer back")
    _remove(context, operation.offer, offer)
    _return(context, operation.offer, offer, "withdrawn")


def on_offer_expired(context: Context, subject: bytes) -> None:
    """Deadline: return the price of an offer that nobody accepted."""
    offer = OFFERS.get(context.view, subject)
    assert offer is not None  # whatever ends an offer cancels its deadline
    _remove(context, subject, offer, swept=True)
    _return(context, subject, offer, "expired")


def _holder(view: Readable, thing: Thing) -> bytes:
    """Return who holds a grant, or the first of those who own an asset."""
    if thing.kind == "grant":
        return require_grant(view, thing.id).licensee
    return ownership(view, thing.id).shares[0].account


def _return(context: Context, identifier: bytes, offer: MarketOffer, reason: events.EndReason) -> None:
    escrow = accounting.refund(context, identifier)
    context.emit(events.OfferEnded(identifier, offer.asset, offer.buyer, escrow.amount, reason))


def _remove(context: Context, identifier: bytes, offer: MarketOffer, *, swept: bool = False) -> None:
    organization = organization_of(context.view, offer.buyer)
    if swept:
        quota.swept(context, organization)
    else:
        quota.cancel(context, organization, offer.expires_at_ms, OFFER_EXPIRY, identifier)
    quota.remove(context, organization, OFFERS, identifier)
    quota.remove(context, organization, OFFERS_BY_THING, offer.thing.id, identifier)
    quota.remove(context, organization, OFFERS_BY_BUYER, offer.buyer, identifier)


def _require_offer(context: Context, identifier: bytes) -> MarketOffer:
    offer = OFFERS.get(context.view, identifier)
    if offer is None:
        raise OperationError("market.unknown_offer", f"no open offer {identifier.hex()}")
    return offer
