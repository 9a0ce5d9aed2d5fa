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


class OrganizationSuspended(Event, frozen=True, tag="organizations.organization_suspended"):
    organization: str


class OrganizationReinstated(Event, frozen=True, tag="organizations.organization_reinstated"):
    organization: str


class OrganizationRemoved(Event, frozen=True, tag="organizations.organization_removed"):
    organization: str


class QuotaSet(Event, frozen=True, tag="organizations.quota_set"):
    organization: str
    records: int | None
    """None, as the others: the chain's parameters again."""
    bytes: int | None
    deadlines: int | None


class RecoveryRequested(Event, frozen=True, tag="organizations.recovery_requested"):
    account: bytes
    requested_by: bytes
    owner_key: bytes
    completable_at_ms: int
    lapses_at_ms: int


class RecoveryVetoed(Event, frozen=True, tag="organizations.recovery_vetoed"):
    account: bytes


class AccountFrozen(Event, frozen=True, tag="organizations.account_frozen"):
    """For the time of a vote on its recovery."""

    account: bytes
    proposal: bytes
    until_ms: int


class AccountRecovered(Event, frozen=True, tag="organizations.account_recovered"):
    account: bytes
    owner_key: bytes
