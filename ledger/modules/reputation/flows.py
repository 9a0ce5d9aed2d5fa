"""What organizations pay one another: every way in which credits get from an account of one to an account of another.

A payment into the pool of an asset counts when it is made, for the organizations of those who own the asset then: they
are who is owed it. What waits in escrow counts once it is paid out; what returns from escrow never left. Fees go to
nobody, and what the treasury pays out comes from nobody.

Flows are on nobody's quota: there is at most one for each ordered pair of organizations that were ever members.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.modules.assets.records import Share
from ledger.modules.fields import BPS
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.organizations.records import organization_part
from ledger.modules.reputation.decay import narrow, to_grid, wide
from ledger.modules.reputation.records import FLOWS, Flow


def moved(context: Context, payer: bytes, recipient: bytes, amount: int) -> None:
    """Count that `amount` units went from one account to another."""
    if amount:
        moved_between(context, organization_of(context.view, payer), organization_of(context.view, recipient), amount)


def moved_between(context: Context, payer: str, payee: str, amount: int) -> None:
    """Count that `amount` units went from an account of one organization to one of another."""
    if payer == payee or not amount:
        return
    key = organization_part(payer), organization_part(payee)
    before = FLOWS.get(context.view, *key) or Flow(b"")
    total = wide(narrow(before.moved) + to_grid(amount, context.block_time_ms))
    FLOWS.put(context.view, Flow(total, before.claimed), *key)


def moved_to_holders(context: Context, payer: bytes, shares: Sequence[Share], amount: int) -> None:
    """Count that `amount` units went from an account to a pool that is shared like this."""
    if not amount:
        return
    source = organization_of(context.view, payer)
    if len(shares) == 1:  # as most assets are
        moved_between(context, source, organization_of(context.view, shares[0].account), amount)
        return
    parts: dict[str, int] = {}
    for share in shares:
        target = organization_of(context.view, share.account)
        parts[target] = parts.get(target, 0) + share.bps
    for target, bps in parts.items():
        moved_between(context, source, target, amount * bps // BPS)


def moved_from_holders(context: Context, shares: Sequence[Share], recipient: bytes, amount: int) -> None:
    """Count that `amount` units went to an account from what others have together, shared like this."""
    target = organization_of(context.view, recipient)
    parts: dict[str, int] = {}
    for share in shares:
        source = organization_of(context.view, share.account)
        parts[source] = parts.get(source, 0) + share.bps
    for source, bps in parts.items():
        moved_between(context, source, target, amount * bps // BPS)


def claim(context: Context, payer: str, payee: str, amount: int, at_ms: int, sign: int) -> None:
    """Let reviews weigh by so many units more (`sign` 1) or less (-1) of what one organization has paid another,
    entered as of `at_ms`."""
    key = organization_part(payer), organization_part(payee)
    before = FLOWS.get(context.view, *key) or Flow(b"")
    claimed = narrow(before.claimed) + sign * to_grid(amount, at_ms)
    FLOWS.put(context.view, Flow(before.moved, wide(claimed)), *key)
