"""Accreditations, statements, and what of them counts.

accreditation/       + account (32)                                        Accreditation
statement/           + statement (32)                                      Statement
evaluation-head/     + account (32) + asset (32) + version (4) + metric (1)
                     + data set (32) + its version (4)                     Head    the newest of an account
audit-head/          + account (32) + asset (32) + version (4)             Head    the newest of an account
review-head/         + grant (32)                                          ReviewHead
evaluated/           + asset (32) + version (4) + metric (1)
                     + data set (32) + its version (4) + organization      Evaluated
audited/             + asset (32) + version (4) + organization             Audited
measured/            + asset (32) + version (4) + metric (1)
                     + data set (32) + its version (4)                     Measured
compared/            + the same + organization                             Compared
statement-answer/    + statement (32) + account (32)                       Answered
~version-statement/  + asset (32) + version (4) + statement (32)           Marker
~account-statement/  + account (32) + statement (32)                       Marker

`evaluated/` and `audited/` hold what an organization said last about one thing, whichever of its accounts said it: one
record an organization, so that what counts is read without what was said before. `measured/` and `compared/` are of
claims alone, and as long as AGREEMENTS_MAX lets them be, however many organizations measure the same.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ledger.modules.assets.records import version_part
from ledger.modules.attestations.operations import METRICS, Audit, Evaluate, MetricName, Review, Verdict
from ledger.modules.fields import PPM, Amount, Bytes32, Marker, Part, PositiveAmount, Record, TimeMs
from ledger.state.indexes import Index
from ledger.state.view import Table
from primitives.digest import Digest, tagged_hash

AttestorRole = Literal["evaluate", "audit"]
Tier = Annotated[int, msgspec.Meta(ge=1, le=10)]
"""How much the consortium trusts an attestor."""
Ending = Literal["expired", "resigned", "ended"]
"""`ended`: by a vote."""


AGREEMENTS_MAX: Final = 4
"""Other organizations that an evaluation of a claim is compared with: those that measured the same last. What earlier
ones measured says nothing about its attestor. It is compared with as many later ones."""


class Accreditation(Record, frozen=True):
    """What the consortium lets an account state, and the bond that answers for it."""

    organization: str
    """The account's, on whose quota the record is."""
    roles: Annotated[tuple[AttestorRole, ...], msgspec.Meta(min_length=1, max_length=2)]
    tier: Tier
    bond: PositiveAmount
    """Units that must be up."""
    until_ms: TimeMs
    proposal: Bytes32
    """By which it was decided."""
    since_ms: TimeMs
    posted: Amount = 0
    """Units that are up now: of an escrow of the account's own. Statements count only while it is all of the bond."""
    suspended: bool = False
    ended: Ending | None = None
    bond_until_ms: TimeMs | None = None
    """When the bond of an accreditation that has ended returns; None before its end, and once that time has come."""
    disputes: int = 0
    """Open ones about statements of the account. The bond stays while there are any."""


class Statement(Record, frozen=True):
    """What was said, as it was said, and what became of it."""

    attestor: Bytes32
    organization: str
    """The attestor's, on whose quota the statement is."""
    asset: Bytes32
    version: int
    said: Evaluate | Audit | Review
    tier: Annotated[int, msgspec.Meta(ge=0, le=10)]
    """Of the attestor when it said so; 0 of a review."""
    stated_at_ms: TimeMs
    refuted_by: Bytes32 | None = None
    """The dispute in which it was found to be false."""
    contested: bool = False
    """A review that was its grant's latest when a dispute about it was filed: what it is evidence of goes with it, also
    where another one supersedes it meanwhile."""


class Head(Record, frozen=True):
    """The end of a chain of statements, each of which names the one before it."""

    statement: Bytes32


class ReviewHead(Record, frozen=True):
    """The latest review under a grant, which only its author supersedes."""

    statement: Bytes32
    attestor: Bytes32


class Evaluated(Record, frozen=True):
    statement: Bytes32
    attestor: Bytes32
    value_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)]
    until_ms: TimeMs | None


class Audited(Record, frozen=True):
    statement: Bytes32
    attestor: Bytes32
    verdict: Verdict
    until_ms: TimeMs | None


class Measured(Record, frozen=True):
    """Who measured last what an owner claims. On the quota of the asset's organization."""

    organizations: Annotated[tuple[str, ...], msgspec.Meta(max_length=AGREEMENTS_MAX + 1)]
    """Each once, the latest first."""


class Other(Part, frozen=True):
    organization: str
    statement: Bytes32


class Compared(Record, frozen=True):
    """What an organization's latest evaluation of a claim is compared with. On the organization's quota."""

    others: Annotated[tuple[Other, ...], msgspec.Meta(max_length=2 * AGREEMENTS_MAX)]
    """Latest evaluations of others: as many that were there before, and as many that came later, at most."""


class Answered(Record, frozen=True):
    organization: str
    """On whose quota the answer is."""
    text: str
    """CID."""
    at_ms: TimeMs


ACCREDITATIONS: Final = Table[Accreditation](b"accreditation/", Accreditation)
STATEMENTS: Final = Table[Statement](b"statement/", Statement)
EVALUATION_HEADS: Final = Table[Head](b"evaluation-head/", Head)
AUDIT_HEADS: Final = Table[Head](b"audit-head/", Head)
REVIEW_HEADS: Final = Table[ReviewHead](b"review-head/", ReviewHead)
EVALUATED: Final = Table[Evaluated](b"evaluated/", Evaluated)
AUDITED: Final = Table[Audited](b"audited/", Audited)
MEASURED: Final = Table[Measured](b"measured/", Measured)
COMPARED: Final = Table[Compared](b"compared/", Compared)
ANSWERS: Final = Table[Answered](b"statement-answer/", Answered)
BY_VERSION: Final = Table[Marker](b"~version-statement/", Marker)
BY_ATTESTOR: Final = Table[Marker](b"~account-statement/", Marker)


def metric_part(metric: MetricName) -> bytes:
    """Return a metric as a key part."""
    return bytes([METRICS.index(metric)])


def measured_parts(
    asset: bytes, version: int, metric: MetricName, dataset: bytes, dataset_version: int
) -> tuple[bytes, ...]:
    """Return the key parts of what several organizations may measure: all but the organization."""
    return asset, version_part(version), metric_part(metric), dataset, version_part(dataset_version)


def subject_parts(said: Evaluate | Audit) -> tuple[bytes, ...]:
    """Return the key parts of what a statement is about: an account has one latest statement about it, and so has an
    organization."""
    if isinstance(said, Evaluate):
        return measured_parts(said.asset, said.version, said.metric, said.dataset, said.dataset_version)
    return said.asset, version_part(said.version)


def bond_escrow(account: bytes) -> Digest:
    """Name the escrow of an attestor's bond."""
    return tagged_hash("attestation-bond", account)


INDEXES: Final = (
    Index(
        BY_VERSION,
        STATEMENTS,
        lambda statement, record: [(record.asset, version_part(record.version), statement)],
    ),
    Index(BY_ATTESTOR, STATEMENTS, lambda statement, record: [(record.attestor, statement)]),
)
