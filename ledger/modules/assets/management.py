"""Description, aliases, the manager, retirement."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.consents import require_all_owners, require_majority
from ledger.modules.assets.labels import check_labels
from ledger.modules.assets.operations import Retire, SetAlias, SetManager, UpdateMetadata
from ledger.modules.assets.reads import require_manageable, require_version
from ledger.modules.assets.records import ALIASES, ALIASES_MAX, ASSETS, LATEST, AliasTarget
from ledger.modules.charters.reading import require_alias_unguarded, require_unguarded
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import require_party


def update_metadata(context: Context, operation: UpdateMetadata) -> None:
    """Describe the asset anew."""
    asset = require_manageable(context.view, operation.asset)
    if asset.manager != context.sender:
        raise OperationError("assets.not_manager", "only the asset's manager describes it")
    check_labels(operation.name, operation.tags, operation.metadata)
    changed = msgspec.structs.replace(
        asset,
        name=operation.name,
        description=operation.description,
        tags=operation.tags,
        metadata=operation.metadata,
    )
    quota.store(context, asset.organization, ASSETS, changed, operation.asset)
    context.emit(events.MetadataUpdated(operation.asset))


def set_alias(context: Context, operation: SetAlias) -> None:
    """Point an alias to a version, or remove it."""
    asset = require_manageable(context.view, operation.asset)
    if asset.manager != context.sender:
        raise OperationError("assets.not_manager", "only the asset's manager sets aliases")
    require_alias_unguarded(context.view, operation.asset, operation.alias)
    point_alias(context, operation)


def point_alias(context: Context, operation: SetAlias) -> None:
    """Point an alias to a version, or remove it, for whoever may.

    Raises:
        OperationError: `assets.*`.
    """
    asset = require_manageable(context.view, operation.asset)
    if operation.alias == LATEST:
        raise OperationError("assets.alias_reserved", f"{LATEST!r} always names the latest version")
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
    require_manageable(context.view, operation.asset)
    require_unguarded(context.view, operation.asset, "management")
    require_majority(context, operation.asset, operation)
    replace_manager(context, operation)


def replace_manager(context: Context, operation: SetManager) -> None:
    """Replace the manager, for whoever may.

    Raises:
        OperationError: `assets.*`.
    """
    asset = require_manageable(context.view, operation.asset)
    require_party(context.view, operation.manager, "assets.invalid_manager")
    changed = msgspec.structs.replace(asset, manager=operation.manager)
    quota.store(context, asset.organization, ASSETS, changed, operation.asset)
    context.emit(events.ManagerSet(operation.asset, operation.manager))


def retire(context: Context, operation: Retire) -> None:
    """Retire an asset: nothing more is offered, sold or versioned. Earnings are still withdrawn, grants still hold."""
    asset = require_manageable(context.view, operation.asset)
    require_all_owners(context, operation.asset, operation)
    retired = msgspec.structs.replace(asset, retired=True)
    quota.store(context, asset.organization, ASSETS, retired, operation.asset)
    context.emit(events.Retired(operation.asset))
