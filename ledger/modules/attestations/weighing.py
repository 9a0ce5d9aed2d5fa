"""What statements are evidence of: about who answers for what they are about, and about others who measured the same.

An evaluation speaks of the version's contributor, or else of the asset's creators, where it measures what is claimed,
and where others have measured the same, each of them and it speak of one another's attestors. What an organization said
before about the same is taken out. The word of a creator or the manager, and no owner, for the asset is no evidence, as
it does not count otherwise.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.modules.assets.operations import Metric
from ledger.modules.assets.records import Asset, Share, Version
from ledger.modules.attestations.operations import Audit, Evaluate, Review, Verdict
from ledger.modules.attestations.reading import Interest, latest_that_counts, reproduces
from ledger.modules.attestations.records import (
    AGREEMENTS_MAX,
    COMPARED,
    EVALUATED,
    MEASURED,
    STATEMENTS,
    Audited,
    Compared,
    Evaluated,
    Measured,
    Other,
    Statement,
    subject_parts,
)
from ledger.modules.fields import BPS
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.reputation import evidence
from ledger.modules.reputation.evidence import Testimony
from ledger.modules.reputation.formula import S, attestation_weight
from ledger.modules.reputation.payments import brought
from ledger.modules.reputation.records import EVIDENCE, Ended, EvidenceKind
from primitives.digest import Digest, tagged_hash

_RATINGS: Final[dict[Verdict, int]] = {"passed": S, "conditional": S // 2, "failed": 0}


def agreement_id(statement: bytes, other: bytes) -> Digest:
    """Name what a statement says about the attestor of another."""
    return tagged_hash("evaluation-agreement", statement + other)


class Subject(NamedTuple):
    """The version that a statement is about, and what is kept of its asset."""

    asset: Asset
    owners: tuple[Share, ...]
    version: Version
    maker: bytes | None
    """The account that contributed the version."""
    concerned: Interest


def evaluated(
    context: Context,
    tally: quota.Tally,
    identifier: bytes,
    statement: Statement,
    said: Evaluate,
    subject: Subject,
    previous: Evaluated | None,
) -> None:
    """Weigh an evaluation, before it takes the place of the `previous` one of its organization."""
    claims = _claims(subject.version, said)
    if not claims:
        return  # nor was there a claim when the previous one came: a version's stay as they are
    parts = subject_parts(said)
    if previous is not None:
        _take_out(context, tally, previous.statement, statement.organization, parts, "superseded")
    near = sum(reproduces(claim, said.value_ppm) for claim in claims)
    if near == 0 or statement.organization not in subject.concerned.named:
        _state(context, tally, "evaluation", identifier, statement, subject, S * near // len(claims))
    tolerance = max(claim.tolerance_ppm for claim in claims)
    compared: list[Other] = []
    for name in _measured_last(context, tally, subject.asset.organization, statement.organization, parts):
        other = latest_that_counts(context.view, parts, name, subject.concerned, context.block_time_ms)
        if other is None:
            continue
        record = STATEMENTS.get(context.view, other.statement)
        assert record is not None  # what counts was stated
        # Either may be off by the tolerance.
        rating = S if abs(other.value_ppm - said.value_ppm) <= 2 * tolerance else 0
        for source, by, target, about in (
            (identifier, statement, other.statement, record),
            (other.statement, record, identifier, statement),
        ):
            evidence.state(
                context,
                Testimony(
                    kind="agreement",
                    id=agreement_id(source, target),
                    source=source,
                    rater=by.attestor,
                    asset=said.asset,
                    rating_ppm=rating,
                    weight=attestation_weight(by.tier),
                    subjects=(Share(about.attestor, BPS),),
                ),
                tally=tally,
            )
        compared.append(Other(name, other.statement))
        theirs = _compared(context, name, parts)
        _compare(tally, name, parts, (*theirs, Other(statement.organization, identifier)))
    if compared:
        _compare(tally, statement.organization, parts, tuple(compared))


def audited(
    context: Context,
    tally: quota.Tally,
    identifier: bytes,
    statement: Statement,
    said: Audit,
    subject: Subject,
    previous: Audited | None,
) -> None:
    """Weigh an audit, before it takes the place of the `previous` one of its organization."""
    if previous is not None:
        evidence.end(context, previous.statement, "superseded", tally=tally)
    if said.verdict == "failed" or statement.organization not in subject.concerned.named:
        _state(context, tally, "audit", identifier, statement, subject, _RATINGS[said.verdict])


def reviewed(
    context: Context, tally: quota.Tally, identifier: bytes, asset: bytes, said: Review, paid_units: int
) -> None:
    """Weigh a review by what has been paid for its grant; one that supersedes another weighs what that one does."""
    if said.supersedes is None:
        paid = brought(context, asset, paid_units)
        evidence.review(context, said.grant, identifier, asset, said.rating_ppm, paid, tally=tally)
    else:
        evidence.rate_anew(context, said.grant, identifier, said.rating_ppm)


def refuted(context: Context, identifier: bytes, statement: Statement) -> None:
    """Take out what was found to be false. Cannot fail."""
    said = statement.said
    if isinstance(said, Evaluate):
        parts, organization = subject_parts(said), statement.organization
        latest = EVALUATED.get(context.view, *parts, organization.encode("ascii"))
        if latest is None or latest.statement != identifier:
            return  # it was taken out with what superseded it, and what is compared now is of that
        tally = quota.Tally(context)
        _take_out(context, tally, identifier, organization, parts, "refuted")
        tally.settle()
    elif isinstance(said, Audit):
        evidence.end(context, identifier, "refuted")
    else:
        known = EVIDENCE.get(context.view, said.grant)
        if known is not None and (statement.contested or known.source == identifier):
            evidence.end(context, said.grant, "refuted")


def _claims(version: Version, said: Evaluate) -> list[Metric]:
    """Return what the owner claims of the very thing that was measured."""
    measured = (said.metric, said.dataset, said.dataset_version)
    return [
        claim for claim in version.provenance.metrics if (claim.name, claim.dataset, claim.dataset_version) == measured
    ]


def _state(
    context: Context,
    tally: quota.Tally,
    kind: EvidenceKind,
    identifier: bytes,
    statement: Statement,
    subject: Subject,
    rating_ppm: int,
) -> None:
    """Enter what an accredited account says about those who answer for a version."""
    evidence.state(
        context,
        Testimony(
            kind=kind,
            id=identifier,
            source=identifier,
            rater=statement.attestor,
            asset=statement.asset,
            rating_ppm=rating_ppm,
            weight=attestation_weight(statement.tier),
            subjects=evidence.answering_for(context.view, subject.asset, subject.owners, subject.maker),
        ),
        tally=tally,
    )


def _take_out(
    context: Context, tally: quota.Tally, identifier: bytes, organization: str, parts: tuple[bytes, ...], why: Ended
) -> None:
    """End an evaluation's evidence, and what it and those that it is compared with said of one another."""
    evidence.end(context, identifier, why, tally=tally)
    others = _compared(context, organization, parts)
    for other in others:
        evidence.end(context, agreement_id(identifier, other.statement), why, tally=tally)
        evidence.end(context, agreement_id(other.statement, identifier), why, tally=tally)
        theirs = _compared(context, other.organization, parts)
        left = tuple(one for one in theirs if one.statement != identifier)
        _compare(tally, other.organization, parts, left)
    if others:
        _compare(tally, organization, parts, ())


def _measured_last(
    context: Context, tally: quota.Tally, keeper: str, organization: str, parts: tuple[bytes, ...]
) -> tuple[str, ...]:
    """Return which others measured the same last, the latest first, and let `organization` be the latest from here
    on."""
    key = MEASURED.key(*parts)
    value = context.view.get(key)
    known = () if value is None else MEASURED.read(value).organizations
    others = tuple(name for name in known if name != organization)[:AGREEMENTS_MAX]
    if known != (organization, *others):
        tally.put(keeper, key, value, Measured((organization, *others)), enforced=False)
    return others


def _compared(context: Context, organization: str, parts: tuple[bytes, ...]) -> tuple[Other, ...]:
    record = COMPARED.get(context.view, *parts, organization.encode("ascii"))
    return () if record is None else record.others


def _compare(tally: quota.Tally, organization: str, parts: tuple[bytes, ...], others: tuple[Other, ...]) -> None:
    """Set what an organization's latest evaluation is compared with."""
    assert len(others) <= 2 * AGREEMENTS_MAX, "more later ones than measure the same last"
    name = organization.encode("ascii")
    tally.store(organization, COMPARED, Compared(others), *parts, name, enforced=False)
