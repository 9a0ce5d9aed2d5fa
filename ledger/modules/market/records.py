"""What is for sale, and what is offered for things that are not.

listing/             + listing (32)                     Listing
~asset-listing/      + asset (32) + listing (32)        Marker
~seller-listing/     + account (32) + listing (32)      Marker
auction/             + auction (32)                     Auction
~asset-auction/      + asset (32) + auction (32)        Marker
~seller-auction/     + account (32) + auction (32)      Marker
~bidder-auction/     + account (32) + auction (32)      Marker   of the best bid
market-offer/        + offer (32)                       MarketOffer
~thing-offer/        + asset or grant (32) + offer (32) Marker
~buyer-offer/        + account (32) + offer (32)        Marker
market-commitment/   + account (32) + commitment (32)   ledger.modules.assets.commitments

An offer's price and an auction's best bid are in the escrow of their id.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from ledger.modules.fields import Amount, Bytes32, Marker, Part, PositiveAmount, Record, TimeMs
from ledger.modules.market.operations import Condition, Steps
from ledger.modules.transfers.operations import Thing
from ledger.state.indexes import Index
from ledger.state.view import Table


class Listing(Record, frozen=True):
    thing: Thing
    asset: Bytes32
    """The asset that the thing is, or belongs to."""
    seller: Bytes32
    """The holder; for an asset of several owners the one who acts for all."""
    price: PositiveAmount
    opened_at_ms: TimeMs
    ends_at_ms: TimeMs
    condition: Condition


class BestBid(Part, frozen=True):
    bidder: Bytes32
    amount: PositiveAmount
    at_ms: TimeMs


class English(Part, frozen=True, tag="english"):
    reserve: Amount
    increment: PositiveAmount
    extension_ms: TimeMs
    hard_end_ms: TimeMs
    """No bid moves the end beyond it."""
    best: BestBid | None = None


class Dutch(Part, frozen=True, tag="dutch"):
    start_price: PositiveAmount
    floor_price: PositiveAmount
    steps: Steps


class Auction(Record, frozen=True):
    thing: Thing
    asset: Bytes32
    seller: Bytes32
    opened_at_ms: TimeMs
    ends_at_ms: TimeMs
    condition: Condition
    pricing: English | Dutch


class MarketOffer(Record, frozen=True):
    thing: Thing
    asset: Bytes32
    holder: Bytes32 | None
    buyer: Bytes32
    price: PositiveAmount
    made_at_ms: TimeMs
    expires_at_ms: TimeMs
    condition: Condition


Sale: TypeAlias = Listing | Auction

LISTINGS: Final = Table[Listing](b"listing/", Listing)
LISTINGS_BY_ASSET: Final = Table[Marker](b"~asset-listing/", Marker)
LISTINGS_BY_SELLER: Final = Table[Marker](b"~seller-listing/", Marker)
AUCTIONS: Final = Table[Auction](b"auction/", Auction)
AUCTIONS_BY_ASSET: Final = Table[Marker](b"~asset-auction/", Marker)
AUCTIONS_BY_SELLER: Final = Table[Marker](b"~seller-auction/", Marker)
AUCTIONS_BY_BIDDER: Final = Table[Marker](b"~bidder-auction/", Marker)
OFFERS: Final = Table[MarketOffer](b"market-offer/", MarketOffer)
OFFERS_BY_THING: Final = Table[Marker](b"~thing-offer/", Marker)
OFFERS_BY_BUYER: Final = Table[Marker](b"~buyer-offer/", Marker)


def best_bid(auction: Auction) -> BestBid | None:
    """Return the best bid of an English auction; None where there is none, and of a Dutch one."""
    return auction.pricing.best if isinstance(auction.pricing, English) else None


def _bidders(identifier: bytes, auction: Auction) -> list[tuple[bytes, ...]]:
    best = best_bid(auction)
    return [] if best is None else [(best.bidder, identifier)]


INDEXES: Final = (
    Index(LISTINGS_BY_ASSET, LISTINGS, lambda listing, record: [(record.asset, listing)]),
    Index(LISTINGS_BY_SELLER, LISTINGS, lambda listing, record: [(record.seller, listing)]),
    Index(AUCTIONS_BY_ASSET, AUCTIONS, lambda auction, record: [(record.asset, auction)]),
    Index(AUCTIONS_BY_SELLER, AUCTIONS, lambda auction, record: [(record.seller, auction)]),
    Index(AUCTIONS_BY_BIDDER, AUCTIONS, _bidders),
    Index(OFFERS_BY_THING, OFFERS, lambda offer, record: [(record.thing.id, offer)]),
    Index(OFFERS_BY_BUYER, OFFERS, lambda offer, record: [(record.buyer, offer)]),
)
