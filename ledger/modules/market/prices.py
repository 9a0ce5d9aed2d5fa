"""At what prices an asset, its shares and licenses on it can be bought now: for people, and for the search index."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import ASSETS, Asset
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.grants import is_exhausted, require_grant
from ledger.modules.market.auctions import least_bid
from ledger.modules.market.conditions import Conditions
from ledger.modules.market.dutch import price_at
from ledger.modules.market.operations import Condition
from ledger.modules.market.records import (
    AUCTIONS,
    AUCTIONS_BY_ASSET,
    LISTINGS,
    LISTINGS_BY_ASSET,
    Auction,
    English,
    Sale,
)
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.things import require_available
from ledger.state.view import Readable


class OpenPrice(NamedTuple):
    """One sale that is open."""

    sale: bytes
    """Listing or auction."""
    format: str
    """fixed, english or dutch."""
    thing: Thing
    price: int
    """What it takes now: the price, or in an English auction the least next bid and no less than the reserve."""
    ends_at_ms: int


def open_prices(view: Readable, asset: bytes, at_ms: int, *, after: bytes = b"") -> Iterator[OpenPrice]:
    """Yield what of an asset can be bought or bid for at a block time, listings and auctions together in order of id,
    behind the id `after` where one is given.

    An auction in which nobody can bid more, because there are no such amounts, is left out. An asset has as many sales
    as its holders have put up; whoever wants a few takes a few.
    """
    now = Conditions(view)
    return merge(_listed(now, asset, at_ms, after), _auctioned(now, asset, at_ms, after), key=lambda price: price.sale)


def _listed(now: Conditions, asset: bytes, at_ms: int, after: bytes) -> Iterator[OpenPrice]:
    for listing_id, _ in LISTINGS_BY_ASSET.items(now.view, asset, after=after):
        listing = LISTINGS.get(now.view, listing_id)
        assert listing is not None
        if is_open(now, listing, at_ms):
            yield OpenPrice(listing_id, "fixed", listing.thing, listing.price, listing.ends_at_ms)


def _auctioned(now: Conditions, asset: bytes, at_ms: int, after: bytes) -> Iterator[OpenPrice]:
    for auction_id, _ in AUCTIONS_BY_ASSET.items(now.view, asset, after=after):
        auction = AUCTIONS.get(now.view, auction_id)
        assert auction is not None
        if is_open(now, auction, at_ms) and (price := price_now(auction, at_ms)) <= AMOUNT_MAX:
            kind = "english" if isinstance(auction.pricing, English) else "dutch"
            yield OpenPrice(auction_id, kind, auction.thing, price, auction.ends_at_ms)


def price_now(auction: Auction, at_ms: int) -> int:
    """Return what it takes at a block time: the least bid that can win, or the price of a Dutch auction."""
    if isinstance(auction.pricing, English):
        return max(least_bid(auction.pricing), auction.pricing.reserve)
    return price_at(auction, auction.pricing, at_ms)


def is_open(now: Conditions, sale: Sale, at_ms: int) -> bool:
    """Tell whether a sale has not ended, and its thing is as it was put up and can still be sold.

    Left aside is what depends on the buyer, and whether the value of an owner is frozen while its keys are recovered.
    """
    asset = ASSETS.get(now.view, sale.asset)
    assert asset is not None
    return at_ms < open_until_ms(sale) and is_sellable(asset) and standing(now, sale.thing) == sale.condition


def open_until_ms(sale: Sale) -> int:
    """Return the block time from which a sale is over: its end, or that of the license it sells."""
    end_ms = sale.condition.end_ms
    return sale.ends_at_ms if end_ms is None else min(sale.ends_at_ms, end_ms)


def is_sellable(asset: Asset) -> bool:
    """Tell whether an asset, its shares and licenses on it may be sold: no dispute has frozen them, nor is it to be
    taken back, and no ancestor's license forbids it."""
    return asset.commercial and not asset.freezes and asset.recall is None


def standing(now: Conditions, thing: Thing) -> Condition | None:
    """Return the condition of something that exists and can be sold before the end of its condition, as far as its
    asset `is_sellable`; None of what cannot."""
    if thing.kind == "grant":
        grant = require_grant(now.view, thing.id)
        if grant.state != "active" or grant.disputed or is_exhausted(grant) or grant.due_ms is not None:
            return None
    elif require_asset(now.view, thing.id).retired:
        return None
    try:
        require_available(now.view, thing)
    except OperationError:
        return None
    return now.of(thing)
