"""The charters in force, and the sales that wait under them.

charter/      + asset (32)    Adopted
charter-sale/ + asset (32)    PendingSale
"""

from __future__ import annotations

from typing import Final

from ledger.modules.assets.charter import Charter
from ledger.modules.fields import Bytes32, PositiveAmount, Record, TimeMs
from ledger.state.view import Table


class Adopted(Record, frozen=True):
    rules: Charter
    organization: str
    """On whose quota it is: that of the asset."""
    revision: int
    """How often the charter has been changed. What was proposed under an earlier one lapses."""
    since_ms: TimeMs
    payments: int = 0
    """What the treasury has paid since, how often: a share is sold with its part of the treasury."""


class PendingSale(Record, frozen=True):
    """A sale of the whole that the owners have decided on, while shares are still in transfers, listings or auctions.
    The price is in the escrow of the offer's id."""

    proposal: Bytes32
    offer: Bytes32
    buyer: Bytes32
    price: PositiveAmount
    condition: Bytes32
    """Digest of what the buyer looked at."""
    decided_at_ms: TimeMs


CHARTERS: Final = Table[Adopted](b"charter/", Adopted)
SALES: Final = Table[PendingSale](b"charter-sale/", PendingSale)
