"""What may be asked of the market: listings at a fixed price, offers by buyers, English and Dutch auctions."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ledger.modules.fields import Amount, Bytes32, Operation, Part, PositiveAmount, Salt, TimeMs
from ledger.modules.transfers.operations import Thing
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

STEPS_MAX: Final = 10_000
"""Steps of a Dutch auction."""

Steps = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Counter = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class Condition(Part, frozen=True):
    """What a thing was like when a price was named for it, in values of which none returns to an earlier one. No sale
    is concluded on a thing in another condition. What does not apply to a kind of thing is 0 or nil."""

    transfers: Counter = 0
    """How often the asset has changed hands."""
    versions: Counter = 0
    """Of a whole asset: its versions."""
    duties: Bytes32 | None = None
    """Of an asset or share: a digest of what the asset owes to its ancestors, of the uses that these deny, and of the
    revision of its charter; of a share also of how often the owners' treasury has paid."""
    terms: Counter = 0
    """Of a whole asset: different terms under which it has been licensed."""
    reserved: Counter = 0
    """Sole and exclusive licenses of the asset that have been sold."""
    used: Counter = 0
    """Of a grant: how much of its quota is used."""
    end_ms: TimeMs | None = None
    """Of a grant: its end."""


class Commit(Operation, frozen=True, tag="market.commit"):
    """Commit to buying from a listing or a Dutch auction without showing it."""

    commitment: Bytes32


class List(Operation, frozen=True, tag="market.list"):
    """Put something up for sale at a fixed price. By its holder, for an asset of several owners with the consent of
    all; locks it until it is sold, withdrawn or expired."""

    thing: Thing
    price: PositiveAmount
    expires_at_ms: TimeMs


class Buy(Operation, frozen=True, tag="market.buy"):
    """Buy what is listed, at its price. Not from the buyer's own organization: that is what transfers are for."""

    listing: Bytes32
    price_max: Amount
    salt: Salt | None = None
    """Reveals the sender's commitment; needed for a whole asset, an exclusive grant, and one of a sold-out edition."""


class WithdrawListing(Operation, frozen=True, tag="market.withdraw_listing"):
    """Take a listing back. By its seller."""

    listing: Bytes32


class MakeOffer(Operation, frozen=True, tag="market.make_offer"):
    """Offer a price for something, listed or not; it is in escrow until the offer is accepted, withdrawn or expired."""

    thing: Thing
    price: PositiveAmount
    expires_at_ms: TimeMs
    condition: Condition
    """As `market.condition` shows it. The offer can be accepted only while it is so."""
    holder: Bytes32 | None = None
    """Whose share it is; None for an asset or a grant, of which there is one."""


class AcceptOffer(Operation, frozen=True, tag="market.accept_offer"):
    """Sell for what a buyer offers. By the holder, for an asset of several owners with the consent of all."""

    offer: Bytes32
    price_min: Amount = 0


class WithdrawOffer(Operation, frozen=True, tag="market.withdraw_offer"):
    """Take an offer and its price back. By its buyer."""

    offer: Bytes32


class OpenAuction(Operation, frozen=True, tag="market.open_auction"):
    """Auction something to the highest bidder (English auction). Who may and what is locked: as `market.list`."""

    thing: Thing
    reserve: Amount
    """Below it nothing is sold."""
    increment: PositiveAmount
    """Every bid is at least so much above the best one, the first at least so much."""
    ends_at_ms: TimeMs
    extension_ms: TimeMs
    """A bid in the last `extension_ms` moves the end to that long after it, but never beyond twice the auction's
    length; 0 does not extend."""


class Bid(Operation, frozen=True, tag="market.bid"):
    """Bid in an English auction. The amount goes into escrow, the one outbid gets its own back at once."""

    auction: Bytes32
    amount: PositiveAmount


class OpenDutchAuction(Operation, frozen=True, tag="market.open_dutch_auction"):
    """Auction something to the first who takes the price, which falls in equal steps at equal times. Who may and what
    is locked: as `market.list`."""

    thing: Thing
    start_price: PositiveAmount
    floor_price: PositiveAmount
    steps: Steps
    """How often the price falls: the time is divided into one part more, in the last of which the floor holds."""
    ends_at_ms: TimeMs


class Take(Operation, frozen=True, tag="market.take"):
    """Buy in a Dutch auction at the price of this block."""

    auction: Bytes32
    price_max: Amount
    salt: Salt | None = None
    """As of `market.buy`."""


class CancelAuction(Operation, frozen=True, tag="market.cancel_auction"):
    """Take back an auction in which nobody has bid. By its seller."""

    auction: Bytes32


class Settle(Operation, frozen=True, tag="market.settle"):
    """Conclude an auction whose end has come, where the sweep is behind. By anyone."""

    auction: Bytes32


def listing_id(transaction_id: bytes, thing: Thing) -> Digest:
    """Return the id of the listing that a transaction opens; known before it is sent."""
    return tagged_hash("market-listing", encode((transaction_id, thing)))


def auction_id(transaction_id: bytes, thing: Thing) -> Digest:
    """Return the id of the auction that a transaction opens, of either kind; known before it is sent."""
    return tagged_hash("market-auction", encode((transaction_id, thing)))


def offer_id(transaction_id: bytes, thing: Thing, holder: bytes | None = None) -> Digest:
    """Return the id of the offer that a transaction makes; known before it is sent."""
    return tagged_hash("market-offer", encode((transaction_id, thing, holder)))


def commitment(sale: bytes, account: bytes, salt: bytes) -> Digest:
    """Return what `account` commits to before it buys from a listing or Dutch auction; `salt` (16 random bytes) hides
    which."""
    return tagged_hash("market-commitment", encode((sale, account, salt)))
