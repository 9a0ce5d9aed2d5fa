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


class TransferOffered(Event, frozen=True, tag="assets.transfer_offered"):
    transfer: bytes
    asset: bytes
    giver: bytes
    recipient: bytes
    price: int
    expires_at_ms: int


class GiftOffered(Event, frozen=True, tag="assets.gift_offered"):
    transfer: bytes
    asset: bytes
    giver: bytes
    recipient: bytes
    expires_at_ms: int


class Transferred(Event, frozen=True, tag="assets.transferred"):
    transfer: bytes
    asset: bytes
    giver: bytes
    recipient: bytes
    price: int


class TransferEnded(Event, frozen=True, tag="assets.transfer_ended"):
    """Withdrawn, declined or expired: nothing moved."""

    transfer: bytes
    asset: bytes


class Retired(Event, frozen=True, tag="assets.retired"):
    asset: bytes
