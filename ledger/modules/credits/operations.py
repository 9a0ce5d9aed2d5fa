"""What an account may ask of its balance."""

from __future__ import annotations

from ledger.modules.fields import Bytes32, Operation, PositiveAmount


class Transfer(Operation, frozen=True, tag="credits.transfer"):
    """Move credits from the sender to another account."""

    recipient: Bytes32
    amount: PositiveAmount
    """Minor units."""
