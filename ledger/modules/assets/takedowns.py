"""Artifacts whose bytes the consortium has taken down: no new licenses, no serving, no holding, and every record stays.

It is the artifact that is taken down, not the asset: another version can be licensed, the asset can change hands, and
what was bought keeps its record. A vote of the same majority restores it; the bytes must then be brought again where
nobody has kept them.
"""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.reads import require_asset, require_version
from ledger.modules.assets.records import ARTIFACTS, TAKEN_DOWN, TakedownReason, TakenDown, Version
from ledger.modules.module import ArtifactRecord, Context
from ledger.modules.organizations import quota
from ledger.state.view import Readable


def taken_down(view: Readable, cid: str) -> TakenDown | None:
    """Return the decision by which an artifact is down; None where it is not."""
    return TAKEN_DOWN.get(view, cid.encode("ascii"))


def require_up(view: Readable, version: Version) -> None:
    """Refuse a new license on, and a statement about, a version whose artifact is down.

    Raises:
        OperationError: `assets.taken_down`.
    """
    decision = taken_down(view, version.artifact.cid)
    if decision is not None:
        raise OperationError("assets.taken_down", f"the consortium has taken the artifact down ({decision.reason})")


def require_can_take_down(view: Readable, cid: str) -> None:
    """Check that an artifact is registered and up.

    Raises:
        OperationError: `assets.unknown_artifact`, `assets.taken_down`.
    """
    if ARTIFACTS.get(view, cid.encode("ascii", "replace")) is None:
        raise OperationError("assets.unknown_artifact", f"no version registers {cid}")
    if taken_down(view, cid) is not None:
        raise OperationError("assets.taken_down", "the artifact is down already")


def require_can_restore(view: Readable, cid: str) -> None:
    """Check that an artifact is down. Raises `assets.not_taken_down`."""
    if TAKEN_DOWN.get(view, cid.encode("ascii", "replace")) is None:
        raise OperationError("assets.not_taken_down", f"{cid} is not down")


def take_down(context: Context, cid: str, reason: TakedownReason, report: str | None, proposal: bytes) -> None:
    """Take an artifact down that `require_can_take_down` has passed."""
    decision = TakenDown(reason, report, proposal, context.block_time_ms)
    record = _announced(context, cid, down=True)
    organization = require_asset(context.view, record.asset).organization
    quota.store(context, organization, TAKEN_DOWN, decision, cid.encode("ascii"), enforced=False)
    context.emit(events.TakenDown(record.asset, cid, reason, proposal))


def restore(context: Context, cid: str) -> None:
    """Undo what `take_down` did, as `require_can_restore` has passed it."""
    record = _announced(context, cid, down=False)
    organization = require_asset(context.view, record.asset).organization
    quota.remove(context, organization, TAKEN_DOWN, cid.encode("ascii"))
    context.emit(events.Restored(record.asset, cid))


def _announced(context: Context, cid: str, *, down: bool) -> ArtifactRecord:
    claim = ARTIFACTS.get(context.view, cid.encode("ascii"))
    assert claim is not None
    artifact = require_version(context.view, claim.asset, claim.version).artifact
    record = ArtifactRecord(claim.asset, claim.version, cid, artifact.size_bytes, taken_down=down)
    context.announce_artifact(record)
    return record
