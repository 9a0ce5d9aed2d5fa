"""Decisions about artifacts: checked at the proposal and again at the vote that decides, and then made at once."""

from __future__ import annotations

from ledger.modules.assets import takedowns
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.governance.operations import TakeDown
from ledger.modules.governance.records import ArtifactChange
from ledger.modules.module import Context


def require_possible(context: Context, change: ArtifactChange) -> None:
    """Check that an approval of `change` could bring it about as things stand.

    Raises:
        OperationError: `governance.text`, `assets.unknown_artifact`, `assets.taken_down` or `assets.not_taken_down`.
    """
    if isinstance(change, TakeDown):
        if change.report is not None:
            check_cid(change.report, "governance.text")
        takedowns.require_can_take_down(context.view, change.artifact)
    else:
        takedowns.require_can_restore(context.view, change.artifact)


def bring_about(context: Context, proposal: bytes, change: ArtifactChange) -> None:
    """Make an approved change. Raises as `require_possible`."""
    require_possible(context, change)
    if isinstance(change, TakeDown):
        takedowns.take_down(context, change.artifact, change.reason, change.report, proposal)
    else:
        takedowns.restore(context, change.artifact)
