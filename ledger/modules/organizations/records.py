"""Organizations, the accounts they vouch for, and what of its quota each organization uses.

organization/          + id                                    Organization
usage/                 + id                                    Usage
account/               + account (32)                          Account
recovery/              + account (32)                          Recovery
~organization-account/ + length of id (1) + id + account (32)  Marker
~account-key/          + key (32) + account (32)               Marker
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

from ledger.modules.fields import Bytes32, Marker, Part, Record, TimeMs
from ledger.modules.module import Membership, Role
from ledger.modules.organizations.operations import Quota
from ledger.state.indexes import Index
from ledger.state.view import Table

KEYS_MAX: Final = 16
"""Keys of one account; a further one is refused."""


class Organization(Record, frozen=True):
    id: str
    name: str
    membership: Membership = "active"
    """A removed one keeps its record: its accounts name it, and nobody else gets its id."""


class Usage(Record, frozen=True):
    """What the records that an organization's accounts created take up now."""

    records: int = 0
    bytes: int = 0
    """Keys and values."""
    deadlines: int = 0
    quota: Quota | None = None
    """What the consortium has voted for it; None is the chain's parameters. Here because whoever charges reads this."""


class AccountKey(Part, frozen=True):
    key: Bytes32
    role: Role


class Account(Record, frozen=True):
    organization: str
    name: str
    keys: tuple[AccountKey, ...]
    vouches: bool
    """Whether its owner keys may open further accounts: true for the accounts of the genesis."""
    opened_at_ms: int
    frozen_until_ms: int = 0
    """Block time until which its outgoing value is frozen: in the past of most accounts. Here because execution reads
    this record for every transaction."""


class Recovery(Record, frozen=True):
    """The latest request for an account's recovery, remembered for `REQUESTS_APART_MS`."""

    requested_by: Bytes32
    owner_key: Bytes32
    requested_at_ms: TimeMs
    completable_at_ms: TimeMs
    lapses_at_ms: TimeMs
    forgotten_at_ms: TimeMs
    """When its deadline removes the record."""
    state: Literal["waiting", "vetoed", "completed"]
    vote: Bytes32 | None = None
    """The proposal that has frozen the account since; no other does before the record is forgotten."""


ORGANIZATIONS: Final = Table[Organization](b"organization/", Organization)
PARTS_MAX: Final = 256
"""Organizations whose key part is remembered; beyond, the least recently asked for is made again."""
USAGE: Final = Table[Usage](b"usage/", Usage)
ACCOUNTS: Final = Table[Account](b"account/", Account)
RECOVERIES: Final = Table[Recovery](b"recovery/", Recovery)
ORGANIZATION_ACCOUNTS: Final = Table[Marker](b"~organization-account/", Marker)


ACCOUNT_KEYS: Final = Table[Marker](b"~account-key/", Marker)
"""Which accounts have a key: one may open several."""


@lru_cache(maxsize=PARTS_MAX)
def organization_part(organization: str) -> bytes:
    """Return an organization's id as a key part that carries its length."""
    encoded = organization.encode("ascii")
    return bytes([len(encoded)]) + encoded


INDEXES: Final = (
    Index(
        ORGANIZATION_ACCOUNTS,
        ACCOUNTS,
        lambda account, record: [(organization_part(record.organization), account)],
    ),
    Index(ACCOUNT_KEYS, ACCOUNTS, lambda account, record: [(entry.key, account) for entry in record.keys]),
)
