"""What happened to licenses."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Event

RefundReason = Literal["unavailable", "royalties_uncovered", "term_over", "dispute_upheld", "dispute_over"]
"""`dispute_over`: a dispute failed, and the grant could not become usable again."""


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


class DerivativesApproved(Event, frozen=True, tag="licenses.derivatives_approved"):
    grant: bytes
    asset: bytes
