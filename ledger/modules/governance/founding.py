"""Organizations that come into the consortium, with a validator or without one."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.genesis import ORGANIZATIONS_MAX
from ledger.modules.governance.operations import Founding
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import validator_has
from ledger.modules.organizations.handlers import found_organization
from ledger.modules.organizations.records import ORGANIZATIONS, Account, AccountKey, Organization
from ledger.state.view import Readable
from primitives.identifiers import account_id
from primitives.keys import InvalidPublicKey, check_public_key


def require_member(view: Readable, organization: str) -> Organization:
    """Return the record of a member, suspended or not.

    Raises:
        OperationError: `governance.unknown_organization`: it never was in the consortium, or is not any more.
    """
    record = ORGANIZATIONS.get(view, organization.encode("ascii"))
    if record is None or record.membership == "removed":
        raise OperationError("governance.unknown_organization", f"{organization} is not in the consortium")
    return record


def check_founding(context: Context, organization: str, founding: Founding) -> None:
    """Check that an organization can come in: its id is free, and its accounts can be opened.

    Raises:
        OperationError: `governance.*`.
    """
    known = {record.id: record for _, record in ORGANIZATIONS.items(context.view)}
    if organization in known:
        where = "was removed: reinstate it" if known[organization].membership == "removed" else "is in the consortium"
        raise OperationError("governance.organization_exists", f"{organization} {where}")
    if len(known) >= ORGANIZATIONS_MAX:
        raise OperationError("governance.too_many_organizations", f"at most {ORGANIZATIONS_MAX}, removed ones counted")
    for founder in founding.accounts:
        check_point(founder.key)
        if validator_has(context.view, context.network_id, founder.key):
            raise OperationError("governance.key_taken", "a validator signs with the key of a founding account")
    if len(_accounts(context, organization, founding)) < len(founding.accounts):
        raise OperationError("governance.founding_accounts", "two of the founding accounts are one")


def found(context: Context, organization: str, founding: Founding) -> None:
    """Let an organization in that `check_founding` has passed."""
    found_organization(context, organization, founding.name, _accounts(context, organization, founding))


def check_point(key: bytes) -> None:
    """Check that something can be signed with `key`. Raises `governance.invalid_key`."""
    try:
        check_public_key(key)
    except InvalidPublicKey as error:
        raise OperationError("governance.invalid_key", str(error)) from error


def _accounts(context: Context, organization: str, founding: Founding) -> dict[bytes, Account]:
    """Return the first accounts of a new organization by id."""
    return {
        account_id(context.network_id, organization, founder.key, founder.salt): Account(
            organization=organization,
            name=founder.name,
            keys=(AccountKey(founder.key, "owner"),),
            vouches=True,
            opened_at_ms=context.block_time_ms,
        )
        for founder in founding.accounts
    }
