"""What is known for and against accounts, and what organizations have paid one another.

    flow/              + payer (1 + id) + payee (1 + id)                                  Flow
    reputation/        + evidence (32)                                                    Evidence
    reputation-about/  + account (32) + height (8) + evidence (32)                        About
    reputation-sum/    + organization (1 + id) + account (32) + rater's organization
                       (1 + id) + payee (1 + id)                                          Sum
    reputation-given/  + account (32) + rater (32)                                        Given
    reputation-weight/ + account (32) + rater's organization (1 + id)                     Given
    rated/             + rater's organization (1 + id) + organization (1 + id)            Marker

Organizations stand in keys by their length (1) and id. Evidence has the id of what it comes from: of a review that of
its grant, of what an accredited account states that of the statement, of a lost dispute that of the dispute.

A sum is of one subject, one organization that rated it, and one organization that the raters paid (empty where the
weight does not come from a payment): what returns to a payer reduces the weight of all it has paid somebody for at
once, whenever the sum is read.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ledger.modules.fields import BPS, PPM, Amount, Bytes32, Marker, Part, Record, TimeMs
from ledger.modules.reputation.decay import Grid
from ledger.state.view import Table

PAYEES_MAX: Final = 8
"""Organizations of an asset's owners among which a review's payment is divided: those with the largest shares. What the
others got counts for nothing."""

EvidenceKind = Literal["review", "evaluation", "audit", "agreement", "dispute"]
"""`agreement`: what one accredited account measured, and another measured too."""
Ended = Literal["refunded", "superseded", "refuted"]
"""Why evidence counts no more: its payment went back, who gave it said something else since, or a dispute found it
false."""
Cut = Literal["own_organization", "payments_together", "rater_maximum", "organization_maximum"]
"""What made evidence weigh less when it arrived."""
Weight = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Millionths of S."""


class Flow(Record, frozen=True):
    """Between two organizations, in one direction."""

    moved: Grid
    """Units that accounts of the one paid accounts of the other."""
    claimed: Grid = b""
    """Units of them that reviews weigh by."""


class Payee(Part, frozen=True):
    organization: str
    bps: Annotated[int, msgspec.Meta(ge=1, le=BPS)]
    """Of what the payment brought the owners."""


class Evidence(Record, frozen=True):
    """One piece, as it arrived."""

    kind: EvidenceKind
    source: Bytes32
    """The statement, or the dispute."""
    rater: Bytes32 | None
    """None of a dispute."""
    organization: str
    """The rater's; empty of a dispute."""
    keeper: str
    """The organization on whose quota the records are."""
    asset: Bytes32
    """What it is about."""
    height: int
    at_ms: TimeMs
    """From when on it decays."""
    rating_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)]
    """The part of the weight that counts in favor."""
    weight: Weight
    """By the rule of its kind, before it is divided among subjects and cut."""
    subjects: tuple[Bytes32, ...]
    paid: Amount = 0
    """Units that the review's grant brought the owners."""
    payees: tuple[Payee, ...] = ()
    ended: Ended | None = None


class About(Record, frozen=True):
    """What a piece of evidence weighs about one account, when it arrived."""

    bps: Annotated[int, msgspec.Meta(ge=0, le=BPS)]
    """The account's part in what it is about."""
    weight: Weight
    weight_for: Weight
    weight_against: Weight
    cuts: tuple[Cut, ...] = ()


class Sum(Record, frozen=True):
    weight_for: Grid
    weight_against: Grid


class Given(Record, frozen=True):
    """What one account, or one organization, has said about an account."""

    weight: Grid
    reviews: Grid = b""
    """Of an organization: the weight of its reviews among that."""
    paid: Grid = b""
    """Of an organization: the units that these weigh by, times the square of the account's parts."""


FLOWS: Final = Table[Flow](b"flow/", Flow)
EVIDENCE: Final = Table[Evidence](b"reputation/", Evidence)
ABOUT: Final = Table[About](b"reputation-about/", About)
SUMS: Final = Table[Sum](b"reputation-sum/", Sum)
GIVEN: Final = Table[Given](b"reputation-given/", Given)
GIVEN_BY_ORGANIZATION: Final = Table[Given](b"reputation-weight/", Given)
RATED: Final = Table[Marker](b"rated/", Marker)


def height_part(height: int) -> bytes:
    """Return a height as a key part."""
    return height.to_bytes(8, "big")
