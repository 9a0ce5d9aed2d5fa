"""Sales at a fixed price."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.charters.reading import require_no_sale
from ledger.modules.market import events
from ledger.modules.market.conditions import condition_of
from ledger.modules.market.operations import Buy, List, WithdrawListing, listing_id
from ledger.modules.market.records import LISTINGS, Listing
from ledger.modules.market.sales import (
    LISTING_PLACE,
    put_up,
    require_buyable,
    require_commitment,
    require_end,
    require_sellable,
    take_down,
)
from ledger.modules.module import Context
from ledger.modules.transfers import conveyance
from ledger.modules.transfers.conveyance import Conveyance
from ledger.modules.transfers.things import asset_of, require_available, require_conveyable, require_free


def list_for_sale(context: Context, operation: List) -> None:
    """Put something up at a price, locked."""
    require_end(context, operation.expires_at_ms)
    require_sellable(context, operation.thing, operation)
    _open(context, operation)


def list_by_vote(context: Context, operation: List) -> None:
    """Put a whole asset up as its owners have decided together, in the name of the sender.

    Raises:
        OperationError: `market.end_out_of_range`, `market.sale_exists`, `assets.*`, `transfers.*`,
            `charters.sale_pending`, `organizations.frozen`, or the quota.
    """
    thing = operation.thing
    require_end(context, operation.expires_at_ms)
    require_no_sale(context.view, thing.id)
    require_free(context.view, thing.id)
    require_conveyable(context, thing, context.sender, for_price=True)
    require_available(context.view, thing)
    _open(context, operation)


def _open(context: Context, operation: List) -> None:
    thing = operation.thing
    listing = Listing(
        thing=thing,
        asset=asset_of(context.view, thing),
        seller=context.sender,
        price=operation.price,
        opened_at_ms=context.block_time_ms,
        ends_at_ms=operation.expires_at_ms,
        condition=condition_of(context.view, thing),
    )
    identifier = listing_id(context.transaction_id, thing)
    put_up(context, LISTING_PLACE, identifier, listing)
    context.emit(
        events.Listed(
            listing=identifier,
            kind=thing.kind,
            id=thing.id,
            bps=thing.bps,
            asset=listing.asset,
            seller=listing.seller,
            price=listing.price,
            expires_at_ms=listing.ends_at_ms,
        )
    )


def buy(context: Context, operation: Buy) -> None:
    """Buy: all checks again, then price, royalties and the thing itself in one step."""
    identifier = operation.listing
    listing = _require_listing(context, identifier)
    if context.block_time_ms >= listing.ends_at_ms:
        raise OperationError("market.listing_expired", f"the listing expired at {listing.ends_at_ms}")
    if listing.price > operation.price_max:
        raise OperationError("market.price_above_max", f"the price is {listing.price}")
    require_buyable(context, listing)
    require_commitment(context, identifier, listing.thing, operation.salt)
    take_down(context, LISTING_PLACE, identifier, listing)
    agreed = Conveyance(listing.thing, listing.seller, context.sender)
    conveyance.sell(context, agreed, listing.price, context.sender)
    context.emit(events.Bought(identifier, listing.asset, listing.seller, context.sender, listing.price))


def withdraw_listing(context: Context, operation: WithdrawListing) -> None:
    """End a listing before it is bought."""
    listing = _require_listing(context, operation.listing)
    if listing.seller != context.sender:
        raise OperationError("market.not_the_seller", "only the seller takes a listing back")
    take_down(context, LISTING_PLACE, operation.listing, listing)
    context.emit(events.ListingEnded(operation.listing, listing.asset, listing.seller, "withdrawn"))


def on_listing_expired(context: Context, subject: bytes) -> None:
    """Deadline: end a listing that nobody bought."""
    listing = LISTINGS.get(context.view, subject)
    assert listing is not None  # whatever ends a listing cancels its deadline
    take_down(context, LISTING_PLACE, subject, listing, swept=True)
    context.emit(events.ListingEnded(subject, listing.asset, listing.seller, "expired"))


def _require_listing(context: Context, identifier: bytes) -> Listing:
    listing = LISTINGS.get(context.view, identifier)
    if listing is None:
        raise OperationError("market.unknown_listing", f"no open listing {identifier.hex()}")
    return listing
