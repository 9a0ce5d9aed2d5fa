"""What counts of what was said about a version: a pure function of the records and of block time.

A statement counts while it is its organization's newest about the same thing, has neither expired nor been refuted, and
its attestor's accreditation holds; and only if the organization has no interest in the asset. Where the newest does not
count, nothing of its organization does: no older one takes its place.

Others can make somebody a creator or the manager of an asset without being asked. Such a one's word for the asset does
not count, and its word against it does: else an owner could keep whoever it likes from speaking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ledger.modules.assets.operations import Metric
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS, CONTRIBUTORS, VERSIONS, Asset, Share, version_part
from ledger.modules.attestations.accreditation import is_active
from ledger.modules.attestations.operations import LESS_IS_BETTER, METRICS, Evaluate, MetricName, Review, Verdict
from ledger.modules.attestations.records import (
    ACCREDITATIONS,
    AUDIT_HEADS,
    AUDITED,
    EVALUATED,
    EVALUATION_HEADS,
    REVIEW_HEADS,
    AttestorRole,
    Audited,
    Evaluated,
    Statement,
    measured_parts,
    subject_parts,
)
from ledger.modules.organizations.accounts import membership, organization_of
from ledger.state.view import Readable


class ClaimStanding(NamedTuple):
    """What an owner claims of a version, and what others have found."""

    metric: str
    claimed_ppm: int
    tolerance_ppm: int
    dataset: bytes | None
    """Asset id; a claim that names none can be neither reproduced nor contradicted."""
    dataset_version: int | None
    reproduced: int
    """Organizations whose statement is within the tolerance."""
    contradicted: int
    """Organizations whose statement is not."""


class Interest(NamedTuple):
    """Organizations that have something of an asset."""

    own: frozenset[str]
    """Of its owners, however small their shares, of who registered it, and of who contributed the version: they have
    agreed to that. They state nothing about it."""
    named: frozenset[str]
    """Of its creators and its manager, and not above. They may state what they like, and only what speaks against the
    asset counts."""


NOBODY: Final = Interest(frozenset(), frozenset())


def interest(view: Readable, asset: bytes, version: int) -> Interest:
    """Return who has an interest in an existing version."""
    record = ASSETS.get(view, asset)
    assert record is not None
    return interest_in(view, asset, record, version)


def interest_in(view: Readable, asset: bytes, record: Asset, version: int) -> Interest:
    """Return the same where the asset's record is at hand."""
    made = CONTRIBUTORS.get(view, asset, version_part(version))
    return interest_of(view, record, ownership(view, asset).shares, None if made is None else made.account)


def interest_of(view: Readable, record: Asset, owners: tuple[Share, ...], maker: bytes | None) -> Interest:
    """Return the same where also the owners' shares are at hand, and who contributed the version."""
    accounts = {share.account for share in owners}
    own = {record.organization} | {organization_of(view, account) for account in accounts}
    if maker is not None:
        own.add(organization_of(view, maker))
    others = {share.account for share in record.creators} | {record.manager}
    named = {organization_of(view, account) for account in others - accounts}
    return Interest(frozenset(own), frozenset(named - own))


def reproduces(claim: Metric, value_ppm: int) -> bool:
    """Tell whether a measured value is what the owner claims, within the tolerance that the claim states."""
    return abs(value_ppm - claim.value_ppm) <= claim.tolerance_ppm


def reaches(metric: MetricName, value_ppm: int, bound_ppm: int) -> bool:
    """Tell whether a value is at least as good as a bound."""
    return value_ppm <= bound_ppm if metric in LESS_IS_BETTER else value_ppm >= bound_ppm


def claims_of(view: Readable, asset: bytes, version: int, *, at_ms: int) -> tuple[ClaimStanding, ...]:
    """Return the claims of an existing version in their order, as they stand at block time `at_ms`.

    It reads one record an organization for each claim, whatever was said before.
    """
    record = VERSIONS.get(view, asset, version_part(version))
    assert record is not None
    claims = record.provenance.metrics
    concerned = interest(view, asset, version) if any(claim.dataset is not None for claim in claims) else NOBODY
    standings = []
    for claim in claims:
        reproduced = contradicted = 0
        if claim.dataset is not None and claim.dataset_version is not None and claim.name in METRICS:
            subject = (asset, version, claim.name, claim.dataset, claim.dataset_version)
            for name, said in counting_evaluations(view, subject, concerned, at_ms):
                if not reproduces(claim, said.value_ppm):
                    contradicted += 1
                elif name not in concerned.named:
                    reproduced += 1
        standings.append(
            ClaimStanding(
                claim.name,
                claim.value_ppm,
                claim.tolerance_ppm,
                claim.dataset,
                claim.dataset_version,
                reproduced,
                contradicted,
            )
        )
    return tuple(standings)


