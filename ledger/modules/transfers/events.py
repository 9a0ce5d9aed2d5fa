"""What happened to transfers."""

from __future__ import annotations

from ledger.modules.fields import Event


class Offered(Event, frozen=True, tag="transfers.offered"):
    transfer: bytes
    kind: str
    id: bytes
    """Of the asset, or of the grant."""
    bps: int
    asset: bytes
    giver: bytes
    recipient: bytes
    price: int
    """0 is a gift."""
    expires_at_ms: int


class Accepted(Event, frozen=True, tag="transfers.accepted"):
    transfer: bytes
    asset: bytes
    price: int


class Ended(Event, frozen=True, tag="transfers.ended"):
    """Withdrawn, declined or expired: nothing moved."""

    transfer: bytes
    asset: bytes


class Conveyed(Event, frozen=True, tag="transfers.conveyed"):
    """Something has another holder, whatever kind of sale or gift brought that about."""

    kind: str
    id: bytes
    bps: int
    asset: bytes
    giver: bytes
    """For an asset of several owners: the one who acted for them."""
    recipient: bytes
    price: int
