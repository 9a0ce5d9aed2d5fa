"""What accounts owe one another by a decision that their balance did not cover.

A debt is collected from the debtor's balance when it arises, from what the debtor withdraws from pools, and at any time
by whoever asks for it (`disputes.collect`). It bears no interest and does not lapse.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, NamedTuple

import msgspec

from ledger.modules.assets.reads import require_asset
from ledger.modules.credits.accounting import balance, move
from ledger.modules.fields import MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.reputation import flows
from ledger.modules.royalties import events, payments
from ledger.modules.royalties.records import DEBTS, DEBTS_BY_CREDITOR, DEBTS_BY_DEBTOR, Debt

COLLECTED_MAX: Final = 8
"""Debts that one withdrawal of earnings pays; the others wait for the next, or for `disputes.collect`."""


class Due(NamedTuple):
    """What somebody has to pay."""

    debtor: bytes
    creditor: bytes
    amount: int
    into: bytes | None
    """The asset that it is paid for, as a price; None pays the creditor."""


def owe(context: Context, identifier: bytes, dispute: bytes, due: Due) -> int:
    """Take `due` from the debtor's balance, and record the rest as the debt `identifier`. Return the rest. Cannot
    fail."""
    if due.amount == 0:
        return 0
    assert DEBTS.get(context.view, identifier) is None
    asset = due.into
    paid = _pay(context, due.debtor, due.creditor, due.amount, asset)
    rest = due.amount - paid
    if rest == 0:
        return 0
    organization = _payer(context, due.debtor)
    debt = Debt(due.debtor, due.creditor, due.amount, rest, asset, dispute, context.block_time_ms)
    quota.store(context, organization, DEBTS, debt, identifier, enforced=False)
    quota.store(context, organization, DEBTS_BY_DEBTOR, MARKER, due.debtor, identifier, enforced=False)
    quota.store(context, organization, DEBTS_BY_CREDITOR, MARKER, due.creditor, identifier, enforced=False)
    context.emit(events.DebtArisen(identifier, due.debtor, due.creditor, rest))
    return rest


def collect(context: Context, identifier: bytes, debt: Debt) -> int:
    """Take what the debtor's balance holds, at most what is owed; return it. A paid debt is gone."""
    taken = _pay(context, debt.debtor, debt.creditor, debt.owed, debt.asset)
    if taken == 0:
        return 0
    organization = _payer(context, debt.debtor)
    left = debt.owed - taken
    if left:
        less = msgspec.structs.replace(debt, owed=left)
        quota.store(context, organization, DEBTS, less, identifier, enforced=False)
    else:
        tally = quota.Tally(context)
        tally.remove(organization, DEBTS, identifier)
        tally.remove(organization, DEBTS_BY_DEBTOR, debt.debtor, identifier)
        tally.remove(organization, DEBTS_BY_CREDITOR, debt.creditor, identifier)
        tally.settle()
    context.emit(events.DebtCollected(identifier, debt.debtor, debt.creditor, taken, left))
    return taken


def collect_from(context: Context, debtor: bytes) -> int:
    """Collect the first COLLECTED_MAX debts of an account, in order of id; return what was taken."""
    taken = 0
    for identifier in [key for key, _ in islice(DEBTS_BY_DEBTOR.items(context.view, debtor), COLLECTED_MAX)]:
        debt = DEBTS.get(context.view, identifier)
        assert debt is not None
        taken += collect(context, identifier, debt)
    return taken


def _pay(context: Context, debtor: bytes, creditor: bytes, owed: int, asset: bytes | None) -> int:
    amount = min(owed, balance(context.view, debtor))
    if asset is None:
        move(context, debtor, creditor, amount)
        flows.moved(context, debtor, creditor, amount)
    elif amount:
        organization = require_asset(context.view, asset).organization
        # Least royalties are due for grants, and parts of a price are none: without them every amount is covered.
        payments.pay(context, asset, organization, debtor, amount, payer=debtor, exempt=True)
    return amount


def _payer(context: Context, debtor: bytes) -> str:
    """Debts are on the debtor's quota."""
    return organization_of(context.view, debtor)
