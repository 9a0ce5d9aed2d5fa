"""Charters: checked as a whole, adopted with the asset, changed and ended by its owners."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.charter import Charter, Majority
from ledger.modules.charters import events, treasury
from ledger.modules.charters.adopted import CHARTERS, Adopted
from ledger.modules.charters.fair_price import forget
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.royalties import pools

CHARTER_THRESHOLD_MIN_BPS = 6_667
"""Of the shares that vote: the least that may change a charter."""
CHARTER_QUORUM_MIN_BPS = 5_000
"""Of all shares: the least that must vote on changing a charter."""


def check_charter(charter: Charter) -> None:
    """Refuse a charter whose parts do not fit together: one code for each rule.

    Raises:
        OperationError: `charters.unordered`, `charters.alias_reserved`, `charters.charter_majority`,
            `charters.charter_easier`, `charters.dissolution_easier`.
    """
    for names in (charter.voted, charter.voted_aliases):
        if list(names) != sorted(set(names)):
            raise OperationError("charters.unordered", "what is left to votes is in order and named once")
    if "latest" in charter.voted_aliases:
        raise OperationError("charters.alias_reserved", "nobody moves 'latest': it names the latest version by itself")
    own = charter.charter
    if own.threshold_bps < CHARTER_THRESHOLD_MIN_BPS or own.quorum_bps < CHARTER_QUORUM_MIN_BPS:
        least = f"{CHARTER_THRESHOLD_MIN_BPS} bps of the shares that vote, and {CHARTER_QUORUM_MIN_BPS} bps of all"
        raise OperationError("charters.charter_majority", f"changing the charter takes at least {least}")
    for other in (charter.terms, charter.aliases, charter.contributions, charter.management, charter.payments):
        if _easier(own, other):
            raise OperationError("charters.charter_easier", "nothing takes more than changing the charter itself")
    if _easier(charter.dissolution, own):
        raise OperationError("charters.dissolution_easier", "a dissolution takes no less than changing the charter")


def adopt(context: Context, asset: bytes, organization: str, charter: Charter) -> None:
    """Put a checked charter into force for a new asset whose records `organization` keeps on its quota.

    Raises:
        OperationError: the quota.
    """
    quota.store(context, organization, CHARTERS, Adopted(charter, organization, 0, context.block_time_ms), asset)
    pools.set_treasury_rate(context, organization, asset, charter.treasury_bps)
    context.emit(events.Adopted(asset, 0))


def replace(context: Context, asset: bytes, adopted: Adopted, charter: Charter) -> None:
    """Put a checked charter in the place of the present one."""
    revision = adopted.revision + 1
    changed = Adopted(charter, adopted.organization, revision, context.block_time_ms)
    quota.store(context, adopted.organization, CHARTERS, changed, asset)
    pools.set_treasury_rate(context, adopted.organization, asset, charter.treasury_bps)
    context.emit(events.Adopted(asset, revision))


def count_payment(context: Context, asset: bytes, adopted: Adopted) -> None:
    """Note that the treasury has paid. Cannot fail."""
    changed = msgspec.structs.replace(adopted, payments=adopted.payments + 1)
    quota.store(context, adopted.organization, CHARTERS, changed, asset, enforced=False)


def dissolve(context: Context, asset: bytes, adopted: Adopted) -> None:
    """End a charter: the treasury goes to the owners by their shares, who go on without votes."""
    treasury.pay_out(context, asset)
    forget(context, asset)
    pools.set_treasury_rate(context, adopted.organization, asset, 0)
    quota.remove(context, adopted.organization, CHARTERS, asset)
    context.emit(events.Dissolved(asset))


def _easier(one: Majority, other: Majority) -> bool:
    return one.quorum_bps < other.quorum_bps or one.threshold_bps < other.threshold_bps
