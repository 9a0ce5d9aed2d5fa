"""What happened to assets."""

from __future__ import annotations

from ledger.modules.fields import Event


class Committed(Event, frozen=True, tag="assets.committed"):
    account: bytes
    commitment: bytes


class Registered(Event, frozen=True, tag="assets.registered"):
    asset: bytes
    kind: str
    owner: bytes
    cid: str


class VersionAdded(Event, frozen=True, tag="assets.version_added"):
    asset: bytes
    version: int
    cid: str


class Derived(Event, frozen=True, tag="assets.derived"):
    """A link that a registration or version brought, or made heavier."""

    asset: bytes
    parent: bytes
    right: str
    rate_bps: int
    grant: bytes | None


class HeldReported(Event, frozen=True, tag="assets.held_reported"):
    asset: bytes
    version: int
    node_id: str


class BecameAvailable(Event, frozen=True, tag="assets.became_available"):
    """A quorum of validators holds the version."""

    asset: bytes
    version: int


class AliasSet(Event, frozen=True, tag="assets.alias_set"):
    asset: bytes
    alias: str
    version: int | None


class ManagerSet(Event, frozen=True, tag="assets.manager_set"):
    asset: bytes
    manager: bytes


class MetadataUpdated(Event, frozen=True, tag="assets.metadata_updated"):
    asset: bytes


class Consented(Event, frozen=True, tag="assets.consented"):
    asset: bytes
    action: bytes
    account: bytes
    expires_at_ms: int


class ConsentWithdrawn(Event, frozen=True, tag="assets.consent_withdrawn"):
    asset: bytes
    action: bytes
    account: bytes


class Retired(Event, frozen=True, tag="assets.retired"):
    asset: bytes


class TakenDown(Event, frozen=True, tag="assets.taken_down"):
    asset: bytes
    cid: str
    reason: str
    proposal: bytes


class Restored(Event, frozen=True, tag="assets.restored"):
    asset: bytes
    cid: str
