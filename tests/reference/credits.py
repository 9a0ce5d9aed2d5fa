"""Credits: balances, escrow, transfers. Whoever holds credits has a 32-byte name, accounts and pools alike."""

from __future__ import annotations

from typing import Any

from ledger.modules.credits import operations as ops
from primitives.digest import tagged_hash
from tests.reference.reputation import paid
from tests.reference.state import BPS, Call, is_party, need


def escrow_name(escrow: bytes) -> bytes:
    return tagged_hash("escrow", escrow)


def move(state: Any, source: bytes, target: bytes, amount: int) -> None:
    """E2: nobody pays what he has not."""
    assert amount >= 0
    if source == target:
        return
    need(state.balances.get(source, 0) >= amount, "credits.insufficient")
    state.balances[source] = state.balances.get(source, 0) - amount
    state.balances[target] = state.balances.get(target, 0) + amount


def hold(state: Any, escrow: bytes, payer: bytes, amount: int) -> None:
    """Set an amount aside under the name of what it waits for: escrow -> (payer, amount)."""
    move(state, payer, escrow_name(escrow), amount)
    state.escrows[escrow] = (payer, amount)
    state.purses[escrow_name(escrow)] = payer


def add(state: Any, escrow: bytes, payer: bytes, amount: int) -> None:
    """Add to an escrow, or begin it; it stays in the name of who began it."""
    move(state, payer, escrow_name(escrow), amount)
    state.purses.setdefault(escrow_name(escrow), payer)
    began, before = state.escrows.get(escrow, (payer, 0))
    state.escrows[escrow] = (began, before + amount)


def take_from(state: Any, escrow: bytes, amount: int) -> bytes:
    """Take a part of an escrow, which ends with its last unit; return who holds it."""
    payer, before = state.escrows.pop(escrow)
    if before > amount:
        state.escrows[escrow] = (payer, before - amount)
    return escrow_name(escrow)


def give_back(state: Any, escrow: bytes) -> None:
    payer, amount = state.escrows.pop(escrow)
    move(state, escrow_name(escrow), payer, amount)


def transfer(call: Call, operation: ops.Transfer) -> None:
    need(operation.recipient != call.sender, "credits.self_transfer")
    need(is_party(call.state, operation.recipient), "credits.invalid_recipient")
    move(call.state, call.sender, operation.recipient, operation.amount)
    paid(call.state, call.sender, {operation.recipient: BPS}, operation.amount)


OPERATIONS = {ops.Transfer: transfer}
