"""What owners and creators have earned, shared without loss to rounding.

A pool counts what it ever received; a holder's claim grows by (received since) * share, in ten-thousandths of a unit.
It is computed only when the holder withdraws or the share changes, and does not depend on when that happens.
"""

from __future__ import annotations

from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS, Asset
from ledger.modules.credits.accounting import move
from ledger.modules.credits.records import pool_holder, treasury_holder
from ledger.modules.fields import AMOUNT_MAX, BPS
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.royalties import events
from ledger.modules.royalties.records import OWED, POOLS, Owed, Pool, creators_pool, narrow, wide
from ledger.state.view import Readable


def receive(
    context: Context, organization: str, pool: bytes, source: bytes, amount: int, *, income: bool = True
) -> None:
    """Move `amount` from the holder `source` into a pool of an asset whose records `organization` keeps on its
    quota.

    Of `income` the asset's treasury gets its rate first, where the owners have given it one; of what they are paid for
    the asset itself it gets nothing.
    """
    if amount == 0:
        return
    record = POOLS.get(context.view, pool) or Pool(wide(0))
    aside, remainder = 0, record.treasury_remainder
    if income and record.treasury_bps:
        aside, remainder = divmod(amount * record.treasury_bps + remainder, BPS)
        if aside:
            move(context, source, treasury_holder(pool), aside)
            context.emit(events.SetAside(pool, aside))
    move(context, source, pool_holder(pool), amount - aside)
    total = wide(narrow(record.received) + amount - aside)
    changed = Pool(total, record.treasury_bps, remainder)
    quota.store(context, organization, POOLS, changed, pool, enforced=False)


def set_treasury_rate(context: Context, organization: str, asset: bytes, bps: int) -> None:
    """Set aside so much of every later income of an asset's owners for the asset's treasury; 0 ends it."""
    record = POOLS.get(context.view, asset) or Pool(wide(0))
    if record.treasury_bps != bps:
        changed = Pool(record.received, bps, record.treasury_remainder)
        quota.store(context, organization, POOLS, changed, asset, enforced=False)


def received(view: Readable, pool: bytes) -> int:
    """Return the units that ever came into a pool."""
    record = POOLS.get(view, pool)
    return 0 if record is None else narrow(record.received)


def owed(view: Readable, pool: bytes, account: bytes, share_bps: int) -> tuple[int, int]:
    """Return what an account with `share_bps` of a pool is owed: (units, ten-thousandths of a unit)."""
    record = OWED.get(view, pool, account)
    total = received(view, pool)
    if record is None:
        return divmod(total * share_bps, BPS)
    parts = (total - narrow(record.seen)) * share_bps + record.units * BPS + record.parts
    return divmod(parts, BPS)


def withdraw(context: Context, asset: bytes, pool: bytes, account: bytes, share_bps: int) -> int:
    """Pay the whole units that an account is owed from a pool; return them."""
    units, parts = owed(context.view, pool, account, share_bps)
    if units:
        move(context, pool_holder(pool), account, units)
        _settle(context, asset, pool, account, share_bps, 0, parts)
    return units


def move_share(
    context: Context, asset: bytes, giver: tuple[bytes, int], recipient: tuple[bytes, int], moved_bps: int
) -> None:
    """Settle the owners' pool of `asset` for (account, bps before) on both sides, before `moved_bps` changes hands.

    Whole units stay the giver's claim. Who gives all of a share gives the fraction of a unit with it: fractions of
    owners long gone would otherwise add up to units that nobody can withdraw.
    """
    (giver_account, giver_bps), (recipient_account, recipient_bps) = giver, recipient
    assert giver_account != recipient_account
    assert 0 < moved_bps <= giver_bps
    units, parts = owed(context.view, asset, giver_account, giver_bps)
    recipient_units, recipient_parts = owed(context.view, asset, recipient_account, recipient_bps)
    if moved_bps == giver_bps:
        carried, recipient_parts = divmod(recipient_parts + parts, BPS)
        recipient_units, parts = recipient_units + carried, 0
    _settle(context, asset, asset, giver_account, giver_bps - moved_bps, units, parts)
    _settle(context, asset, asset, recipient_account, recipient_bps + moved_bps, recipient_units, recipient_parts)


def shares_of(view: Readable, asset_id: bytes, asset: Asset, account: bytes) -> tuple[tuple[bytes, int], ...]:
    """Return (pool, bps) for the owners' and the creators' pool of an asset: what `account` has in each."""
    owner_bps = sum(share.bps for share in ownership(view, asset_id).shares if share.account == account)
    creator_bps = sum(share.bps for share in asset.creators if share.account == account)
    return ((asset_id, owner_bps), (creators_pool(asset_id), creator_bps))


def _settle(
    context: Context, asset: bytes, pool: bytes, account: bytes, share_bps: int, units: int, parts: int
) -> None:
    payer = _payer(context.view, asset)
    if share_bps == 0 and units == 0 and parts == 0:
        quota.remove(context, payer, OWED, pool, account)
        return
    assert 0 <= units <= AMOUNT_MAX
    record = Owed(units, parts, wide(received(context.view, pool)))
    quota.store(context, payer, OWED, record, pool, account, enforced=False)


def _payer(view: Readable, asset: bytes) -> str:
    record = ASSETS.get(view, asset)
    assert record is not None
    return record.organization
