"""What may be asked about credits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.modules import texts
from ledger.modules.credits import accounting
from ledger.modules.credits.records import TREASURY
from ledger.modules.fields import Result
from ledger.state.view import Readable


class BalanceResult(Result, frozen=True):
    account: str
    balance: int


class SupplyResult(Result, frozen=True):
    supply: int
    treasury: int
    """What fees have brought together, and votes have minted; less what votes have paid."""


def balance_of(view: Readable, _network_id: bytes, _block_time_ms: int, *, account: str) -> BalanceResult:
    """The balance of an account in minor units; 0 for one that has never held any."""
    return BalanceResult(account, accounting.balance(view, texts.account(account)))


def supply(view: Readable, _network_id: bytes, _block_time_ms: int) -> SupplyResult:
    """All credits there are, and the treasury's part of them."""
    return SupplyResult(accounting.supply(view), accounting.balance(view, TREASURY))


QUERIES: Final[dict[str, Callable[..., Any]]] = {"credits.balance": balance_of, "credits.supply": supply}
