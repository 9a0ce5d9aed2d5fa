"""What happened to balances."""

from __future__ import annotations

from ledger.modules.fields import Event


class Transferred(Event, frozen=True, tag="credits.transferred"):
    sender: bytes
    recipient: bytes
    amount: int


class Minted(Event, frozen=True, tag="credits.minted"):
    holder: bytes
    """An account, or the treasury."""
    amount: int
    supply: int
    """With these."""


class Burned(Event, frozen=True, tag="credits.burned"):
    holder: bytes
    amount: int
    supply: int
    """Without these."""
