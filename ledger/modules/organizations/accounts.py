"""Reading accounts: whose they are, which key may sign what. Other modules ask here."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.epochs import current_set
from ledger.errors import OperationError
from ledger.modules.module import Context
from ledger.modules.organizations.records import ACCOUNT_KEYS, ACCOUNTS, ORGANIZATIONS, Account
from ledger.state.view import Readable
from ledger.validators import ValidatorRecord

VALIDATOR_OPERATIONS: Final = frozenset(
    {"assets.report_held", "validators.ready", "validators.rejoin", "validators.report_evidence"}
)
"""What the key of a validator signs, and nobody else."""
OPERATOR_OPERATIONS: Final = frozenset(
    {
        "assets.commit",
        "assets.add_version",
        "assets.set_alias",
        "licenses.offer",
        "licenses.withdraw_offer",
        "licenses.approve_derivatives",
    }
)
"""Versions, offers and reports: daily work that moves neither credits nor ownership."""


def key_role(view: Readable, account: bytes, key: bytes) -> str | None:
    """Return the role of `key` in `account`, or None when the account is unknown or the key is not its own."""
    record = ACCOUNTS.get(view, account)
    if record is None:
        return None
    for entry in record.keys:
        if entry.key == key:
            return entry.role
    return None


def may_sign(role: str, operation_type: type[msgspec.Struct]) -> bool:
    """Tell whether a key of `role` may sign operations of `operation_type`.

    `owner` signs everything but a validator's statements, `operator` versions, offers and reports, `release` only key
    releases, `validator` only its own statements.
    """
    tag = operation_type.__struct_config__.tag
    if tag in VALIDATOR_OPERATIONS:
        return role == "validator"
    return role == "owner" or (role == "operator" and tag in OPERATOR_OPERATIONS)


def account(view: Readable, account_id: bytes) -> Account | None:
    """Return the record of an account, or None."""
    return ACCOUNTS.get(view, account_id)


def organization_of(view: Readable, account_id: bytes) -> str:
    """Return the organization of an account that is known to exist."""
    record = ACCOUNTS.get(view, account_id)
    assert record is not None
    return record.organization


def same_organization(view: Readable, first: bytes, second: bytes) -> bool:
    """Tell whether two existing accounts belong to one organization."""
    return first == second or organization_of(view, first) == organization_of(view, second)


def accounts_of_key(view: Readable, key: bytes) -> list[bytes]:
    """Return the accounts that have `key`, in order of id."""
    return [account for account, _ in ACCOUNT_KEYS.items(view, key)]


def validator_has(view: Readable, key: bytes) -> bool:
    """Tell whether a validator, a candidate or a former one signs with `key`."""
    return any(key_role(view, account, key) == "validator" for account in accounts_of_key(view, key))


def organizations(view: Readable) -> tuple[str, ...]:
    """Return the ids of all organizations, in order."""
    return tuple(record.id for _, record in ORGANIZATIONS.items(view))


def sender_organization(context: Context) -> str:
    """Return the sender's organization."""
    return organization_of(context.view, context.sender)


def representative(context: Context, code: str) -> str:
    """Return the sender's organization, for which the sender speaks.

    Only accounts of the genesis do, as only they open further ones: whoever an organization has opened an account for
    would otherwise decide for it.

    Raises:
        OperationError: `code`.
    """
    sender = account(context.view, context.sender)
    assert sender is not None
    if not sender.vouches:
        raise OperationError(code, "the account does not speak for its organization")
    return sender.organization


def validators(view: Readable) -> dict[bytes, ValidatorRecord]:
    """Return the current validator set by account, in order of index."""
    return {validator.account: validator for validator in current_set(view).validators}


def require_party(view: Readable, account_id: bytes, code: str) -> Account:
    """Return the record of an account that may own, buy or receive: it exists and is not a validator's.

    Raises:
        OperationError: `code`. A validator's key signs statements only: what its account received would be stranded.
    """
    record = ACCOUNTS.get(view, account_id)
    if record is None:
        raise OperationError(code, "no such account on this network")
    for entry in record.keys:
        if entry.role != "validator":
            return record
    raise OperationError(code, "a validator's account can neither own nor spend")
