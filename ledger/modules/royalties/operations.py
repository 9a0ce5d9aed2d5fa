"""What may be asked about earnings."""

from __future__ import annotations

from ledger.modules.fields import Bytes32, Operation


class Withdraw(Operation, frozen=True, tag="royalties.withdraw"):
    """Move what the sender has earned from an asset, as its owner (now or before) and as its creator, to its
    balance. What the sender owes by a dispute is collected from there."""

    asset: Bytes32
