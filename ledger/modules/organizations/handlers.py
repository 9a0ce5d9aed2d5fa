"""Opening accounts, keys, and the register's first records."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.errors import OperationError
from ledger.genesis import Genesis, organization_account, validator_account, validator_account_id
from ledger.modules.fields import MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import events, quota
from ledger.modules.organizations.accounts import validator_has
from ledger.modules.organizations.operations import AddKey, OpenAccount, RevokeKey, RotateKey
from ledger.modules.organizations.records import (
    ACCOUNT_KEYS,
    ACCOUNTS,
    KEYS_MAX,
    ORGANIZATION_ACCOUNTS,
    ORGANIZATIONS,
    Account,
    AccountKey,
    Organization,
    organization_part,
)
from primitives.identifiers import account_id, key_from_text
from primitives.keys import InvalidPublicKey, check_public_key


def open_account(context: Context, operation: OpenAccount) -> None:
    """Open an account of the sender's organization.

    Only accounts of the genesis vouch for others: an opened account could otherwise multiply without its organization.
    """
    sender = _sender(context)
    if not sender.vouches:
        raise OperationError("organizations.not_vouching", "only an account of the genesis opens further accounts")
    _check_key(context, operation.key)
    opened = account_id(context.network_id, sender.organization, operation.key, operation.salt)
    if ACCOUNTS.get(context.view, opened) is not None:
        raise OperationError("organizations.account_exists", "this key and salt have already opened an account")
    record = Account(
        organization=sender.organization,
        name=operation.name,
        keys=(AccountKey(operation.key, "owner"),),
        vouches=False,
        opened_at_ms=context.block_time_ms,
    )
    _write_account(context, opened, record)
    context.emit(events.AccountOpened(opened, sender.organization, operation.key))


def add_key(context: Context, operation: AddKey) -> None:
    """Give the sender a further key."""
    sender = _sender(context)
    if operation.role not in ("owner", "operator", "release"):
        raise OperationError("organizations.role_reserved", f"the role {operation.role!r} cannot be given")
    _check_new_key(context, sender, operation.key)
    if len(sender.keys) >= KEYS_MAX:
        raise OperationError("organizations.too_many_keys", f"an account has at most {KEYS_MAX} keys")
    _write_keys(context, sender, (*sender.keys, AccountKey(operation.key, operation.role)))
    context.emit(events.KeyAdded(context.sender, operation.key, operation.role))


def revoke_key(context: Context, operation: RevokeKey) -> None:
    """Take a key from the sender."""
    sender = _sender(context)
    _entry(sender, operation.key)
    keys = tuple(entry for entry in sender.keys if entry.key != operation.key)
    if not any(entry.role == "owner" for entry in keys):
        raise OperationError("organizations.last_owner_key", "the account would have no owner key left")
    _write_keys(context, sender, keys)
    context.emit(events.KeyRevoked(context.sender, operation.key))


def rotate_key(context: Context, operation: RotateKey) -> None:
    """Replace a key of the sender. From this transaction on the old key signs nothing (G4)."""
    sender = _sender(context)
    old = _entry(sender, operation.old_key)
    _check_new_key(context, sender, operation.new_key)
    fresh = AccountKey(operation.new_key, old.role)
    _write_keys(context, sender, tuple(fresh if entry is old else entry for entry in sender.keys))
    context.emit(events.KeyRotated(context.sender, operation.old_key, operation.new_key, old.role))


def write_genesis(context: Context, genesis: Genesis) -> None:
    """Write organizations, their first accounts, and one account for each validator."""
    for organization in genesis.organizations:
        record = Organization(organization.id, organization.name)
        ORGANIZATIONS.put(context.view, record, organization.id.encode("ascii"))
    for member in genesis.accounts:
        keys = (AccountKey(key_from_text(member.key), "owner"),)
        account = Account(member.organization, member.name, keys, True, context.block_time_ms)
        _write_account(context, organization_account(context.network_id, member), account)
    for index, validator in enumerate(genesis.validators):
        keys = (AccountKey(key_from_text(validator.signing_key), "validator"),)
        opened = validator_account(context.network_id, validator)
        name = f"validator {index}"
        _write_account(context, opened, Account(validator.organization, name, keys, False, context.block_time_ms))


def found_organization(context: Context, organization: str, name: str, accounts: Mapping[bytes, Account]) -> None:
    """Write an organization that the consortium has let in, with its first accounts by id.

    Raises:
        OperationError: `organizations.organization_exists`, or what is wrong with a key.
    """
    if ORGANIZATIONS.get(context.view, organization.encode("ascii")) is not None:
        raise OperationError("organizations.organization_exists", f"{organization} is in the consortium already")
    ORGANIZATIONS.put(context.view, Organization(organization, name), organization.encode("ascii"))
    context.emit(events.OrganizationFounded(organization, name))
    for identifier, record in accounts.items():
        for entry in record.keys:
            _check_key(context, entry.key)
            context.emit(events.AccountOpened(identifier, organization, entry.key))
        _write_account(context, identifier, record)


def open_validator_account(context: Context, organization: str, signing_key: bytes) -> None:
    """Give a validator to be its own account; one that it had before stays. No quota keeps a validator out."""
    opened = validator_account_id(context.network_id, organization, signing_key)
    if ACCOUNTS.get(context.view, opened) is not None:
        return
    keys = (AccountKey(signing_key, "validator"),)
    record = Account(organization, "validator", keys, False, context.block_time_ms)
    _write_account(context, opened, record, enforced=False)
    context.emit(events.AccountOpened(opened, organization, signing_key))


def _write_account(context: Context, account: bytes, record: Account, *, enforced: bool = True) -> None:
    organization = record.organization
    quota.store(context, organization, ACCOUNTS, record, account, enforced=enforced)
    part = organization_part(organization)
    quota.store(context, organization, ORGANIZATION_ACCOUNTS, MARKER, part, account, enforced=enforced)
    for entry in record.keys:
        quota.store(context, organization, ACCOUNT_KEYS, MARKER, entry.key, account, enforced=enforced)


def _write_keys(context: Context, sender: Account, keys: tuple[AccountKey, ...]) -> None:
    changed = Account(sender.organization, sender.name, keys, sender.vouches, sender.opened_at_ms)
    before, after = ({entry.key for entry in entries} for entries in (sender.keys, keys))
    for key in sorted(before - after):
        quota.remove(context, sender.organization, ACCOUNT_KEYS, key, context.sender)
    for key in sorted(after - before):
        quota.store(context, sender.organization, ACCOUNT_KEYS, MARKER, key, context.sender)
    quota.store(context, sender.organization, ACCOUNTS, changed, context.sender)


def _sender(context: Context) -> Account:
    record = ACCOUNTS.get(context.view, context.sender)
    assert record is not None  # execution has matched the signer against this record
    return record


def _entry(account: Account, key: bytes) -> AccountKey:
    for entry in account.keys:
        if entry.key == key:
            return entry
    raise OperationError("organizations.unknown_key", "the key does not belong to the account")


def _check_new_key(context: Context, account: Account, key: bytes) -> None:
    _check_key(context, key)
    if any(entry.key == key for entry in account.keys):
        raise OperationError("organizations.key_exists", "the key already belongs to the account")


def _check_key(context: Context, key: bytes) -> None:
    try:
        check_public_key(key)
    except InvalidPublicKey as error:
        raise OperationError("organizations.invalid_key", str(error)) from error
    if validator_has(context.view, key):
        raise OperationError("organizations.validator_key", "a validator signs with this key: use another one")
