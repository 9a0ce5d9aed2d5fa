"""Offers that wait for acceptance.

transfer/            + transfer (32)                   PendingTransfer
~account-transfer/   + account (32) + transfer (32)    Marker
"""

from __future__ import annotations

from typing import Final

from ledger.modules.fields import Amount, Bytes32, Marker, Record, TimeMs
from ledger.modules.transfers.operations import Thing
from ledger.state.indexes import Index
from ledger.state.view import Table


class PendingTransfer(Record, frozen=True):
    thing: Thing
    asset: Bytes32
    """The asset that the thing is, or belongs to."""
    giver: Bytes32
    recipient: Bytes32
    price: Amount
    """0 is a gift."""
    royalty_held: Amount
    """What the giver of a gift has put into escrow for the least royalties."""
    offered_at_ms: TimeMs
    expires_at_ms: TimeMs


TRANSFERS: Final = Table[PendingTransfer](b"transfer/", PendingTransfer)
BY_PARTY: Final = Table[Marker](b"~account-transfer/", Marker)
"""By giver and by recipient."""

INDEXES: Final = (
    Index(
        BY_PARTY,
        TRANSFERS,
        lambda transfer, record: [(record.giver, transfer), (record.recipient, transfer)],
    ),
)