def confirming(
    view: Readable,
    asset: bytes,
    version: int,
    metric: MetricName,
    dataset: bytes,
    dataset_version: int,
    at_least_ppm: int,
    *,
    at_ms: int,
    concerned: frozenset[str] | None = None,
) -> int:
    """Return how many organizations state that an existing asset's version reaches `at_least_ppm` on a data set; at
    most that, where less is better. Those in `concerned` do not count, without it those that have an interest."""
    apart = interest(view, asset, version) if concerned is None else Interest(concerned, frozenset())
    subject = (asset, version, metric, dataset, dataset_version)
    found = counting_evaluations(view, subject, apart, at_ms)
    return sum(1 for name, said in found if name not in apart.named and reaches(metric, said.value_ppm, at_least_ppm))


def verdicts(view: Readable, asset: bytes, version: int, *, at_ms: int) -> Mapping[Verdict, int]:
    """Return how many organizations' audits of an existing asset's version came to each verdict."""
    concerned = interest(view, asset, version)
    counted: Counter[Verdict] = Counter()
    for key, said in AUDITED.items(view, asset, version_part(version)):
        name = key.decode("ascii")
        if _holds(view, name, said, "audit", concerned, at_ms) and (
            name not in concerned.named or said.verdict == "failed"
        ):
            counted[said.verdict] += 1
    return counted


def reproductions(claims: tuple[ClaimStanding, ...]) -> tuple[int, int]:
    """Sum a version's claims up: `reproduced` by how many organizations the least reproduced one of those is that name
    a data set, `contradicted` by how many the most contradicted one."""
    measurable = [claim for claim in claims if claim.dataset is not None]
    if not measurable:
        return 0, 0
    return min(claim.reproduced for claim in measurable), max(claim.contradicted for claim in measurable)


def counts(view: Readable, identifier: bytes, statement: Statement, *, at_ms: int) -> bool:
    """Tell whether a statement counts at block time `at_ms`; what speaks for an asset whose creator or manager has said
    so counts for nothing all the same."""
    said = statement.said
    if isinstance(said, Review):
        return statement.refuted_by is None and latest_of(view, statement) == identifier
    organization = statement.organization.encode("ascii")
    latest: Evaluated | Audited | None
    role: AttestorRole
    if isinstance(said, Evaluate):
        role, latest = "evaluate", EVALUATED.get(view, *subject_parts(said), organization)
    else:
        role, latest = "audit", AUDITED.get(view, *subject_parts(said), organization)
    if latest is None or latest.statement != identifier:
        return False
    concerned = interest(view, statement.asset, statement.version)
    return _holds(view, statement.organization, latest, role, concerned, at_ms)


def latest_of(view: Readable, statement: Statement) -> bytes:
    """Return the id of the latest statement of the same attestor about the same: another one than that of an existing
    statement which it has superseded."""
    said = statement.said
    if isinstance(said, Review):
        reviewed = REVIEW_HEADS.get(view, said.grant)
        assert reviewed is not None
        return reviewed.statement
    heads = EVALUATION_HEADS if isinstance(said, Evaluate) else AUDIT_HEADS
    head = heads.get(view, statement.attestor, *subject_parts(said))
    assert head is not None
    return head.statement


def counting_evaluations(
    view: Readable, subject: tuple[bytes, int, MetricName, bytes, int], concerned: Interest, at_ms: int
) -> Iterator[tuple[str, Evaluated]]:
    for key, said in EVALUATED.items(view, *measured_parts(*subject)):
        name = key.decode("ascii")
        if _holds(view, name, said, "evaluate", concerned, at_ms):
            yield name, said


def latest_that_counts(
    view: Readable, subject: tuple[bytes, ...], organization: str, concerned: Interest, at_ms: int
) -> Evaluated | None:
    """Return what one organization has said last about what `measured_parts` names, where it counts."""
    said = EVALUATED.get(view, *subject, organization.encode("ascii"))
    if said is None or not _holds(view, organization, said, "evaluate", concerned, at_ms):
        return None
    return said


def _holds(
    view: Readable,
    organization: str,
    said: Evaluated | Audited,
    role: AttestorRole,
    concerned: Interest,
    at_ms: int,
) -> bool:
    """Tell whether what an organization said last is worth anything now."""
    if organization in concerned.own or (said.until_ms is not None and at_ms >= said.until_ms):
        return False
    record = ACCREDITATIONS.get(view, said.attestor)
    if record is None or role not in record.roles or not is_active(record, at_ms):
        return False
    return membership(view, organization) != "removed"
