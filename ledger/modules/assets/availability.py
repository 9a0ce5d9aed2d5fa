"""Validators state that they hold a version. From a quorum of them on it is available, and what waited for it
settles."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.operations import ReportHeld
from ledger.modules.assets.reads import require_asset, require_version
from ledger.modules.assets.records import HELD, VERSIONS, Held, version_part
from ledger.modules.assets.takedowns import require_up
from ledger.modules.licenses.settlement import release_waiting
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import validators
from ledger.state.view import Readable
from primitives.quorum import quorum


def report_held(context: Context, operation: ReportHeld) -> None:
    """Record the statement of a validator. A second one of the same validator is refused, unless those before suffice
    by now: when a validator leaves, so may the quorum shrink."""
    members = validators(context.view)
    validator = members.get(context.sender)
    if validator is None:
        raise OperationError("assets.not_a_validator", "only members of the validator set state what they hold")
    asset = require_asset(context.view, operation.asset)
    version = require_version(context.view, operation.asset, operation.version)
    require_up(context.view, version)
    part = version_part(operation.version)
    repeated = HELD.get(context.view, operation.asset, part, context.sender) is not None
    if not repeated:
        held = Held(validator.node_id, context.block_time_ms)
        quota.store(context, asset.organization, HELD, held, operation.asset, part, context.sender)
        context.emit(events.HeldReported(operation.asset, operation.version, validator.node_id))
    stated = len(holders(context.view, operation.asset, operation.version))
    if version.available_at_ms is not None or stated < quorum(len(members)):
        if repeated:
            raise OperationError("assets.already_reported", "the validator has stated this before")
        return
    available = msgspec.structs.replace(version, available_at_ms=context.block_time_ms)
    quota.store(context, asset.organization, VERSIONS, available, operation.asset, part)
    context.emit(events.BecameAvailable(operation.asset, operation.version))
    release_waiting(context, operation.asset, operation.version)


def holders(view: Readable, asset: bytes, version: int) -> list[tuple[bytes, Held]]:
    """Return (validator's account, statement) for a version, in order of account; at most one a validator.

    Statements of validators that have left do not count.
    """
    members = validators(view)
    return [item for item in HELD.items(view, asset, version_part(version)) if item[0] in members]
