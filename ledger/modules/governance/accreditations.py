"""Decisions about who may state what of versions: checked at the proposal and again at the vote that decides, and then
made at once."""

from __future__ import annotations

from ledger.modules.attestations import accreditation
from ledger.modules.governance.operations import (
    Accredit,
    EndAccreditation,
    ReinstateAccreditation,
    SuspendAccreditation,
)
from ledger.modules.governance.records import AccreditationChange
from ledger.modules.module import Context


def require_possible(context: Context, change: AccreditationChange) -> None:
    """Check that an approval of `change` could bring it about as things stand.

    Raises:
        OperationError: `attestations.*`.
    """
    match change:
        case Accredit():
            accreditation.require_can_accredit(context, _terms(change))
        case SuspendAccreditation():
            accreditation.require_can_suspend(context, change.account)
        case ReinstateAccreditation():
            accreditation.require_can_reinstate(context, change.account)
        case EndAccreditation():
            accreditation.require_accreditation(context, change.account)


def bring_about(context: Context, proposal: bytes, change: AccreditationChange) -> None:
    """Make an approved change. Raises as `require_possible`."""
    require_possible(context, change)
    match change:
        case Accredit():
            accreditation.accredit(context, _terms(change), proposal)
        case SuspendAccreditation():
            accreditation.suspend(context, change.account)
        case ReinstateAccreditation():
            accreditation.reinstate(context, change.account)
        case EndAccreditation():
            accreditation.end_by_vote(context, change.account)


def _terms(change: Accredit) -> accreditation.Terms:
    return accreditation.Terms(change.account, change.roles, change.tier, change.bond, change.until_ms)
