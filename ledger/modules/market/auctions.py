"""English auctions: ascending bids, the best one in escrow, until nobody bids any more. And what ends any auction."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.attempts import attempt
from ledger.modules.credits import accounting
from ledger.modules.fields import MARKER
from ledger.modules.market import events
from ledger.modules.market.conditions import condition_of, require_condition
from ledger.modules.market.escrows import pay_from_escrow
from ledger.modules.market.operations import Bid, CancelAuction, OpenAuction, Settle, auction_id
from ledger.modules.market.records import (
    AUCTIONS,
    AUCTIONS_BY_BIDDER,
    Auction,
    BestBid,
    English,
    best_bid,
)
from ledger.modules.market.sales import (
    AUCTION_END,
    AUCTION_PLACE,
    put_up,
    require_buyable,
    require_end,
    require_sellable,
    take_down,
)
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.transfers import conveyance
from ledger.modules.transfers.conveyance import Conveyance
from ledger.modules.transfers.things import asset_of, require_available, require_conveyable
from primitives.identifiers import AccountId


def open_auction(context: Context, operation: OpenAuction) -> None:
    """Put something up for bids, locked."""
    require_end(context, operation.ends_at_ms)
    length_ms = operation.ends_at_ms - context.block_time_ms
    if operation.extension_ms > length_ms:
        raise OperationError("market.extension_out_of_range", f"the auction itself lasts {length_ms} ms only")
    thing = operation.thing
    require_sellable(context, thing, operation)
    auction = Auction(
        thing=thing,
        asset=asset_of(context.view, thing),
        seller=context.sender,
        opened_at_ms=context.block_time_ms,
        ends_at_ms=operation.ends_at_ms,
        condition=condition_of(context.view, thing),
        pricing=English(
            reserve=operation.reserve,
            increment=operation.increment,
            extension_ms=operation.extension_ms,
            hard_end_ms=context.block_time_ms + 2 * length_ms,
        ),
    )
    enter(context, auction, "english", operation.reserve)


def bid(context: Context, operation: Bid) -> None:
    """Place the best bid: its amount goes into escrow, the one before returns to its bidder, and the end moves where it
    is near."""
    identifier = operation.auction
    auction = require_auction(context, identifier)
    english = auction.pricing
    if not isinstance(english, English):
        raise OperationError("market.not_english", "in a Dutch auction the price is taken, not bid")
    require_running(context, auction)
    require_buyable(context, auction)
    least = least_bid(english)
    if operation.amount < least:
        raise OperationError("market.bid_too_low", f"the next bid is {least} or more")
    require_conveyable(context, auction.thing, auction.seller, for_price=True)
    require_available(context.view, auction.thing)
    conveyance.require_recipient(context, Conveyance(auction.thing, auction.seller, context.sender))
    if english.best is not None:
        _return_bid(context, identifier, auction, english.best, "market.outbid")
    accounting.hold(context, identifier, context.sender, operation.amount)
    best = BestBid(context.sender, operation.amount, context.block_time_ms)
    extended = msgspec.structs.replace(
        auction,
        ends_at_ms=_end_after_bid(auction.ends_at_ms, english, context.block_time_ms),
        pricing=msgspec.structs.replace(english, best=best),
    )
    organization = organization_of(context.view, auction.seller)
    quota.store(context, organization, AUCTIONS, extended, identifier)
    quota.store(context, organization, AUCTIONS_BY_BIDDER, MARKER, context.sender, identifier)
    if extended.ends_at_ms != auction.ends_at_ms:
        quota.cancel(context, organization, auction.ends_at_ms, AUCTION_END, identifier)
        quota.schedule(context, organization, extended.ends_at_ms, AUCTION_END, identifier)
    context.emit(events.BidPlaced(identifier, auction.asset, context.sender, operation.amount, extended.ends_at_ms))


def least_bid(english: English) -> int:
    """Return what the next bid must be at least; beyond an amount nobody can outbid the best one."""
    return (0 if english.best is None else english.best.amount) + english.increment


def cancel_auction(context: Context, operation: CancelAuction) -> None:
    """End an auction of the sender's in which there is no bid."""
    auction = require_auction(context, operation.auction)
    if auction.seller != context.sender:
        raise OperationError("market.not_the_seller", "only the seller takes an auction back")
    if best_bid(auction) is not None:
        raise OperationError("market.has_bid", "an auction with a bid cannot be taken back")
    take_down(context, AUCTION_PLACE, operation.auction, auction)
    _emit_ended(context, operation.auction, auction, "market.cancelled")


