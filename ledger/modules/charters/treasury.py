"""What the owners of an asset have set aside together: a holder of credits like their pool."""

from __future__ import annotations

from ledger.modules.charters.adopted import CHARTERS
from ledger.modules.charters.events import PaidOut
from ledger.modules.credits.accounting import balance
from ledger.modules.credits.records import treasury_holder
from ledger.modules.module import Context
from ledger.modules.royalties import pools
from ledger.state.view import Readable


def held(view: Readable, asset: bytes) -> int:
    """Return the units in the treasury of an asset."""
    return balance(view, treasury_holder(asset))


def pay_out(context: Context, asset: bytes) -> None:
    """Give all of the treasury to the owners, by the shares that they have now: their pool receives it. Cannot fail."""
    adopted = CHARTERS.get(context.view, asset)
    if adopted is None or (amount := held(context.view, asset)) == 0:
        return
    pools.receive(context, adopted.organization, asset, treasury_holder(asset), amount, income=False)
    context.emit(PaidOut(asset, amount))
