"""Aliases, the manager, retirement."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.operations import Retire, SetAlias, SetManager
from ledger.modules.assets.reads import ownership, require_sole_owner, require_tradable, require_version
from ledger.modules.assets.records import ALIASES, ALIASES_MAX, ASSETS, AliasTarget
from ledger.modules.fields import BPS
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import require_party


def set_alias(context: Context, operation: SetAlias) -> None:
    """Point an alias to a version, or remove it."""
    asset = require_tradable(context.view, operation.asset)
    if asset.manager != context.sender:
        raise OperationError("assets.not_manager", "only the asset's manager sets aliases")
    name = operation.alias.encode("ascii")
    known = ALIASES.get(context.view, operation.asset, name) is not None
    count = asset.aliases
    if operation.version is None:
        if not known:
            raise OperationError("assets.unknown_alias", f"no alias {operation.alias!r}")
        quota.remove(context, asset.organization, ALIASES, operation.asset, name)
        count -= 1
    else:
        require_version(context.view, operation.asset, operation.version)
        count += not known
        if count > ALIASES_MAX:
            raise OperationError("assets.too_many_aliases", f"an asset has at most {ALIASES_MAX} aliases")
        target = AliasTarget(operation.version)
        quota.store(context, asset.organization, ALIASES, target, operation.asset, name)
    changed = msgspec.structs.replace(asset, aliases=count)
    quota.store(context, asset.organization, ASSETS, changed, operation.asset)
    context.emit(events.AliasSet(operation.asset, operation.alias, operation.version))


def set_manager(context: Context, operation: SetManager) -> None:
    """Replace the manager."""
    asset = require_tradable(context.view, operation.asset)
    shares = ownership(context.view, operation.asset).shares
    held_bps = sum(share.bps for share in shares if share.account == context.sender)
    if 2 * held_bps <= BPS:
        raise OperationError(
            "assets.not_majority_owner", f"it takes more than {BPS // 2} bps; the sender has {held_bps}"
        )
    require_party(context.view, operation.manager, "assets.invalid_manager")
    changed = msgspec.structs.replace(asset, manager=operation.manager)
    quota.store(context, asset.organization, ASSETS, changed, operation.asset)
    context.emit(events.ManagerSet(operation.asset, operation.manager))


def retire(context: Context, operation: Retire) -> None:
    """Retire an asset: nothing more is offered, sold or versioned. Earnings are still withdrawn, grants still hold."""
    asset = require_tradable(context.view, operation.asset)
    require_sole_owner(context.view, operation.asset, context.sender)
    retired = msgspec.structs.replace(asset, retired=True)
    quota.store(context, asset.organization, ASSETS, retired, operation.asset)
    context.emit(events.Retired(operation.asset))
