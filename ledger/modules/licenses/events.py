"""What happened to licenses."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Event

RefundReason = Literal["unavailable", "royalties_uncovered", "term_over", "dispute", "not_holdable"]
"""not_holdable: a dispute ended for the grant, but its licensee may not hold it any more."""


class Committed(Event, frozen=True, tag="licenses.committed"):
    account: bytes
    commitment: bytes


class Offered(Event, frozen=True, tag="licenses.offered"):
    offer: bytes
    asset: bytes
    version: int
    terms: bytes
    price: int
    expires_at_ms: int


class OfferWithdrawn(Event, frozen=True, tag="licenses.offer_withdrawn"):
    offer: bytes
    asset: bytes


class Purchased(Event, frozen=True, tag="licenses.purchased"):
    grant: bytes
    offer: bytes
    asset: bytes
    terms: bytes
    licensee: bytes
    edition: int
    price: int
    state: Literal["escrowed", "active"]


class Activated(Event, frozen=True, tag="licenses.activated"):
    """The version became available, and an escrowed grant active."""

    grant: bytes
    asset: bytes
    licensee: bytes


class Settled(Event, frozen=True, tag="licenses.settled"):
    """The escrow was paid out."""

    grant: bytes
    asset: bytes
    amount: int


class Refunded(Event, frozen=True, tag="licenses.refunded"):
    grant: bytes
    asset: bytes
    licensee: bytes
    amount: int
    reason: RefundReason


class RenewalRefunded(Event, frozen=True, tag="licenses.renewal_refunded"):
    """The payment for a renewal went back; the terms before it stand."""

    grant: bytes
    asset: bytes
    licensee: bytes
    amount: int
    reason: RefundReason
    end_ms: int


class Renewed(Event, frozen=True, tag="licenses.renewed"):
    """A further term of the same grant."""

    grant: bytes
    offer: bytes
    asset: bytes
    licensee: bytes
    price: int
    start_ms: int
    end_ms: int


class Superseded(Event, frozen=True, tag="licenses.superseded"):
    """A renewal under other terms: the successor takes over at a time."""

    grant: bytes
    asset: bytes
    successor: bytes
    at_ms: int


class Revoked(Event, frozen=True, tag="licenses.revoked"):
    grant: bytes
    asset: bytes
    licensee: bytes
    cause: str
    effect_ms: int
    refund: int


class HeldForDispute(Event, frozen=True, tag="licenses.held_for_dispute"):
    grant: bytes
    asset: bytes


class UsageReported(Event, frozen=True, tag="licenses.usage_reported"):
    grant: bytes
    asset: bytes
    used: int
    """In all."""
    amount: int
    """Paid for what is new."""


class DepositReturned(Event, frozen=True, tag="licenses.deposit_returned"):
    """What was deposited for use and not used."""

    grant: bytes
    asset: bytes
    licensee: bytes
    amount: int


class SeatsSet(Event, frozen=True, tag="licenses.seats_set"):
    grant: bytes
    asset: bytes
    accounts: tuple[bytes, ...]


class DerivativesApproved(Event, frozen=True, tag="licenses.derivatives_approved"):
    grant: bytes
    asset: bytes
