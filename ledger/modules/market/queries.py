"""What may be asked about the market."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ledger.errors import LedgerError, OperationError
from ledger.modules import pages, texts
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.records import ASSETS
from ledger.modules.fields import Result
from ledger.modules.licenses.records import GRANTS
from ledger.modules.market.auctions import least_bid
from ledger.modules.market.conditions import Conditions, condition_of
from ledger.modules.market.dutch import price_at
from ledger.modules.market.operations import Condition
from ledger.modules.market.prices import is_open, open_prices
from ledger.modules.market.records import (
    AUCTIONS,
    AUCTIONS_BY_ASSET,
    AUCTIONS_BY_BIDDER,
    AUCTIONS_BY_SELLER,
    LISTINGS,
    LISTINGS_BY_ASSET,
    LISTINGS_BY_SELLER,
    OFFERS,
    OFFERS_BY_BUYER,
    OFFERS_BY_THING,
    Auction,
    Dutch,
    English,
    Listing,
    MarketOffer,
    best_bid,
)
from ledger.modules.market.sales import needs_commitment
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.things import check_form
from ledger.state.view import Readable
from primitives.identifiers import account_to_text


class ListingResult(Result, frozen=True):
    listing: str
    kind: str
    """asset, share or grant."""
    id: str
    """Of the asset, or of the grant."""
    bps: int
    """Of a share; otherwise 0."""
    asset: str
    seller: str
    """For an asset of several owners the one who acts for all."""
    price: int
    listed_at_ms: int
    expires_at_ms: int
    open: bool
    """Not expired, and the thing is as it was listed and can still be sold."""
    commitment_required: bool
    """Whether a purchase now needs `market.commit` first."""


class BuyersOfferResult(Result, frozen=True):
    offer: str
    kind: str
    id: str
    bps: int
    asset: str
    holder: str | None
    """Whose share it is on; None for an asset or a grant."""
    buyer: str
    price: int
    """In escrow."""
    made_at_ms: int
    expires_at_ms: int
    condition_kept: bool
    """Whether the thing is still as the buyer saw it; else nobody can accept."""


class EnglishResult(Result, frozen=True):
    reserve: int
    reserve_met: bool
    increment: int
    least_bid: int
    """What the next bid must be at least."""
    extension_ms: int
    hard_end_ms: int
    best_bidder: str | None
    best_amount: int | None
    """In escrow."""
    best_at_ms: int | None


class DutchResult(Result, frozen=True):
    start_price: int
    floor_price: int
    steps: int
    price: int
    """At the answer's block time."""


class AuctionResult(Result, frozen=True):
    auction: str
    format: str
    """english or dutch."""
    kind: str
    id: str
    bps: int
    asset: str
    seller: str
    opened_at_ms: int
    ends_at_ms: int
    """With the bids so far."""
    open: bool
    """Not over, and the thing is as it was put up and can still be sold."""
    commitment_required: bool
    """Whether taking the price of a Dutch auction needs `market.commit` first."""
    english: EnglishResult | None
    dutch: DutchResult | None


class ConditionResult(Result, frozen=True):
    """As `Condition`, with what it is of."""

    kind: str
    id: str
    condition: dict[str, Any]
    """Its fields; a digest in hex."""


class PriceResult(Result, frozen=True):
    sale: str
    """Listing or auction."""
    format: str
    """fixed, english or dutch."""
    kind: str
    id: str
    bps: int
    price: int
    """What it takes now: the price, or in an English auction the least bid that can win."""
    ends_at_ms: int


def get_listing(view: Readable, _network_id: bytes, block_time_ms: int, *, listing: str) -> ListingResult:
    """A listing. What is sold, withdrawn or expired is gone."""
    identifier = texts.identifier(listing)
    return _listing(Conditions(view), identifier, pages.found(view, LISTINGS, identifier, "listing"), block_time_ms)


