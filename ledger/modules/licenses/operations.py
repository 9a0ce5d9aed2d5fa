"""What may be asked about licenses: terms, offers, purchases."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ledger.modules.fields import (
    Amount,
    Bytes32,
    CidText,
    Code,
    Operation,
    Part,
    PositiveAmount,
    Salt,
    TimeMs,
    VersionNumber,
)
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

Right = Literal[
    "download",
    "inference",
    "inference-as-service",
    "fine-tune",
    "distill-merge",
    "redistribute",
    "sublicense",
    "publish-benchmarks",
    "train-on",
    "display-print",
    "compute-only",
]
Exclusivity = Literal["none", "sole", "exclusive"]
QuotaUnit = Literal["calls", "kilotokens", "key-releases", "trainings"]
Derivatives = Literal["no", "on-approval", "yes"]
ShareAlike = Literal["no", "superset", "identical"]
RefundMode = Literal["none", "pro-rata"]

Codes = Annotated[tuple[Code, ...], msgspec.Meta(max_length=32)]
Country = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{2}\Z")]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
DurationMs = Annotated[int, msgspec.Meta(ge=1, le=2**45)]
NoticeMs = Annotated[int, msgspec.Meta(ge=0, le=2**45)]
SIGNATURE_BYTES: Final = 64
SignatureBytes = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
SEATS_MAX: Final = 256
"""Accounts that may be given a seat of one grant, whatever its terms allow."""


class Terms(Part, frozen=True):
    """What a license allows and asks. Immutable, and named by `terms_digest`. Lists are sorted and without repeats."""

    rights: Annotated[tuple[Right, ...], msgspec.Meta(min_length=1, max_length=11)]
    price: Amount
    commercial: bool = False
    exclusivity: Exclusivity = "none"
    """sole: the licensee and the owner; exclusive: the licensee alone."""
    editions_max: Count | None = None
    """Grants there may be under these terms for one asset; None is without limit."""
    start_ms: TimeMs | None = None
    """Block time at which the grant begins; None begins when it becomes active."""
    term_ms: DurationMs | None = None
    """None is perpetual."""
    renewable: bool = False
    quota: Count | None = None
    """Units that each term gives; a renewal adds them to what is left."""
    quota_unit: QuotaUnit | None = None
    """trainings are counted by the chain itself; the others by vouchers that the licensee signs for the provider."""
    usage_price: Amount = 0
    """Per unit of the quota, beside the price. Deposited at the purchase, paid as use is reported."""
    seats: Count | None = None
    """Accounts of the licensee's organization that may use it, the licensee's own among them; None is the licensee
    alone."""
    field_allow: Codes = ()
    """Fields of use; empty allows all that `field_deny` does not name."""
    field_deny: Codes = ()
    """Inherited by derivatives."""
    territory: Annotated[tuple[Country, ...], msgspec.Meta(max_length=64)] = ()
    """ISO 3166-1 alpha-2; empty is everywhere."""
    credentials: Codes = ()
    """What a licensee must be; `organization:<id>` is known to the chain."""
    transferable: bool = False
    resale_royalty_bps: Annotated[int, msgspec.Meta(ge=0, le=1_500)] = 0
    """Of a grant that its licensee passes on."""
    least_royalty: Amount = 0
    """Units that the licensor gets of each grant, resale and gift of a derivative, when that is more than the rate."""
    derivatives: Derivatives = "no"
    share_alike: ShareAlike = "no"
    revenue_share_bps: Annotated[int, msgspec.Meta(ge=0, le=5_000)] = 0
    """Of every payment for a derivative."""
    revenue_share_cap: Amount | None = None
    """Units from one derivative in all; None is without limit."""
    revenue_share_depth: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    """Generations of derivatives that share; 0 exactly where nothing is shared."""
    attribution: Annotated[str, msgspec.Meta(max_length=256)] = ""
    revocation_causes: Codes = ()
    """For what the manager may revoke a grant; empty is never."""
    notice_ms: NoticeMs = 0
    """From the revocation to its effect."""
    refund_mode: RefundMode = "none"
    """pro-rata: who revokes pays back the price of the time after the effect, rounded up."""
    dispute_window_ms: Annotated[int, msgspec.Meta(ge=0, le=90 * 86_400_000)] = 0
    """How long a payment waits in escrow after the grant became active; 0 pays at once."""
    legal_text_cid: Annotated[str, msgspec.Meta(max_length=59)] = ""
    spdx_id: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Commit(Operation, frozen=True, tag="licenses.commit"):
    """Commit to a purchase without showing it."""

    commitment: Bytes32


class Offer(Operation, frozen=True, tag="licenses.offer"):
    """Offer licenses on a version of an asset. By the asset's manager."""

    asset: Bytes32
    terms: Terms
    expires_at_ms: TimeMs
    version: VersionNumber | None = None
    """The version whose availability a payment waits for; None names the latest. A grant covers all versions."""
    buyer: Bytes32 | None = None
    """The only account that may buy; None offers to all."""


