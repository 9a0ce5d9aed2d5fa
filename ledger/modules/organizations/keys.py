"""The keys of accounts."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.fields import MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import events, quota
from ledger.modules.organizations.accounts import validator_has
from ledger.modules.organizations.operations import AddKey, RevokeKey, RotateKey
from ledger.modules.organizations.records import ACCOUNT_KEYS, ACCOUNTS, KEYS_MAX, Account, AccountKey
from primitives.keys import InvalidPublicKey, check_public_key


def add_key(context: Context, operation: AddKey) -> None:
    """Give the sender a further key."""
    sender = _sender(context)
    if operation.role not in ("owner", "operator", "release"):
        raise OperationError("organizations.role_reserved", f"the role {operation.role!r} cannot be given")
    _check_new_key(context, sender, operation.key)
    if len(sender.keys) >= KEYS_MAX:
        raise OperationError("organizations.too_many_keys", f"an account has at most {KEYS_MAX} keys")
    write_keys(context, context.sender, sender, (*sender.keys, AccountKey(operation.key, operation.role)))
    context.emit(events.KeyAdded(context.sender, operation.key, operation.role))


def revoke_key(context: Context, operation: RevokeKey) -> None:
    """Take a key from the sender."""
    sender = _sender(context)
    _entry(sender, operation.key)
    keys = tuple(entry for entry in sender.keys if entry.key != operation.key)
    if not any(entry.role == "owner" for entry in keys):
        raise OperationError("organizations.last_owner_key", "the account would have no owner key left")
    write_keys(context, context.sender, sender, keys)
    context.emit(events.KeyRevoked(context.sender, operation.key))


def rotate_key(context: Context, operation: RotateKey) -> None:
    """Replace a key of the sender. From this transaction on the old key signs nothing (G4)."""
    sender = _sender(context)
    old = _entry(sender, operation.old_key)
    _check_new_key(context, sender, operation.new_key)
    fresh = AccountKey(operation.new_key, old.role)
    write_keys(context, context.sender, sender, tuple(fresh if entry is old else entry for entry in sender.keys))
    context.emit(events.KeyRotated(context.sender, operation.old_key, operation.new_key, old.role))


def write_keys(
    context: Context, account: bytes, record: Account, keys: tuple[AccountKey, ...], *, enforced: bool = True
) -> None:
    """Give an account other keys and store `record` with them.

    Raises:
        OperationError: the quota, where it is enforced.
    """
    changed = msgspec.structs.replace(record, keys=keys)
    before, after = ({entry.key for entry in entries} for entries in (record.keys, keys))
    for key in sorted(before - after):
        quota.remove(context, record.organization, ACCOUNT_KEYS, key, account)
    for key in sorted(after - before):
        quota.store(context, record.organization, ACCOUNT_KEYS, MARKER, key, account, enforced=enforced)
    quota.store(context, record.organization, ACCOUNTS, changed, account, enforced=enforced)


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
    check_key(context, key)
    if any(entry.key == key for entry in account.keys):
        raise OperationError("organizations.key_exists", "the key already belongs to the account")


def check_key(context: Context, key: bytes) -> None:
    """Check that an account may have `key`.

    Raises:
        OperationError: `organizations.invalid_key` or `organizations.validator_key`.
    """
    try:
        check_public_key(key)
    except InvalidPublicKey as error:
        raise OperationError("organizations.invalid_key", str(error)) from error
    check_no_validators(context, key)


def check_no_validators(context: Context, key: bytes) -> None:
    """Check of a key that `check_key` has passed, now or in an earlier block, what may have changed since: whether it
    is a validator's. To find out whether it is a key at all costs as much as most of a signature check.

    Raises:
        OperationError: `organizations.validator_key`.
    """
    if validator_has(context.view, context.network_id, key):
        raise OperationError("organizations.validator_key", "a validator signs with this key: use another one")
