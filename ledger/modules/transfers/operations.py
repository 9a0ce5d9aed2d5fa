"""What may be asked about handing over."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Amount, Bytes32, Operation, Part, PositiveAmount, Rate, TimeMs
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

ThingKind = Literal["asset", "share", "grant"]


class Thing(Part, frozen=True):
    """What can be handed over: a whole asset, a share of one, a grant."""

    kind: ThingKind
    id: Bytes32
    """Of the asset, or of the grant."""
    bps: Rate = 0
    """Of a share: 1 to 9_999; 0 otherwise. All shares together are the whole asset."""


class Offer(Operation, frozen=True, tag="transfers.offer"):
    """Offer something to one account at a price. By its holder, for an asset of several owners with the consent of all;
    locks it until the offer is accepted, withdrawn or expired."""

    thing: Thing
    recipient: Bytes32
    price: PositiveAmount
    expires_at_ms: TimeMs


class OfferGift(Operation, frozen=True, tag="transfers.offer_gift"):
    """Offer something to one account as a gift. The giver puts the least royalties into escrow where the terms ask for
    any."""

    thing: Thing
    recipient: Bytes32
    expires_at_ms: TimeMs


class Accept(Operation, frozen=True, tag="transfers.accept"):
    """Accept what is offered to the sender; pays the price."""

    transfer: Bytes32
    price_max: Amount


class Withdraw(Operation, frozen=True, tag="transfers.withdraw"):
    """Take an offer back, or decline it: by its giver or its recipient."""

    transfer: Bytes32


def transfer_id(transaction_id: bytes, thing: Thing) -> Digest:
    """Return the id of the transfer that a transaction offers; known before it is sent."""
    return tagged_hash("transfer", encode((transaction_id, thing)))
