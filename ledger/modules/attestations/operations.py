"""What may be asked about attestations: signed statements about one version of an asset."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ledger.modules.fields import PPM, Bytes32, CidText, Operation, TimeMs, VersionNumber
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

MetricName: TypeAlias = Literal[
    "accuracy",
    "top5-accuracy",
    "precision-macro",
    "recall-macro",
    "f1-macro",
    "balanced-accuracy",
    "accuracy-gap",
    "mean-absolute-error",
]
"""What an evaluation measures; docs/spec/attestations.md defines each."""
METRICS: Final[tuple[MetricName, ...]] = (
    "accuracy",
    "top5-accuracy",
    "precision-macro",
    "recall-macro",
    "f1-macro",
    "balanced-accuracy",
    "accuracy-gap",
    "mean-absolute-error",
)
"""In an order that never changes, as keys of records hold a metric's index."""
LESS_IS_BETTER: Final[frozenset[MetricName]] = frozenset({"accuracy-gap", "mean-absolute-error"})
"""Metrics whose bound is reached from above."""

Millionths: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=PPM)]
"""Parts per million of a whole."""
Verdict = Literal["passed", "failed", "conditional"]
"""`conditional`: it may be used under what the report says."""


class Evaluate(Operation, frozen=True, tag="attestations.evaluate"):
    """State what a version reaches on a registered data set. By an account that is accredited to evaluate."""

    asset: Bytes32
    version: VersionNumber
    metric: MetricName
    value_ppm: Millionths
    samples: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    """Of the data set, on which the value was measured."""
    dataset: Bytes32
    """Asset id."""
    dataset_version: VersionNumber
    code: Bytes32
    """Digest of the evaluating program."""
    environment: Bytes32
    """Digest of interpreter, versions of packages and settings."""
    report: CidText | None = None
    supersedes: Bytes32 | None = None
    """The sender's statement about the same version, metric and data set, where it has made one."""
    until_ms: TimeMs | None = None
    """Unix time from which the statement counts no more; None is without limit."""


class Audit(Operation, frozen=True, tag="attestations.audit"):
    """State what an audit of a version came to. By an account that is accredited to audit."""

    asset: Bytes32
    version: VersionNumber
    verdict: Verdict
    report: CidText
    supersedes: Bytes32 | None = None
    """The sender's audit of the same version, where it has made one."""
    until_ms: TimeMs | None = None
    """Unix time from which the statement counts no more; None is without limit."""


class Review(Operation, frozen=True, tag="attestations.review"):
    """Rate what a license was bought for. By the licensee of a grant that is paid for; one review a grant."""

    grant: Bytes32
    version: VersionNumber
    """The one that was used."""
    rating_ppm: Millionths
    text: CidText | None = None
    supersedes: Bytes32 | None = None
    """The sender's review under the same grant, where it has made one."""


class Answer(Operation, frozen=True, tag="attestations.answer"):
    """Answer a statement, by an owner or the manager of the asset: each once. Nobody deletes a statement."""

    statement: Bytes32
    text: CidText


class PostBond(Operation, frozen=True, tag="attestations.post_bond"):
    """Put up what is missing of the bond of an account's accreditation, by any account of its organization. It returns
    to who paid it."""

    account: Bytes32


class Resign(Operation, frozen=True, tag="attestations.resign"):
    """Give the sender's accreditation up. Its statements count no more, and the bond stays as long as a dispute may
    take."""


Statement: TypeAlias = Evaluate | Audit | Review


def statement_id(transaction_id: bytes, operation: Statement) -> Digest:
    """Return the id of the statement that an operation of a transaction makes; known before it is sent."""
    return tagged_hash("attestation", transaction_id + encode(operation))
