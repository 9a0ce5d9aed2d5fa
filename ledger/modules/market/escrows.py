"""Selling for what is in escrow: all of it goes, to the unit."""

from __future__ import annotations

from ledger.modules.credits import accounting
from ledger.modules.credits.records import escrow_holder
from ledger.modules.module import Context
from ledger.modules.transfers import conveyance
from ledger.modules.transfers.conveyance import Conveyance


def pay_from_escrow(context: Context, escrow: bytes, agreed: Conveyance, *, voted: bool = False) -> None:
    """Convey for the whole of an escrow, which ends; `voted` as of `conveyance.sell`.

    Raises:
        OperationError: as `conveyance.sell`.
    """
    record = accounting.open_escrow(context, escrow)
    source = escrow_holder(escrow)
    conveyance.sell(context, agreed, record.amount, source, voted=voted)
    assert accounting.balance(context.view, source) == 0, "a sale takes the whole price"
