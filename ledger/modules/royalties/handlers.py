"""Withdrawing earnings."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset
from ledger.modules.module import Context
from ledger.modules.royalties import debts, pools
from ledger.modules.royalties.events import Withdrawn
from ledger.modules.royalties.operations import Withdraw


def withdraw(context: Context, operation: Withdraw) -> None:
    """Pay whole units; fractions stay owed. Retired assets pay too, and debts are collected from it."""
    asset = require_asset(context.view, operation.asset)
    total = 0
    for pool, share_bps in pools.shares_of(context.view, operation.asset, asset, context.sender):
        total += pools.withdraw(context, operation.asset, pool, context.sender, share_bps)
    if total == 0:
        raise OperationError("royalties.nothing_owed", "the sender is owed no whole unit from this asset")
    context.emit(Withdrawn(operation.asset, context.sender, total))
    debts.collect_from(context, context.sender)
