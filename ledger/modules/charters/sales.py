"""Selling the whole, as the owners have decided.

Shares in transfers, listings or auctions are not sold over their buyers' heads, and keep nothing from being sold
either: the decided sale waits until the last of these has ended, and nothing of the asset is put up meanwhile. Every
lock has an end. The price stays in escrow, and the buyer is bound as the owners are.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_manageable
from ledger.modules.assets.records import SHARE_LOCKS
from ledger.modules.attempts import attempt
from ledger.modules.charters import events
from ledger.modules.charters.adopted import CHARTERS, SALES, Adopted, PendingSale
from ledger.modules.charters.fair_price import fair_price
from ledger.modules.charters.operations import ListWhole, SellWhole
from ledger.modules.charters.reading import require_no_sale
from ledger.modules.credits import accounting
from ledger.modules.market import listings
from ledger.modules.market import offers as market
from ledger.modules.market.conditions import condition_digest
from ledger.modules.market.operations import List
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.transfers.operations import Thing
from ledger.state.view import Readable

SALE_DUE: Final = "charters.sale_due"
"""The deadline at which a decided sale is tried again; its subject is the asset's id."""
RETRY_MS: Final = 24 * 3_600_000


def sell_whole(context: Context, identifier: bytes, asset: bytes, adopted: Adopted, action: SellWhole) -> None:
    """Sell at the fair price or above, at once or as soon as no share is locked.

    Raises:
        OperationError: `charters.price_too_low`, `charters.sale_pending`, `assets.*`, `market.*`, `transfers.*`.
    """
    offer = market.require_whole(context, action.offer, asset)
    if offer.price < action.price_min:
        raise OperationError("charters.price_too_low", f"the offer is {offer.price}")
    _require_fair(context, asset, adopted, offer.price)
    require_no_sale(context.view, asset)
    require_manageable(context.view, asset)
    market.bind(context, action.offer, offer)
    digest = condition_digest(offer.condition)
    sale = PendingSale(identifier, action.offer, offer.buyer, offer.price, digest, context.block_time_ms)
    if _is_free(context.view, asset):
        _conclude(context, asset, sale)
        return
    quota.store(context, adopted.organization, SALES, sale, asset, enforced=False)
    organization = adopted.organization
    quota.schedule(context, organization, context.block_time_ms + RETRY_MS, SALE_DUE, asset, enforced=False)
    context.emit(events.SaleWaiting(identifier, asset))


def list_whole(context: Context, asset: bytes, adopted: Adopted, action: ListWhole) -> None:
    """Put the whole up at the fair price or above, in the name of the sender.

    Raises:
        OperationError: `charters.price_too_low`, else as `market.listings.list_by_vote`.
    """
    _require_fair(context, asset, adopted, action.price)
    listings.list_by_vote(context, List(Thing("asset", asset), action.price, action.expires_at_ms))


def waits(view: Readable, asset: bytes, proposal: bytes) -> bool:
    """Tell whether the sale that a proposal has decided on waits for locked shares."""
    sale = SALES.get(view, asset)
    return sale is not None and sale.proposal == proposal


def try_again(context: Context, asset: bytes, organization: str) -> tuple[bytes, str] | None:
    """Conclude a decided sale whose deadline has come, or give it up. Return (proposal, why it failed or nothing); None
    where it goes on waiting. Cannot fail: what cannot be sold any more leaves everything as it was, and the price
    returns."""
    sale = SALES.get(context.view, asset)
    assert sale is not None  # its deadline is the only thing that ends it
    if not _is_free(context.view, asset):
        quota.schedule(context, organization, context.block_time_ms + RETRY_MS, SALE_DUE, asset, enforced=False)
        return None
    quota.remove(context, organization, SALES, asset)
    code = attempt(context, lambda inner: _conclude_late(inner, asset, sale))
    if code:
        accounting.refund(context, sale.offer)
    return sale.proposal, code


def _require_fair(context: Context, asset: bytes, adopted: Adopted, price: int) -> None:
    fair = max(adopted.rules.least_price, fair_price(context.view, asset, context.block_time_ms))
    if price < fair:
        raise OperationError("charters.price_too_low", f"{price} is below the fair price of {fair}")


def _conclude_late(context: Context, asset: bytes, sale: PendingSale) -> None:
    """Conclude a sale that has waited. Whoever has bought one of the shares that were locked is sold with the others,
    and like them not below what it has paid."""
    adopted = CHARTERS.get(context.view, asset)
    if adopted is not None:  # else the asset is in another condition
        _require_fair(context, asset, adopted, sale.price)
    _conclude(context, asset, sale)


def _conclude(context: Context, asset: bytes, sale: PendingSale) -> None:
    market.sell_bound(context, sale.offer, asset, sale.buyer, sale.condition)


def _is_free(view: Readable, asset: bytes) -> bool:
    return next(SHARE_LOCKS.items(view, asset), None) is None
