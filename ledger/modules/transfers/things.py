"""Whether something may be handed over now, and the lock that keeps it in one transfer, listing or auction at a time.

A lock is the id of whatever holds it. A whole asset is locked only while none of its shares is, and the reverse.
"""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.consents import require_all_owners
from ledger.modules.assets.reads import (
    ownership,
    require_asset,
    require_manageable,
    require_sellable,
    require_version,
)
from ledger.modules.assets.records import ASSETS, SHARE_LOCKS, Asset, ShareLock
from ledger.modules.charters.reading import require_no_sale
from ledger.modules.fields import BPS, Operation
from ledger.modules.licenses.grants import require_grant, require_terms, state_at
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.records import GRANTS, Grant
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, require_unfrozen
from ledger.modules.transfers.operations import Thing
from ledger.state.view import Readable


def check_form(thing: Thing) -> None:
    """Refuse what names nothing.

    Raises:
        OperationError: `transfers.share_bps`.
    """
    if thing.kind == "share" and not 1 <= thing.bps < BPS:
        raise OperationError("transfers.share_bps", f"a share is 1 to {BPS - 1} bps; all of them are the asset itself")
    if thing.kind != "share" and thing.bps:
        raise OperationError("transfers.share_bps", "only a share is measured in bps")


def asset_of(view: Readable, thing: Thing) -> bytes:
    """Return the asset that a thing is, or belongs to.

    Raises:
        OperationError: `assets.unknown_asset`, `licenses.unknown_grant`.
    """
    if thing.kind == "grant":
        return require_grant(view, thing.id).asset
    require_asset(view, thing.id)
    return thing.id


def require_offerable(context: Context, thing: Thing, operation: Operation, *, for_price: bool) -> None:
    """Refuse to open a transfer, listing or auction of what the sender may not hand over, or what is in another one.

    `operation` is what all owners of an asset have consented to, where there are several.

    Raises:
        OperationError: `transfers.*`, `assets.*`, `licenses.*`.
    """
    check_form(thing)
    if thing.kind == "grant":
        grant = require_grant(context.view, thing.id)
        if grant.locked_by is not None:
            raise OperationError("transfers.locked", f"the grant is locked by {grant.locked_by.hex()}")
    else:
        require_no_sale(context.view, thing.id)
    if thing.kind == "asset":
        require_free(context.view, thing.id)
        require_all_owners(context, thing.id, operation)
    require_conveyable(context, thing, context.sender, for_price=for_price)
    if thing.kind == "share" and _free_bps(context.view, thing.id, context.sender) < thing.bps:
        locked = _locked_bps(context.view, thing.id, context.sender)
        raise OperationError("transfers.locked", f"{locked} bps of the holder's are in other transfers or sales")


def require_free(view: Readable, asset: bytes) -> None:
    """Refuse a whole asset that is in a transfer, listing or auction, or a share of which is.

    Raises:
        OperationError: as `require_manageable`, and `transfers.shares_locked`.
    """
    require_manageable(view, asset)
    if next(SHARE_LOCKS.items(view, asset), None) is not None:
        raise OperationError("transfers.shares_locked", "shares of the asset are in a transfer, listing or auction")


def require_conveyable(context: Context, thing: Thing, holder: bytes, *, for_price: bool, voted: bool = False) -> None:
    """Refuse what `holder` cannot hand over at this block time, its lock aside. Nothing leaves a holder whose value is
    frozen, whoever sends the operation, but where the owners have `voted`: what they are paid waits in their pool.

    Raises:
        OperationError: `transfers.not_the_holder`, `transfers.not_transferable`, `transfers.grant_not_live`,
            `transfers.grant_unsettled`, `transfers.non_commercial`, `assets.retired`, `assets.locked`,
            `assets.frozen`, `organizations.frozen`.
    """
    if thing.kind == "grant":
        _require_grant_conveyable(context, thing.id, holder)
        asset = require_asset(context.view, require_grant(context.view, thing.id).asset)
    else:
        asset = require_asset(context.view, thing.id) if thing.kind == "asset" else _share_asset(context, thing, holder)
        if asset.retired:
            raise OperationError("assets.retired", f"asset {thing.id.hex()} is retired")
        if asset.recall is not None:
            require_sellable(asset)
    # Only here is `holder` known to hold the thing, and so to be an account at all: a buyer's offer names anybody.
    owners = ownership(context.view, thing.id).shares if thing.kind == "asset" else ()
    for account in () if voted else sorted({holder, *(share.account for share in owners)}):
        require_unfrozen(context, account)
    if for_price:
        require_sellable(asset)
    if for_price and not asset.commercial:
        raise OperationError("transfers.non_commercial", "an ancestor's license is not commercial: it cannot be sold")


