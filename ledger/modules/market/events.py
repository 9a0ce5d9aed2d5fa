"""What happened in the market."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Event

Format = Literal["english", "dutch"]
EndReason = Literal["withdrawn", "expired"]


class Committed(Event, frozen=True, tag="market.committed"):
    account: bytes
    commitment: bytes


class Listed(Event, frozen=True, tag="market.listed"):
    listing: bytes
    kind: str
    id: bytes
    """Of the asset, or of the grant."""
    bps: int
    asset: bytes
    seller: bytes
    price: int
    expires_at_ms: int


class Bought(Event, frozen=True, tag="market.bought"):
    """A listing was bought."""

    listing: bytes
    asset: bytes
    seller: bytes
    buyer: bytes
    price: int


class ListingEnded(Event, frozen=True, tag="market.listing_ended"):
    """Nothing was sold."""

    listing: bytes
    asset: bytes
    seller: bytes
    reason: EndReason


class OfferMade(Event, frozen=True, tag="market.offer_made"):
    offer: bytes
    kind: str
    id: bytes
    bps: int
    asset: bytes
    holder: bytes | None
    """Whose share it is on."""
    buyer: bytes
    price: int
    expires_at_ms: int


class OfferAccepted(Event, frozen=True, tag="market.offer_accepted"):
    offer: bytes
    asset: bytes
    seller: bytes
    buyer: bytes
    price: int


class OfferEnded(Event, frozen=True, tag="market.offer_ended"):
    """The price went back to the buyer."""

    offer: bytes
    asset: bytes
    buyer: bytes
    amount: int
    reason: EndReason


class AuctionOpened(Event, frozen=True, tag="market.auction_opened"):
    auction: bytes
    format: Format
    kind: str
    id: bytes
    bps: int
    asset: bytes
    seller: bytes
    price: int
    """Reserve of an English auction, first price of a Dutch one."""
    ends_at_ms: int


class BidPlaced(Event, frozen=True, tag="market.bid_placed"):
    """The best bid by now, and when the auction ends with it."""

    auction: bytes
    asset: bytes
    bidder: bytes
    amount: int
    ends_at_ms: int


class BidReturned(Event, frozen=True, tag="market.bid_returned"):
    """A bid went back to its bidder."""

    auction: bytes
    asset: bytes
    bidder: bytes
    amount: int
    code: str
    """`market.outbid`, or as of `AuctionEnded`."""


class AuctionSettled(Event, frozen=True, tag="market.auction_settled"):
    """Sold: to the best bidder, or to who took the price."""

    auction: bytes
    asset: bytes
    seller: bytes
    buyer: bytes
    price: int


class AuctionEnded(Event, frozen=True, tag="market.auction_ended"):
    """Nothing was sold."""

    auction: bytes
    asset: bytes
    seller: bytes
    code: str
    """Why: `market.cancelled`, `market.no_bid`, `market.reserve_not_reached`, or the code with which the sale was
    refused."""
