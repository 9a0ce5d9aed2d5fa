"""Opening accounts, and the register's first records."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.errors import OperationError
from ledger.genesis import Genesis, organization_account, validator_account, validator_account_id
from ledger.modules.fields import MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import events, quota
from ledger.modules.organizations.accounts import speaker
from ledger.modules.organizations.keys import check_key, check_no_validators
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.organizations.records import (
    ACCOUNT_KEYS,
    ACCOUNTS,
    ORGANIZATION_ACCOUNTS,
    ORGANIZATIONS,
    Account,
    AccountKey,
    Organization,
    organization_part,
)
from primitives.identifiers import account_id, key_from_text


def open_account(context: Context, operation: OpenAccount) -> None:
    """Open an account of the sender's organization.

    Only accounts of the genesis vouch for others: an opened account could otherwise multiply without its organization.
    """
    sender = speaker(context)
    check_key(context, operation.key)
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
    """Write an organization that the consortium has let in, with its first accounts by id. Governance has checked that
    their keys are keys.

    Raises:
        OperationError: `organizations.organization_exists` or `organizations.validator_key`.
    """
    if ORGANIZATIONS.get(context.view, organization.encode("ascii")) is not None:
        raise OperationError("organizations.organization_exists", f"{organization} is in the consortium already")
    ORGANIZATIONS.put(context.view, Organization(organization, name), organization.encode("ascii"))
    context.emit(events.OrganizationFounded(organization, name))
    for identifier, record in accounts.items():
        for entry in record.keys:
            check_no_validators(context, entry.key)
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
