"""What happened to accreditations and statements."""

from __future__ import annotations

from ledger.modules.fields import Event


class Accredited(Event, frozen=True, tag="attestations.accredited"):
    """By a vote, from when the bond is up."""

    account: bytes
    organization: str
    roles: tuple[str, ...]
    tier: int
    bond: int
    until_ms: int


class Suspended(Event, frozen=True, tag="attestations.suspended"):
    account: bytes


class Reinstated(Event, frozen=True, tag="attestations.reinstated"):
    account: bytes


class Ended(Event, frozen=True, tag="attestations.ended"):
    account: bytes
    ended: str
    """expired, resigned, or ended: by a vote."""
    bond_until_ms: int | None
    """When the bond returns unless a dispute is open then; None where none is up."""


class BondPosted(Event, frozen=True, tag="attestations.bond_posted"):
    account: bytes
    payer: bytes
    amount: int


class BondReturned(Event, frozen=True, tag="attestations.bond_returned"):
    account: bytes
    payer: bytes
    amount: int


class BondLost(Event, frozen=True, tag="attestations.bond_lost"):
    """A part of the bond, to who has shown that a statement is false."""

    account: bytes
    dispute: bytes
    recipient: bytes
    amount: int


class Evaluated(Event, frozen=True, tag="attestations.evaluated"):
    statement: bytes
    attestor: bytes
    asset: bytes
    version: int
    metric: str
    value_ppm: int
    dataset: bytes
    dataset_version: int
    supersedes: bytes | None


class Audited(Event, frozen=True, tag="attestations.audited"):
    statement: bytes
    attestor: bytes
    asset: bytes
    version: int
    verdict: str
    supersedes: bytes | None


class Reviewed(Event, frozen=True, tag="attestations.reviewed"):
    statement: bytes
    attestor: bytes
    asset: bytes
    version: int
    grant: bytes
    rating_ppm: int
    supersedes: bytes | None


class Answered(Event, frozen=True, tag="attestations.answered"):
    statement: bytes
    asset: bytes
    account: bytes
    text: str
    """CID."""


class Refuted(Event, frozen=True, tag="attestations.refuted"):
    """The statement counts no more."""

    statement: bytes
    asset: bytes
    attestor: bytes
    dispute: bytes
