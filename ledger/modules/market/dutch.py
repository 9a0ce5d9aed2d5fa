"""Dutch auctions: the price falls until somebody takes it."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.market import events
from ledger.modules.market.auctions import enter, require_auction, require_running
from ledger.modules.market.conditions import condition_of
from ledger.modules.market.operations import OpenDutchAuction, Take
from ledger.modules.market.records import Auction, Dutch
from ledger.modules.market.sales import (
    AUCTION_PLACE,
    require_buyable,
    require_commitment,
    require_end,
    require_sellable,
    take_down,
)
from ledger.modules.module import Context
from ledger.modules.transfers import conveyance
from ledger.modules.transfers.conveyance import Conveyance
from ledger.modules.transfers.things import asset_of


def open_dutch_auction(context: Context, operation: OpenDutchAuction) -> None:
    """Put something up at a falling price, locked."""
    require_end(context, operation.ends_at_ms)
    if operation.floor_price >= operation.start_price:
        raise OperationError("market.floor_price", "the price falls: the floor is below the start")
    thing = operation.thing
    require_sellable(context, thing, operation)
    auction = Auction(
        thing=thing,
        asset=asset_of(context.view, thing),
        seller=context.sender,
        opened_at_ms=context.block_time_ms,
        ends_at_ms=operation.ends_at_ms,
        condition=condition_of(context.view, thing),
        pricing=Dutch(operation.start_price, operation.floor_price, operation.steps),
    )
    enter(context, auction, "dutch", operation.start_price)


def take(context: Context, operation: Take) -> None:
    """Buy at the price of this block: all checks again, then price, royalties and the thing itself in one step."""
    identifier = operation.auction
    auction = require_auction(context, identifier)
    if not isinstance(auction.pricing, Dutch):
        raise OperationError("market.not_dutch", "in an English auction one bids")
    require_running(context, auction)
    price = price_at(auction, auction.pricing, context.block_time_ms)
    if price > operation.price_max:
        raise OperationError("market.price_above_max", f"the price is {price}")
    require_buyable(context, auction)
    require_commitment(context, identifier, auction.thing, operation.salt)
    take_down(context, AUCTION_PLACE, identifier, auction)
    conveyance.sell(context, Conveyance(auction.thing, auction.seller, context.sender), price, context.sender)
    context.emit(events.AuctionSettled(identifier, auction.asset, auction.seller, context.sender, price))


def price_at(auction: Auction, dutch: Dutch, at_ms: int) -> int:
    """Return the price at a block time of the auction: it falls `steps` times by an equal part, rounded so that the
    seller never gets less than the exact price, after equal parts of the time, of which there is one more."""
    length_ms = auction.ends_at_ms - auction.opened_at_ms
    passed_ms = min(max(at_ms - auction.opened_at_ms, 0), length_ms - 1)
    fallen = passed_ms * (dutch.steps + 1) // length_ms
    return dutch.start_price - (dutch.start_price - dutch.floor_price) * fallen // dutch.steps