def list_listings(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str = "",
    account: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[ListingResult]:
    """The listings of an asset with its shares and licenses, of a seller, or all, in order of id, beginning behind the
    listing `after`."""
    if asset and account:
        raise LedgerError("query.argument", "name an asset or an account, not both")
    if asset:
        keys = pages.behind(view, LISTINGS_BY_ASSET, named_asset(view, asset)[0], after=after)
    elif account:
        keys = pages.behind(view, LISTINGS_BY_SELLER, texts.account(account), after=after)
    else:
        keys = pages.behind(view, LISTINGS, after=after)
    now = Conditions(view)
    return [_listing(now, *row, block_time_ms) for row in pages.page(view, LISTINGS, keys, limit)]


def get_offer(view: Readable, _network_id: bytes, _block_time_ms: int, *, offer: str) -> BuyersOfferResult:
    """A buyer's offer. What is accepted, withdrawn or expired is gone."""
    identifier = texts.identifier(offer)
    return _offer(Conditions(view), identifier, pages.found(view, OFFERS, identifier, "offer"))


def list_offers(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    thing: str = "",
    account: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[BuyersOfferResult]:
    """The offers on a thing (the id of an asset, for offers on its shares too, or of a grant) or of a buyer, in order
    of id, beginning behind the offer `after`."""
    if bool(thing) == bool(account):
        raise LedgerError("query.argument", "name a thing or an account")
    if thing:
        keys = pages.behind(view, OFFERS_BY_THING, _named_thing(view, thing), after=after)
    else:
        keys = pages.behind(view, OFFERS_BY_BUYER, texts.account(account), after=after)
    now = Conditions(view)
    return [_offer(now, *row) for row in pages.page(view, OFFERS, keys, limit)]


def get_auction(view: Readable, _network_id: bytes, block_time_ms: int, *, auction: str) -> AuctionResult:
    """An auction with its price or best bid. What is settled, cancelled or over is gone."""
    identifier = texts.identifier(auction)
    return _auction(Conditions(view), identifier, pages.found(view, AUCTIONS, identifier, "auction"), block_time_ms)


def list_auctions(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str = "",
    account: str = "",
    bidder: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[AuctionResult]:
    """The auctions of an asset with its shares and licenses, of a seller, where an account's bid is the best one, or
    all, in order of id, beginning behind the auction `after`."""
    if sum(map(bool, (asset, account, bidder))) > 1:
        raise LedgerError("query.argument", "name an asset, an account or a bidder, not several")
    if asset:
        keys = pages.behind(view, AUCTIONS_BY_ASSET, named_asset(view, asset)[0], after=after)
    elif account:
        keys = pages.behind(view, AUCTIONS_BY_SELLER, texts.account(account), after=after)
    elif bidder:
        keys = pages.behind(view, AUCTIONS_BY_BIDDER, texts.account(bidder), after=after)
    else:
        keys = pages.behind(view, AUCTIONS, after=after)
    now = Conditions(view)
    return [_auction(now, *row, block_time_ms) for row in pages.page(view, AUCTIONS, keys, limit)]


def get_condition(
    view: Readable, _network_id: bytes, _block_time_ms: int, *, kind: str, id: str, bps: int | str = 0
) -> ConditionResult:
    """What a thing is like now; an offer on it names this."""
    if kind not in ("asset", "share", "grant"):
        raise LedgerError("query.argument", f"no kind {kind[:80]!r}; there are asset, share, grant")
    thing = Thing(kind, texts.identifier(id), texts.number(bps))  # type: ignore[arg-type]  # one of the three
    try:
        check_form(thing)
        condition = condition_of(view, thing)
    except OperationError as error:
        if error.code in ("assets.unknown_asset", "licenses.unknown_grant"):
            raise texts.not_found(kind) from error
        raise LedgerError("query.argument", error.message) from error
    return ConditionResult(kind, id, _plain(condition))


def list_prices(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[PriceResult]:
    """At what prices an asset, its shares and licenses on it can be bought or bid for now, in order of id, beginning
    behind the listing or auction `after`."""
    last = texts.identifier(after) if after else b""
    found = open_prices(view, named_asset(view, asset)[0], block_time_ms, after=last)
    return [
        PriceResult(
            price.sale.hex(),
            price.format,
            price.thing.kind,
            price.thing.id.hex(),
            price.thing.bps,
            price.price,
            price.ends_at_ms,
        )
        for price in texts.page(found, limit)
    ]


def _named_thing(view: Readable, text: str) -> bytes:
    """Read the id of an asset or of a grant, each of which there is."""
    thing = texts.identifier(text)
    if ASSETS.get(view, thing) is None and GRANTS.get(view, thing) is None:
        raise texts.not_found("asset or grant")
    return thing


def _plain(condition: Condition) -> dict[str, Any]:
    fields = msgspec.structs.asdict(condition)
    return fields | {"duties": None if condition.duties is None else condition.duties.hex()}


def _listing(now: Conditions, identifier: bytes, record: Listing, block_time_ms: int) -> ListingResult:
    return ListingResult(
        listing=identifier.hex(),
        kind=record.thing.kind,
        id=record.thing.id.hex(),
        bps=record.thing.bps,
        asset=record.asset.hex(),
        seller=account_to_text(record.seller),
        price=record.price,
        listed_at_ms=record.opened_at_ms,
        expires_at_ms=record.ends_at_ms,
        open=is_open(now, record, block_time_ms),
        commitment_required=needs_commitment(now.view, record.thing),
    )


def _offer(now: Conditions, identifier: bytes, record: MarketOffer) -> BuyersOfferResult:
    return BuyersOfferResult(
        offer=identifier.hex(),
        kind=record.thing.kind,
        id=record.thing.id.hex(),
        bps=record.thing.bps,
        asset=record.asset.hex(),
        holder=None if record.holder is None else account_to_text(record.holder),
        buyer=account_to_text(record.buyer),
        price=record.price,
        made_at_ms=record.made_at_ms,
        expires_at_ms=record.expires_at_ms,
        condition_kept=now.of(record.thing) == record.condition,
    )


def _auction(now: Conditions, identifier: bytes, record: Auction, block_time_ms: int) -> AuctionResult:
    pricing = record.pricing
    english = isinstance(pricing, English)
    return AuctionResult(
        auction=identifier.hex(),
        format="english" if english else "dutch",
        kind=record.thing.kind,
        id=record.thing.id.hex(),
        bps=record.thing.bps,
        asset=record.asset.hex(),
        seller=account_to_text(record.seller),
        opened_at_ms=record.opened_at_ms,
        ends_at_ms=record.ends_at_ms,
        open=is_open(now, record, block_time_ms),
        commitment_required=not english and needs_commitment(now.view, record.thing),
        english=_english(record, pricing) if isinstance(pricing, English) else None,
        dutch=_dutch(record, pricing, block_time_ms) if isinstance(pricing, Dutch) else None,
    )


def _english(record: Auction, pricing: English) -> EnglishResult:
    best = best_bid(record)
    return EnglishResult(
        reserve=pricing.reserve,
        reserve_met=best is not None and best.amount >= pricing.reserve,
        increment=pricing.increment,
        least_bid=least_bid(pricing),
        extension_ms=pricing.extension_ms,
        hard_end_ms=pricing.hard_end_ms,
        best_bidder=None if best is None else account_to_text(best.bidder),
        best_amount=None if best is None else best.amount,
        best_at_ms=None if best is None else best.at_ms,
    )


def _dutch(record: Auction, pricing: Dutch, block_time_ms: int) -> DutchResult:
    price = price_at(record, pricing, block_time_ms)
    return DutchResult(pricing.start_price, pricing.floor_price, pricing.steps, price)


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "market.listing": get_listing,
    "market.listings": list_listings,
    "market.offer": get_offer,
    "market.offers": list_offers,
    "market.auction": get_auction,
    "market.auctions": list_auctions,
    "market.condition": get_condition,
    "market.prices": list_prices,
}
