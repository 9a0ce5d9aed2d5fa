"""What happened to payments."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Event


class Paid(Event, frozen=True, tag="royalties.paid"):
    """fee + the operation's `royalties.royalty_paid` + creators + rest == amount."""

    asset: bytes
    reason: Literal["grant", "usage", "resale", "gift"]
    amount: int
    fee: int
    creators: int
    rest: int
    """To the owners' pool, or to the seller of the asset itself."""


class RoyaltyPaid(Event, frozen=True, tag="royalties.royalty_paid"):
    asset: bytes
    """What was paid for."""
    ancestor: bytes
    """Whose owners' pool received it."""
    amount: int


class Withdrawn(Event, frozen=True, tag="royalties.withdrawn"):
    asset: bytes
    account: bytes
    amount: int
