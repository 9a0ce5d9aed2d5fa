"""Organizations, the accounts they vouch for, and what of its quota each organization uses.

organization/          + id                                    Organization
usage/                 + id                                    Usage
account/               + account (32)                          Account
~organization-account/ + length of id (1) + id + account (32)  Marker
~account-key/          + key (32) + account (32)               Marker
"""

from __future__ import annotations

from typing import Final, Literal

from ledger.modules.fields import Bytes32, Marker, Part, Record
from ledger.state.indexes import Index
from ledger.state.view import Table

Role = Literal["owner", "operator", "release", "validator"]

KEYS_MAX: Final = 16
"""Keys of one account; a further one is refused."""


class Organization(Record, frozen=True):
    id: str
    name: str


class Usage(Record, frozen=True):
    """What the records that an organization's accounts created take up now."""

    records: int = 0
    bytes: int = 0
    """Keys and values."""
    deadlines: int = 0


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


ORGANIZATIONS: Final = Table[Organization](b"organization/", Organization)
USAGE: Final = Table[Usage](b"usage/", Usage)
ACCOUNTS: Final = Table[Account](b"account/", Account)
ORGANIZATION_ACCOUNTS: Final = Table[Marker](b"~organization-account/", Marker)


ACCOUNT_KEYS: Final = Table[Marker](b"~account-key/", Marker)
"""Which accounts have a key: one may open several."""


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