class WithdrawOffer(Operation, frozen=True, tag="licenses.withdraw_offer"):
    """End an offer. By the asset's manager, or by who made it."""

    offer: Bytes32


class Purchase(Operation, frozen=True, tag="licenses.purchase"):
    """Buy a grant: payment, fee, royalties and grant in one step."""

    offer: Bytes32
    terms_digest: Bytes32
    price_max: Amount
    salt: Salt | None = None
    """Reveals the sender's commitment; needed where the grant is exclusive or the last edition."""


class Claim(Operation, frozen=True, tag="licenses.claim"):
    """Have the due settlement or refund of a grant's escrow done now, where the sweep is behind. By anyone."""

    grant: Bytes32


class Renew(Operation, frozen=True, tag="licenses.renew"):
    """Renew a grant, by its licensee. An offer of the same terms adds a term to the same grant; one of other terms
    makes a new grant that follows the old one."""

    grant: Bytes32
    offer: Bytes32
    terms_digest: Bytes32
    price_max: Amount
    salt: Salt | None = None
    """Reveals the sender's commitment to the offer; needed where the grant is exclusive or takes the last edition."""


class Revoke(Operation, frozen=True, tag="licenses.revoke"):
    """Revoke a grant for a cause that its terms name, from their notice on. By the asset's manager, who pays the
    refund."""

    grant: Bytes32
    cause: Code
    evidence: CidText | None = None


class SetSeats(Operation, frozen=True, tag="licenses.set_seats"):
    """Say which accounts of the licensee's organization may use a grant, beside the licensee's own. By the
    licensee."""

    grant: Bytes32
    accounts: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=SEATS_MAX)]
    """Replaces those named before."""


class ReportUsage(Operation, frozen=True, tag="licenses.report_usage"):
    """Report use by the licensee's voucher: a count of all units so far, signed. By the asset's manager. A count that
    is known already, or lower, changes nothing."""

    grant: Bytes32
    count: PositiveAmount
    """Over all terms of the grant."""
    key: Bytes32
    """An owner or operator key of the licensee."""
    signature: SignatureBytes
    """Over `ledger.modules.licenses.vouchers.voucher_message`."""


class ApproveDerivatives(Operation, frozen=True, tag="licenses.approve_derivatives"):
    """Approve that a grant is used for derivatives, where its terms ask for approval. By the asset's manager."""

    grant: Bytes32


def terms_digest(terms: Terms) -> Digest:
    """Return the name of `terms`."""
    return tagged_hash("license-terms", encode(terms))


def offer_id(transaction_id: bytes, asset: bytes, digest: bytes, buyer: bytes | None = None) -> Digest:
    """Return the id of the offer that a transaction makes; known before it is sent."""
    return tagged_hash("license-offer", encode((transaction_id, asset, digest, buyer)))


def grant_id(transaction_id: bytes, offer: bytes) -> Digest:
    """Return the id of the grant that a transaction buys; known before it is sent."""
    return tagged_hash("license-grant", encode((transaction_id, offer)))


def purchase_commitment(offer: bytes, account: bytes, salt: bytes) -> Digest:
    """Return what `account` commits to before it buys under `offer`; `salt` (16 random bytes) hides the offer."""
    return tagged_hash("purchase-commitment", encode((offer, account, salt)))