def require_available(view: Readable, thing: Thing) -> None:
    """Refuse a sale of an asset, or of a share, whose latest version no quorum of validators holds: a grant would not
    be live.

    Raises:
        OperationError: `transfers.not_available`.
    """
    if thing.kind == "grant":
        return
    latest = require_version(view, thing.id, require_asset(view, thing.id).versions)
    if latest.available_at_ms is None:
        raise OperationError("transfers.not_available", "no quorum of validators holds the latest version yet")


def lock(context: Context, thing: Thing, holder: bytes, identifier: bytes) -> None:
    """Lock what `require_offerable` has let through."""
    if thing.kind == "share":
        locked = _locked_bps(context.view, thing.id, holder) + thing.bps
        quota.store(context, organization_of(context.view, holder), SHARE_LOCKS, ShareLock(locked), thing.id, holder)
    else:
        _set_lock(context, thing, identifier)


def unlock(context: Context, thing: Thing, holder: bytes) -> None:
    """Open a lock that `lock` closed, before the thing moves. `holder` is who had it locked."""
    if thing.kind != "share":
        _set_lock(context, thing, None)
        return
    organization = organization_of(context.view, holder)
    left = _locked_bps(context.view, thing.id, holder) - thing.bps
    assert left >= 0
    if left:
        quota.store(context, organization, SHARE_LOCKS, ShareLock(left), thing.id, holder, enforced=False)
    else:
        quota.remove(context, organization, SHARE_LOCKS, thing.id, holder)


def _require_grant_conveyable(context: Context, grant_id: bytes, holder: bytes) -> None:
    grant = require_grant(context.view, grant_id)
    if grant.licensee != holder:
        raise OperationError("transfers.not_the_holder", "the grant is another account's")
    terms: Terms = require_terms(context.view, grant.terms)
    if not terms.transferable:
        raise OperationError("transfers.not_transferable", "the terms do not let the license be passed on")
    state = state_at(grant, context.block_time_ms)
    if state not in ("active", "scheduled"):
        raise OperationError("transfers.grant_not_live", f"the grant is {state}")
    if grant.due_ms is not None:
        raise OperationError("transfers.grant_unsettled", "its price is in escrow, and would return to its first buyer")


def _share_asset(context: Context, thing: Thing, holder: bytes) -> Asset:
    asset = require_asset(context.view, thing.id)
    if asset.locked_by is not None:
        raise OperationError("assets.locked", f"the asset is locked by {asset.locked_by.hex()}")
    shares = ownership(context.view, thing.id).shares
    if sum(share.bps for share in shares if share.account == holder) < thing.bps:
        raise OperationError("transfers.not_the_holder", f"the holder has less than {thing.bps} bps of the asset")
    return asset


def _free_bps(view: Readable, asset: bytes, holder: bytes) -> int:
    """Return the shares of `holder` that are free."""
    held = sum(share.bps for share in ownership(view, asset).shares if share.account == holder)
    return held - _locked_bps(view, asset, holder)


def _locked_bps(view: Readable, asset: bytes, holder: bytes) -> int:
    record = SHARE_LOCKS.get(view, asset, holder)
    return 0 if record is None else record.bps


def _set_lock(context: Context, thing: Thing, identifier: bytes | None) -> None:
    if thing.kind == "grant":
        grant: Grant = msgspec.structs.replace(require_grant(context.view, thing.id), locked_by=identifier)
        quota.store(context, grant.organization, GRANTS, grant, thing.id, enforced=identifier is not None)
        return
    asset = msgspec.structs.replace(require_asset(context.view, thing.id), locked_by=identifier)
    quota.store(context, asset.organization, ASSETS, asset, thing.id, enforced=identifier is not None)