def settle(context: Context, operation: Settle) -> None:
    """Do now what the sweep would do. From the end on, by anyone; what the caller is makes no difference."""
    auction = require_auction(context, operation.auction)
    if context.block_time_ms < auction.ends_at_ms:
        raise OperationError("market.auction_running", f"the auction ends at {auction.ends_at_ms}")
    _conclude(_for_nobody(context), operation.auction, auction, swept=False)


def on_auction_end(context: Context, subject: bytes) -> None:
    """Deadline: sell to the best bidder. Where the reserve is not reached, or the thing cannot be conveyed, the bid
    returns and the thing is free."""
    auction = AUCTIONS.get(context.view, subject)
    assert auction is not None  # whatever ends an auction cancels its deadline
    _conclude(context, subject, auction, swept=True)


def enter(context: Context, auction: Auction, kind: events.Format, price: int) -> None:
    """Record an auction that the sender opens."""
    thing = auction.thing
    identifier = auction_id(context.transaction_id, thing)
    put_up(context, AUCTION_PLACE, identifier, auction)
    context.emit(
        events.AuctionOpened(
            auction=identifier,
            format=kind,
            kind=thing.kind,
            id=thing.id,
            bps=thing.bps,
            asset=auction.asset,
            seller=auction.seller,
            price=price,
            ends_at_ms=auction.ends_at_ms,
        )
    )


def require_auction(context: Context, identifier: bytes) -> Auction:
    """Return an open auction. Raises `market.unknown_auction`."""
    auction = AUCTIONS.get(context.view, identifier)
    if auction is None:
        raise OperationError("market.unknown_auction", f"no open auction {identifier.hex()}")
    return auction


def require_running(context: Context, auction: Auction) -> None:
    """Refuse an auction whose end has come, swept or not. Raises `market.auction_over`."""
    if context.block_time_ms >= auction.ends_at_ms:
        raise OperationError("market.auction_over", f"the auction ended at {auction.ends_at_ms}")


def _end_after_bid(ends_at_ms: int, english: English, now_ms: int) -> int:
    return max(ends_at_ms, min(now_ms + english.extension_ms, english.hard_end_ms))


def _conclude(context: Context, identifier: bytes, auction: Auction, *, swept: bool) -> None:
    best = best_bid(auction)
    take_down(context, AUCTION_PLACE, identifier, auction, swept=swept)
    if best is None:
        _emit_ended(context, identifier, auction, "market.no_bid")
        return
    assert isinstance(auction.pricing, English)
    seller_organization = organization_of(context.view, auction.seller)
    quota.remove(context, seller_organization, AUCTIONS_BY_BIDDER, best.bidder, identifier)
    if best.amount < auction.pricing.reserve:
        code = "market.reserve_not_reached"
    else:
        code = attempt(context, lambda inner: _sell_to(inner, identifier, auction, best))
    if code:
        escrow = accounting.refund(context, identifier)
        context.emit(events.BidReturned(identifier, auction.asset, best.bidder, escrow.amount, code))
        _emit_ended(context, identifier, auction, code)


def _sell_to(context: Context, identifier: bytes, auction: Auction, best: BestBid) -> None:
    require_condition(context.view, auction.thing, auction.condition)
    pay_from_escrow(context, identifier, Conveyance(auction.thing, auction.seller, best.bidder))
    context.emit(events.AuctionSettled(identifier, auction.asset, auction.seller, best.bidder, best.amount))


def _return_bid(context: Context, identifier: bytes, auction: Auction, bid_before: BestBid, code: str) -> None:
    organization = organization_of(context.view, auction.seller)
    quota.remove(context, organization, AUCTIONS_BY_BIDDER, bid_before.bidder, identifier)
    escrow = accounting.refund(context, identifier)
    context.emit(events.BidReturned(identifier, auction.asset, bid_before.bidder, escrow.amount, code))


def _emit_ended(context: Context, identifier: bytes, auction: Auction, code: str) -> None:
    context.emit(events.AuctionEnded(identifier, auction.asset, auction.seller, code))


def _for_nobody(context: Context) -> Context:
    """Return the same surroundings without a sender, as the sweep has them: else a caller whose organization has used
    up its quota could make a sale fail by settling it."""
    inner = context.over(context.view)
    inner.sender, inner.events = AccountId(b""), context.events
    return inner
