"""What a share was worth to somebody else of late: below that nobody is made to sell.

The highest price a basis point that was paid between different organizations in each week of the last 180 days. A sale
of a sliver says little and costs little to stage, so that only sales of SHARE_MIN_BPS or more count. Only assets with a
charter keep the record, and never more than WEEKS entries.

    share-price/ + asset (32)    Highs
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ledger.modules.charters.adopted import CHARTERS
from ledger.modules.fields import BPS, Part, PositiveAmount, Record
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.state.view import Readable, Table

WEEK_MS: Final = 7 * 24 * 3_600_000
WEEKS: Final = 27
"""Weeks that count, the present one among them: at least 182 days, so that 180 days are always covered."""
SHARE_MIN_BPS: Final = 100
"""The least share whose sale counts."""


class High(Part, frozen=True):
    """The dearest sale of a week."""

    week: int
    """Weeks of block time since the beginning of 1970."""
    price: PositiveAmount
    bps: Annotated[int, msgspec.Meta(ge=1, le=BPS)]


class Highs(Record, frozen=True):
    weeks: Annotated[tuple[High, ...], msgspec.Meta(min_length=1, max_length=WEEKS)]
    """In order of week, at most one each."""


SHARE_PRICES: Final = Table[Highs](b"share-price/", Highs)


def note(context: Context, asset: bytes, price: int, bps: int) -> None:
    """Note that a share was sold to another organization. Cannot fail."""
    adopted = CHARTERS.get(context.view, asset) if bps >= SHARE_MIN_BPS else None
    if adopted is None:
        return
    week = context.block_time_ms // WEEK_MS
    live = _live(context.view, asset, context.block_time_ms)
    same = next((high for high in live if high.week == week), None)
    if same is not None and price * same.bps <= same.price * bps:
        return
    highs = Highs((*(high for high in live if high.week != week), High(week, price, bps)))
    quota.store(context, adopted.organization, SHARE_PRICES, highs, asset, enforced=False)


def fair_price(view: Readable, asset: bytes, at_ms: int) -> int:
    """Return what the whole of an asset is worth at the highest price that shares were sold for, rounded up; 0 where
    none was."""
    return max((-(-high.price * BPS // high.bps) for high in _live(view, asset, at_ms)), default=0)


def forget(context: Context, asset: bytes) -> None:
    """Drop what was noted: the whole has another owner, or there is no charter any more."""
    adopted = CHARTERS.get(context.view, asset)
    if adopted is not None:
        quota.remove(context, adopted.organization, SHARE_PRICES, asset)


def _live(view: Readable, asset: bytes, at_ms: int) -> tuple[High, ...]:
    record = SHARE_PRICES.get(view, asset)
    first = at_ms // WEEK_MS - WEEKS + 1
    return () if record is None else tuple(high for high in record.weeks if high.week >= first)
