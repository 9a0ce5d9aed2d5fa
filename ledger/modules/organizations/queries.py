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
    organization_part,
)
from ledger.state.view import Readable
from primitives.identifiers import account_to_text, key_to_text


class KeyResult(Result, frozen=True):
    key: str
    role: str


class AccountResult(Result, frozen=True):
    account: str
    organization: str
    name: str
    keys: tuple[KeyResult, ...]
    vouches: bool
    opened_at_ms: int
    balance: int


class OrganizationResult(Result, frozen=True):
    organization: str
    name: str
    records: int
    bytes: int
    deadlines: int
    """What of its quota the organization uses."""


def get_account(view: Readable, _network_id: bytes, _block_time_ms: int, *, account: str) -> AccountResult:
    """An account with its keys and balance."""
    return _account(view, texts.account(account))


def list_accounts(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    organization: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[AccountResult]:
    """The accounts of an organization in order of id, beginning behind the account `after`."""
    _organization(view, organization)
    start = texts.account(after) if after else b""
    keys = (key for key, _ in ORGANIZATION_ACCOUNTS.items(view, organization_part(organization), after=start))
    return [_account(view, key) for key in texts.page(keys, limit)]


def get_organization(
    view: Readable, _network_id: bytes, _block_time_ms: int, *, organization: str
) -> OrganizationResult:
    """An organization and what it uses of its quota."""
    return _organization(view, organization)


def list_organizations(view: Readable, _network_id: bytes, _block_time_ms: int) -> list[OrganizationResult]:
    """All organizations, in order of id."""
    return [_organization(view, record.id) for _, record in ORGANIZATIONS.items(view)]


def _account(view: Readable, account: bytes) -> AccountResult:
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
    )


def _organization(view: Readable, organization: str) -> OrganizationResult:
    record = ORGANIZATIONS.get(view, organization.encode())
    if record is None:
        raise texts.not_found("organization")
    usage = quota.usage(view, organization)
    return OrganizationResult(record.id, record.name, usage.records, usage.bytes, usage.deadlines)


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "accounts.get": get_account,
    "accounts.list": list_accounts,
    "organizations.get": get_organization,
    "organizations.list": list_organizations,
}
