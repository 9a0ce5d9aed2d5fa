"""What may be asked about royalties and earnings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.modules import texts
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS
from ledger.modules.credits.accounting import balance
from ledger.modules.credits.records import pool_holder
from ledger.modules.fields import Result
from ledger.modules.royalties import pools
from ledger.modules.royalties.payments import stack_of
from ledger.modules.royalties.records import creators_pool
from ledger.modules.royalties.splits import split_sale
from ledger.state.view import Readable
from primitives.identifiers import account_to_text


class EntryResult(Result, frozen=True):
    ancestor: str
    name: str
    rate_bps: int
    cap: int | None
    cap_left: int | None
    least: int
    depth: int
    remainder: int
    """Ten-thousandths of a unit that the next payment adds."""


class StackResult(Result, frozen=True):
    asset: str
    rate_bps: int
    """Of all ancestors together."""
    fee_remainder: int
    resale_remainder: int
    entries: tuple[EntryResult, ...]


class ClaimResult(Result, frozen=True):
    account: str
    share_bps: int
    owed: int
    """Whole units to withdraw."""
    owed_parts: int
    """Ten-thousandths of a unit beyond them."""


class PoolResult(Result, frozen=True):
    asset: str
    balance: int
    """Not yet withdrawn by the owners, now or before."""
    received: int
    """Ever."""
    owners: tuple[ClaimResult, ...]
    """The present owners."""
    creators_balance: int
    creators: tuple[ClaimResult, ...]


class OwedResult(Result, frozen=True):
    asset: str
    account: str
    owed: int
    """Whole units that `royalties.withdraw` pays, as owner and as creator together."""


class QuotePart(Result, frozen=True):
    asset: str
    amount: int


class QuoteResult(Result, frozen=True):
    """How a payment for a grant would be split now."""

    asset: str
    price: int
    fee: int
    royalties: tuple[QuotePart, ...]
    rest: int


def stack(view: Readable, _network_id: bytes, _block_time_ms: int, *, asset: str) -> StackResult:
    """Whom an asset pays of every payment for it."""
    asset_id, _ = named_asset(view, asset)
    record = stack_of(view, asset_id)
    entries = []
    for entry in record.entries:
        ancestor = ASSETS.get(view, entry.ancestor)
        assert ancestor is not None
        entries.append(
            EntryResult(
                ancestor=entry.ancestor.hex(),
                name=ancestor.name,
                rate_bps=entry.rate_bps,
                cap=entry.cap,
                cap_left=None if entry.cap is None else entry.cap - entry.paid,
                least=entry.least,
                depth=entry.depth,
                remainder=entry.remainder,
            )
        )
    total_bps = sum(entry.rate_bps for entry in entries)
    return StackResult(asset, total_bps, record.fee_remainder, record.resale_remainder, tuple(entries))


def pool(view: Readable, _network_id: bytes, _block_time_ms: int, *, asset: str) -> PoolResult:
    """What an asset has earned, and what each present owner and each creator is owed of it."""
    asset_id, record = named_asset(view, asset)
    creators = creators_pool(asset_id)
    return PoolResult(
        asset=asset,
        balance=balance(view, pool_holder(asset_id)),
        received=pools.received(view, asset_id),
        owners=tuple(_claim(view, asset_id, share.account, share.bps) for share in ownership(view, asset_id).shares),
        creators_balance=balance(view, pool_holder(creators)),
        creators=tuple(_claim(view, creators, share.account, share.bps) for share in record.creators),
    )


def owed(view: Readable, _network_id: bytes, _block_time_ms: int, *, asset: str, account: str) -> OwedResult:
    """What an account, also a former owner, can withdraw from an asset."""
    asset_id, record = named_asset(view, asset)
    account_id = texts.account(account)
    shares = pools.shares_of(view, asset_id, record, account_id)
    units = sum(pools.owed(view, pool_id, account_id, bps)[0] for pool_id, bps in shares)
    return OwedResult(asset, account, units)


def quote(
    view: Readable, _network_id: bytes, _block_time_ms: int, *, asset: str, price: int | str, fee_bps: int | str
) -> QuoteResult:
    """How a price for a grant would be split now, at a fee of `fee_bps`."""
    asset_id, _ = named_asset(view, asset)
    amount = texts.number(price)
    split = split_sale(stack_of(view, asset_id), amount, texts.number(fee_bps), exempt=False)
    parts = tuple(QuotePart(ancestor.hex(), units) for ancestor, units in split.royalties)
    return QuoteResult(asset, amount, split.fee, parts, split.rest)


def _claim(view: Readable, pool_id: bytes, account: bytes, share_bps: int) -> ClaimResult:
    units, parts = pools.owed(view, pool_id, account, share_bps)
    return ClaimResult(account_to_text(account), share_bps, units, parts)


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "royalties.stack": stack,
    "royalties.pool": pool,
    "royalties.owed": owed,
    "royalties.quote": quote,
}
