"""What happened to balances."""

from __future__ import annotations

from ledger.modules.fields import Event


class Transferred(Event, frozen=True, tag="credits.transferred"):
    sender: bytes
    recipient: bytes
    amount: int
