"""What happened to payments."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Event

Reason = Literal[
    "grant", "usage", "asset_resale", "share_resale", "grant_resale", "asset_gift", "share_gift", "grant_gift"
]
"""What a payment was for: a new grant or a further term of it, metered use, or what a holder sold or gave away."""


class Paid(Event, frozen=True, tag="royalties.paid"):
    """fee + the operation's `royalties.royalty_paid` + creators + rest == amount."""

    asset: bytes
    reason: Reason
    amount: int
    fee: int
    creators: int
    """Resale royalty: the creators', or of a grant's resale the owners'."""
    rest: int
    """To the owners' pool, or to the seller."""


class RoyaltyPaid(Event, frozen=True, tag="royalties.royalty_paid"):
    asset: bytes
    """What was paid for."""
    ancestor: bytes
    """Whose owners' pool received it."""
    amount: int


class SetAside(Event, frozen=True, tag="royalties.set_aside"):
    """What an asset's treasury got of its owners' income, before their pool received the rest."""

    asset: bytes
    amount: int


class Withdrawn(Event, frozen=True, tag="royalties.withdrawn"):
    asset: bytes
    account: bytes
    amount: int


class DebtArisen(Event, frozen=True, tag="royalties.debt_arisen"):
    debt: bytes
    debtor: bytes
    creditor: bytes
    owed: int
    """What the debtor's balance did not cover."""


class DebtCollected(Event, frozen=True, tag="royalties.debt_collected"):
    debt: bytes
    debtor: bytes
    creditor: bytes
    amount: int
    left: int
    """0 ends the debt."""
