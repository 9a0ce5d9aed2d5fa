"""What happened to accounts and keys."""

from __future__ import annotations

from ledger.modules.fields import Event


class OrganizationFounded(Event, frozen=True, tag="organizations.organization_founded"):
    organization: str
    name: str


class AccountOpened(Event, frozen=True, tag="organizations.account_opened"):
    account: bytes
    organization: str
    key: bytes


class KeyAdded(Event, frozen=True, tag="organizations.key_added"):
    account: bytes
    key: bytes
    role: str


class KeyRevoked(Event, frozen=True, tag="organizations.key_revoked"):
    account: bytes
    key: bytes


class KeyRotated(Event, frozen=True, tag="organizations.key_rotated"):
    account: bytes
    old_key: bytes
    new_key: bytes
    role: str
