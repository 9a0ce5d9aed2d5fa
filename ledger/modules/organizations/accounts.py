"""Reading accounts: whose they are, which key may sign what. Other modules ask here."""

from __future__ import annotations

from itertools import islice

from ledger.epochs import current_set
from ledger.errors import OperationError
from ledger.genesis import validator_account_id
from ledger.modules.module import Context, Membership, Role, Standing
from ledger.modules.organizations.records import ACCOUNT_KEYS, ACCOUNTS, ORGANIZATIONS, Account
from ledger.state.view import Readable
from ledger.validators import ValidatorRecord


def standing(view: Readable, account: bytes, key: bytes) -> Standing | None:
    """Return what `key` is in `account` and what limits that, or None when the account is unknown or the key is not its
    own."""
    record = ACCOUNTS.get(view, account)
    if record is None:
        return None
    for entry in record.keys:
        if entry.key == key:
            return standing_in_role(view, record, entry.role)
    return None


def standing_in_role(view: Readable, record: Account, role: Role) -> Standing:
    """Return what a key of `role` is in an account."""
    return Standing(role, membership(view, record.organization), record.frozen_until_ms)


def membership(view: Readable, organization: str) -> Membership:
    """Return how an organization that is known to exist stands in the consortium."""
    record = ORGANIZATIONS.get(view, organization.encode("ascii"))
    assert record is not None
    return record.membership


def key_role(view: Readable, account: bytes, key: bytes) -> Role | None:
    """Return the role of `key` in `account`, or None when the account is unknown or the key is not its own."""
    record = ACCOUNTS.get(view, account)
    return None if record is None else next((entry.role for entry in record.keys if entry.key == key), None)


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


def others_have(view: Readable, key: bytes, account_id: bytes) -> bool:
    """Tell whether an account other than `account_id` has `key`."""
    return any(holder != account_id for holder, _ in islice(ACCOUNT_KEYS.items(view, key), 2))


def validator_has(view: Readable, network_id: bytes, key: bytes) -> bool:
    """Tell whether a validator, a candidate or a former one signs with `key`. Any number of accounts may have it: those
    that are looked at are the ones that can be a validator's, one of each organization."""
    if next(ACCOUNT_KEYS.items(view, key), None) is None:
        return False
    names = (record.id for _, record in ORGANIZATIONS.items(view))
    return any(key_role(view, validator_account_id(network_id, name, key), key) == "validator" for name in names)


def organizations(view: Readable) -> tuple[str, ...]:
    """Return the ids of the consortium's members, in order: the suspended ones count, the removed ones do not."""
    return tuple(record.id for _, record in ORGANIZATIONS.items(view) if record.membership != "removed")


def sender_organization(context: Context) -> str:
    """Return the sender's organization."""
    return organization_of(context.view, context.sender)


def validators(view: Readable) -> dict[bytes, ValidatorRecord]:
    """Return the current validator set by account, in order of index."""
    return {validator.account: validator for validator in current_set(view).validators}


def is_validators(record: Account) -> bool:
    """Tell whether an account is a validator's, which signs statements only."""
    return all(entry.role == "validator" for entry in record.keys)


def require_unfrozen(context: Context, account_id: bytes) -> None:
    """Check that what an existing account has may leave it. For what another account's operation would take from it;
    what its own operations move, their rules say.

    Raises:
        OperationError: `organizations.frozen`.
    """
    record = ACCOUNTS.get(context.view, account_id)
    assert record is not None
    if context.block_time_ms < record.frozen_until_ms:
        raise OperationError(
            "organizations.frozen", f"what the other account has is frozen until {record.frozen_until_ms}"
        )


def speaker(context: Context) -> Account:
    """Return the sender's record, where the sender speaks for its organization.

    Only accounts of the genesis and of a founding do: whoever an organization has opened an account for would otherwise
    act for it.

    Raises:
        OperationError: `organizations.not_vouching`.
    """
    record = ACCOUNTS.get(context.view, context.sender)
    assert record is not None
    if not record.vouches:
        raise OperationError("organizations.not_vouching", "the account does not speak for its organization")
    return record


def require_party(view: Readable, account_id: bytes, code: str) -> Account:
    """Return the record of an account that may own, buy or receive: it exists and is not a validator's.

    Raises:
        OperationError: `code`. A validator's key signs statements only: what its account received would be stranded.
    """
    record = ACCOUNTS.get(view, account_id)
    if record is None:
        raise OperationError(code, "no such account on this network")
    if is_validators(record):
        raise OperationError(code, "a validator's account can neither own nor spend")
    return record
