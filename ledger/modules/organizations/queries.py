"""What may be asked about organizations and accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.modules import texts
from ledger.modules.credits.accounting import balance
from ledger.modules.fields import Result
from ledger.modules.organizations import quota
from ledger.modules.organizations.records import (
    ACCOUNTS,
    ORGANIZATION_ACCOUNTS,
    ORGANIZATIONS,
    RECOVERIES,
    organization_part,
)
from ledger.modules.organizations.recovery import is_waiting
from ledger.parameters import read_parameters
from ledger.state.view import Readable
from primitives.identifiers import account_to_text, key_to_text


class KeyResult(Result, frozen=True):
    key: str
    role: str


class RecoveryResult(Result, frozen=True):
    """The latest request for an account's recovery; it is forgotten after 30 days."""

    state: str
    """`waiting`, `lapsed`, `vetoed` or `completed`."""
    requested_by: str
    owner_key: str
    requested_at_ms: int
    completable_at_ms: int
    lapses_at_ms: int
    forgotten_at_ms: int
    """From then on a request takes no vote."""
    vote: str | None
    """The proposal that has frozen the account since."""


class AccountResult(Result, frozen=True):
    account: str
    organization: str
    name: str
    keys: tuple[KeyResult, ...]
    vouches: bool
    opened_at_ms: int
    balance: int
    frozen_until_ms: int | None
    """Until when nothing of value leaves it; None where it is not frozen."""
    recovery: RecoveryResult | None


class OrganizationResult(Result, frozen=True):
    organization: str
    name: str
    membership: str
    """`active`, `suspended` or `removed`."""
    records: int
    bytes: int
    deadlines: int
    """What of its quota the organization uses."""
    quota_records: int
    quota_bytes: int
    quota_deadlines: int
    """What it may use."""
    quota_voted: bool
    """Whether the consortium has voted for this quota; else it is that of the chain's parameters."""


def get_account(view: Readable, _network_id: bytes, block_time_ms: int, *, account: str) -> AccountResult:
    """An account with its keys and balance, whether it is frozen, and its recovery."""
    return _account(view, texts.account(account), block_time_ms)


def list_accounts(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    organization: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[AccountResult]:
    """The accounts of an organization in order of id, beginning behind the account `after`."""
    _organization(view, organization)
    start = texts.account(after) if after else b""
    keys = (key for key, _ in ORGANIZATION_ACCOUNTS.items(view, organization_part(organization), after=start))
    return [_account(view, key, block_time_ms) for key in texts.page(keys, limit)]


def get_organization(
    view: Readable, _network_id: bytes, _block_time_ms: int, *, organization: str
) -> OrganizationResult:
    """An organization, how it stands in the consortium, and what it uses of its quota."""
    return _organization(view, organization)


def list_organizations(view: Readable, _network_id: bytes, _block_time_ms: int) -> list[OrganizationResult]:
    """All organizations in order of id, those included that were removed."""
    return [_organization(view, record.id) for _, record in ORGANIZATIONS.items(view)]


def _account(view: Readable, account: bytes, block_time_ms: int) -> AccountResult:
    record = ACCOUNTS.get(view, account)
    if record is None:
        raise texts.not_found("account")
    return AccountResult(
        account=account_to_text(account),
        organization=record.organization,
        name=record.name,
        keys=tuple(KeyResult(key_to_text(entry.key), entry.role) for entry in record.keys),
        vouches=record.vouches,
        opened_at_ms=record.opened_at_ms,
        balance=balance(view, account),
        frozen_until_ms=record.frozen_until_ms if block_time_ms < record.frozen_until_ms else None,
        recovery=_recovery(view, account, block_time_ms),
    )


def _recovery(view: Readable, account: bytes, block_time_ms: int) -> RecoveryResult | None:
    record = RECOVERIES.get(view, account)
    if record is None or block_time_ms >= record.forgotten_at_ms:
        return None
    lapsed = record.state == "waiting" and not is_waiting(record, block_time_ms)
    return RecoveryResult(
        state="lapsed" if lapsed else record.state,
        requested_by=account_to_text(record.requested_by),
        owner_key=key_to_text(record.owner_key),
        requested_at_ms=record.requested_at_ms,
        completable_at_ms=record.completable_at_ms,
        lapses_at_ms=record.lapses_at_ms,
        forgotten_at_ms=record.forgotten_at_ms,
        vote=None if record.vote is None else record.vote.hex(),
    )


def _organization(view: Readable, organization: str) -> OrganizationResult:
    record = ORGANIZATIONS.get(view, organization.encode())
    if record is None:
        raise texts.not_found("organization")
    usage = quota.usage(view, organization)
    limits = usage.quota or quota.default_quota(read_parameters(view))
    return OrganizationResult(
        organization=record.id,
        name=record.name,
        membership=record.membership,
        records=usage.records,
        bytes=usage.bytes,
        deadlines=usage.deadlines,
        quota_records=limits.records,
        quota_bytes=limits.bytes,
        quota_deadlines=limits.deadlines,
        quota_voted=usage.quota is not None,
    )


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "accounts.get": get_account,
    "accounts.list": list_accounts,
    "organizations.get": get_organization,
    "organizations.list": list_organizations,
}
