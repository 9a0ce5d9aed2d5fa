"""Decisions about credits: minting, burning, and paying from the treasury. The supply changes here and nowhere else."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.credits import accounting
from ledger.modules.credits.records import TREASURY
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.governance import events
from ledger.modules.governance.operations import Burn, Mint, Pay
from ledger.modules.governance.records import CreditChange
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import membership, require_party, require_unfrozen


def require_own(context: Context, change: CreditChange) -> None:
    """Check that nobody proposes to burn what is another's. Raises `governance.not_your_account`."""
    if isinstance(change, Burn) and change.account not in (None, context.sender):
        raise OperationError(
            "governance.not_your_account", "credits of an account are burned when it proposes that itself"
        )


def require_possible(context: Context, change: CreditChange) -> None:
    """Check that an approval of `change` could bring it about as things stand.

    Raises:
        OperationError: `governance.unknown_account`, `governance.unknown_organization`, `governance.supply`,
            `organizations.frozen`, `credits.insufficient`.
    """
    match change:
        case Mint():
            supply = accounting.supply(context.view)
            if supply + change.amount > AMOUNT_MAX:
                raise OperationError(
                    "governance.supply",
                    f"with {change.amount} more than the {supply} there are it exceeds {AMOUNT_MAX}",
                )
            if change.account is not None:
                _require_members(context, change.account)
        case Burn():
            if change.account is not None:
                require_unfrozen(context, change.account)
            accounting.require_funds(context.view, change.account or TREASURY, change.amount)
        case Pay():
            require_party(context.view, change.account, "governance.unknown_account")
            accounting.require_funds(context.view, TREASURY, change.amount)


def bring_about(context: Context, change: CreditChange) -> None:
    """Mint, burn or pay. Raises as `require_possible`."""
    require_possible(context, change)
    match change:
        case Mint():
            accounting.mint(context, change.account or TREASURY, change.amount)
        case Burn():
            accounting.burn(context, change.account or TREASURY, change.amount)
        case Pay():
            accounting.move(context, TREASURY, change.account, change.amount)
            context.emit(events.TreasuryPaid(change.account, change.amount))


def _require_members(context: Context, account: bytes) -> None:
    record = require_party(context.view, account, "governance.unknown_account")
    if membership(context.view, record.organization) == "removed":
        raise OperationError("governance.unknown_organization", f"{record.organization} is not in the consortium")
