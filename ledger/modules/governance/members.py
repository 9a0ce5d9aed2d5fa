"""Changes of the consortium's members: checked at the proposal and again at the vote that decides, and then made at
once."""

from __future__ import annotations

from typing import Final

from ledger import epochs
from ledger.errors import OperationError
from ledger.modules.governance.founding import check_founding, check_point, found, require_member
from ledger.modules.governance.operations import (
    AdmitOrganization,
    RecoverAccount,
    ReinstateOrganization,
    RemoveOrganization,
    SetQuota,
    SuspendOrganization,
)
from ledger.modules.governance.records import MemberChange
from ledger.modules.module import Context
from ledger.modules.organizations import membership, recovery
from ledger.modules.organizations.accounts import is_validators, organizations, validator_has
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS

ORGANIZATIONS_MIN: Final = 4
"""No removal leaves fewer: with three, one that refuses or is gone stops every decision."""


def require_possible(context: Context, change: MemberChange) -> None:
    """Check that an approval of `change` could bring it about as things stand.

    Raises:
        OperationError: `governance.*`.
    """
    match change:
        case AdmitOrganization():
            check_founding(context, change.organization, change.founding)
        case SuspendOrganization():
            if require_member(context.view, change.organization).membership == "suspended":
                raise OperationError("governance.already_suspended", f"{change.organization} is suspended")
        case ReinstateOrganization():
            _check_reinstatement(context, change.organization)
        case RemoveOrganization():
            _check_removal(context, change.organization)
        case SetQuota():
            require_member(context.view, change.organization)
        case RecoverAccount():
            _check_recovery(context, change)


def bring_about(context: Context, change: MemberChange) -> None:
    """Make an approved change.

    Raises:
        OperationError: as `require_possible`.
    """
    require_possible(context, change)
    match change:
        case AdmitOrganization():
            found(context, change.organization, change.founding)
        case SuspendOrganization():
            membership.suspend(context, change.organization)
        case ReinstateOrganization():
            membership.reinstate(context, change.organization)
        case RemoveOrganization():
            membership.remove(context, change.organization)
        case SetQuota():
            membership.set_quota(context, change.organization, change.quota)
        case RecoverAccount():
            recovery.recover_by_vote(context, change.account, change.owner_key)


def opened(context: Context, organization: str, proposal: bytes, change: MemberChange, closes_at_ms: int) -> None:
    """Freeze the account whose recovery is proposed by its own organization `organization`, where that takes a vote."""
    if not isinstance(change, RecoverAccount):
        return
    record = ACCOUNTS.get(context.view, change.account)
    if record is not None and record.organization == organization:
        recovery.freeze_for_vote(context, change.account, proposal, closes_at_ms)


def dropped(context: Context, proposal: bytes, change: MemberChange) -> None:
    """End what `opened` began: the proposal was rejected or has expired. Never raises."""
    if isinstance(change, RecoverAccount):
        recovery.end_vote(context, change.account, proposal)


def _check_reinstatement(context: Context, organization: str) -> None:
    record = ORGANIZATIONS.get(context.view, organization.encode("ascii"))
    if record is None:
        raise OperationError("governance.unknown_organization", f"{organization} never was in the consortium")
    if record.membership == "active":
        raise OperationError("governance.not_suspended", f"{organization} is neither suspended nor removed")


def _check_removal(context: Context, organization: str) -> None:
    require_member(context.view, organization)
    records = [*epochs.current_set(context.view).validators]
    records += [change.record for change in epochs.pending_changes(context.view).values() if change.record is not None]
    if any(record.organization == organization for record in records):
        raise OperationError("governance.organization_validates", f"{organization} has a validator, or one on the way")
    left = len(organizations(context.view)) - 1
    if left < ORGANIZATIONS_MIN:
        raise OperationError(
            "governance.too_few_organizations", f"{left} would be left, and no removal leaves fewer than four"
        )


def _check_recovery(context: Context, change: RecoverAccount) -> None:
    record = ACCOUNTS.get(context.view, change.account)
    if record is None:
        raise OperationError("governance.unknown_account", "no such account on this network")
    if is_validators(record):
        raise OperationError("governance.validator_account", "a validator gets new keys by `rekey_validator`")
    check_point(change.owner_key)
    if validator_has(context.view, context.network_id, change.owner_key):
        raise OperationError("governance.key_taken", "a validator signs with this key: use another one")
