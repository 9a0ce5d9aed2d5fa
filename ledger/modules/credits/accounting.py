"""The one function that moves credits, escrow in terms of it, and the two that change how many there are. Other
modules pay through here."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.credits.events import Burned, Minted
from ledger.modules.credits.records import BALANCES, ESCROWS, SUPPLY, Balance, Escrow, Supply, escrow_holder
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.module import Context
from ledger.state.view import Readable, StateView


def balance(view: Readable, holder: bytes) -> int:
    """Return the credits of `holder` in minor units."""
    record = BALANCES.get(view, holder)
    return 0 if record is None else record.amount


def move(context: Context, source: bytes, target: bytes, amount: int) -> None:
    """Move `amount` >= 0 from one holder to another.

    Raises:
        OperationError: `credits.insufficient`, and nothing has changed.
    """
    assert 0 <= amount <= AMOUNT_MAX
    if amount == 0 or source == target:
        return
    held = require_funds(context.view, source, amount)
    _set(context.view, source, held - amount)
    _set(context.view, target, balance(context.view, target) + amount)


def require_funds(view: Readable, holder: bytes, amount: int) -> int:
    """Check that `holder` has `amount`; return what it has.

    Raises:
        OperationError: `credits.insufficient`.
    """
    held = balance(view, holder)
    if held < amount:
        raise OperationError("credits.insufficient", f"{held} of the {amount} needed")
    return held


def supply(view: Readable) -> int:
    """Return how many credits there are."""
    record = SUPPLY.get(view)
    return 0 if record is None else record.amount


def mint(context: Context, target: bytes, amount: int) -> None:
    """Make credits. The caller, governance, has checked that the supply stays an amount."""
    made = supply(context.view) + amount
    assert 0 < amount <= made <= AMOUNT_MAX
    SUPPLY.put(context.view, Supply(made))
    _set(context.view, target, balance(context.view, target) + amount)
    context.emit(Minted(target, amount, made))


def burn(context: Context, source: bytes, amount: int) -> None:
    """End credits.

    Raises:
        OperationError: `credits.insufficient`, and nothing has changed.
    """
    held = require_funds(context.view, source, amount)
    left = supply(context.view) - amount
    assert left >= 0
    SUPPLY.put(context.view, Supply(left))
    _set(context.view, source, held - amount)
    context.emit(Burned(source, amount, left))


def hold(context: Context, escrow: bytes, payer: bytes, amount: int) -> None:
    """Move `amount` from `payer` into a new escrow.

    Raises:
        OperationError: `credits.insufficient`.
    """
    assert ESCROWS.get(context.view, escrow) is None
    move(context, payer, escrow_holder(escrow), amount)
    ESCROWS.put(context.view, Escrow(payer, amount), escrow)


def held(view: Readable, escrow: bytes) -> int:
    """Return what an escrow holds; 0 where there is none."""
    record = ESCROWS.get(view, escrow)
    return 0 if record is None else record.amount


def add(context: Context, escrow: bytes, payer: bytes, amount: int) -> None:
    """Move `amount` from `payer` into an escrow, which is opened in the payer's name where there is none.

    Raises:
        OperationError: `credits.insufficient`.
    """
    before = ESCROWS.get(context.view, escrow) or Escrow(payer, 0)
    move(context, payer, escrow_holder(escrow), amount)
    ESCROWS.put(context.view, Escrow(before.payer, before.amount + amount), escrow)


def draw(context: Context, escrow: bytes, amount: int) -> bytes:
    """Take `amount` of what an escrow holds; it ends with its last unit. The caller must move that amount out of the
    holder that is returned, in the same operation."""
    record = ESCROWS.get(context.view, escrow)
    assert record is not None
    assert 0 <= amount <= record.amount
    if amount == record.amount:
        ESCROWS.delete(context.view, escrow)
    else:
        ESCROWS.put(context.view, Escrow(record.payer, record.amount - amount), escrow)
    return escrow_holder(escrow)


def open_escrow(context: Context, escrow: bytes) -> Escrow:
    """End an escrow. The caller must move all its credits out of `escrow_holder` in the same operation."""
    record = ESCROWS.get(context.view, escrow)
    assert record is not None
    ESCROWS.delete(context.view, escrow)
    return record


def release(context: Context, escrow: bytes, recipient: bytes) -> int:
    """End an escrow in favor of `recipient`; return the amount."""
    record = open_escrow(context, escrow)
    move(context, escrow_holder(escrow), recipient, record.amount)
    return record.amount


def refund(context: Context, escrow: bytes) -> Escrow:
    """End an escrow in favor of its payer."""
    record = open_escrow(context, escrow)
    move(context, escrow_holder(escrow), record.payer, record.amount)
    return record


def total(view: Readable) -> int:
    """Add up all balances. Walks the whole table: for tests and audits."""
    return sum(record.amount for _, record in BALANCES.items(view))


def _set(view: StateView, holder: bytes, amount: int) -> None:
    assert 0 <= amount <= AMOUNT_MAX
    if amount:
        BALANCES.put(view, Balance(amount), holder)
    else:
        BALANCES.delete(view, holder)
