"""Entering evidence, and taking it back. Every step costs the same however much there is.

Whoever makes a statement calls `state`, whoever loses a dispute is entered by `lose`; what is superseded, refuted or
refunded is taken out of the sums to the unit, and stays readable. Evidence is kept on the quota of whose operation
brings it about, what is added up on that of the rater's organization (of a lost dispute, the loser's).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.assets.records import CONTRIBUTORS, Share, version_part
from ledger.modules.fields import BPS, MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.modules.organizations.records import organization_part
from ledger.modules.reputation import flows
from ledger.modules.reputation.decay import from_grid, narrow, to_grid, wide
from ledger.modules.reputation.formula import (
    LOST_DISPUTE,
    ORGANIZATION_MAX,
    RATER_MAX,
    S,
    review_weight,
    weight_together,
)
from ledger.modules.reputation.records import (
    ABOUT,
    EVIDENCE,
    GIVEN,
    GIVEN_BY_ORGANIZATION,
    PAYEES_MAX,
    RATED,
    SUMS,
    About,
    Cut,
    Ended,
    Evidence,
    EvidenceKind,
    Given,
    Payee,
    Sum,
    height_part,
)
from ledger.state.view import Readable, Table


class Testimony(NamedTuple):
    """What somebody says of an asset, or of what somebody else said of it."""

    kind: EvidenceKind
    id: bytes
    """Of the evidence: of a review that of its grant, else that of the statement."""
    source: bytes
    """The statement."""
    rater: bytes
    asset: bytes
    rating_ppm: int
    """The part of the weight that counts in favor."""
    weight: int
    subjects: tuple[Share, ...]
    """Who it is about, and by which parts."""
    paid: int = 0
    """Units that the review's grant brought the asset's owners."""


def review(context: Context, grant: bytes, statement: bytes, asset: bytes, rating_ppm: int, paid: int) -> None:
    """Enter the sender's review of what it was granted, about the asset's creators. `paid` is what the grant's price
    brought the owners (`ledger.modules.reputation.payments.brought`)."""
    subjects = answering(context.view, asset)
    weight = review_weight(paid)
    state(context, Testimony("review", grant, statement, context.sender, asset, rating_ppm, weight, subjects, paid))


def answering(view: Readable, asset: bytes) -> tuple[Share, ...]:
    """Return those of an asset's creators who have put their name to it, with their parts: of the organization that
    registered it, or owners of a share, which nobody gets unasked. Anybody can be named."""
    record = require_asset(view, asset)
    owners = {share.account for share in ownership(view, asset).shares}
    return tuple(
        share
        for share in record.creators
        if share.account in owners or organization_of(view, share.account) == record.organization
    )


def answering_for(view: Readable, asset: bytes, version: int) -> tuple[Share, ...]:
    """Return who answers for what a version is and claims: who contributed it, or else the asset's creators."""
    made = CONTRIBUTORS.get(view, asset, version_part(version))
    return answering(view, asset) if made is None else (Share(made.account, BPS),)


def state(context: Context, testimony: Testimony) -> None:
    """Enter what an account states, about every subject by its part.

    Raises:
        OperationError: the quota's codes.
    """
    organization, keeper = organization_of(context.view, testimony.rater), sender_organization(context)
    payees: tuple[Payee, ...] = ()
    if testimony.kind == "review":
        payees = _payees(context.view, testimony.asset, organization)
        for payee in payees:
            units = testimony.paid * payee.bps // BPS
            flows.claim(context, organization, payee.organization, units, context.block_time_ms, 1)
    evidence = Evidence(
        kind=testimony.kind,
        source=testimony.source,
        rater=testimony.rater,
        organization=organization,
        keeper=keeper,
        asset=testimony.asset,
        height=context.height,
        at_ms=context.block_time_ms,
        rating_ppm=testimony.rating_ppm,
        weight=testimony.weight,
        subjects=tuple(share.account for share in testimony.subjects),
        paid=testimony.paid,
        payees=payees,
    )
    quota.store(context, keeper, EVIDENCE, evidence, testimony.id)
    for share in testimony.subjects:
        about = _arrived(context, evidence, share)
        quota.store(context, keeper, ABOUT, about, share.account, height_part(evidence.height), testimony.id)
        _add(context, evidence, share.account, about, 1)


def lose(context: Context, dispute: bytes, asset: bytes, keeper: str, losers: tuple[Share, ...]) -> None:
    """Enter a lost dispute against those who lost it, by their parts. Cannot fail."""
    evidence = Evidence(
        kind="dispute",
        source=dispute,
        rater=None,
        organization="",
        keeper=keeper,
        asset=asset,
        height=context.height,
        at_ms=context.block_time_ms,
        rating_ppm=0,
        weight=LOST_DISPUTE,
        subjects=tuple(share.account for share in losers),
    )
    quota.store(context, keeper, EVIDENCE, evidence, dispute, enforced=False)
    for share in losers:
        weight = LOST_DISPUTE * share.bps // BPS
        about = About(share.bps, weight, 0, weight)
        key = share.account, height_part(evidence.height), dispute
        quota.store(context, keeper, ABOUT, about, *key, enforced=False)
        _add(context, evidence, share.account, about, 1)


def end(context: Context, identifier: bytes, why: Ended) -> None:
    """Take evidence out of the sums; what there is none of is no error. Cannot fail."""
    evidence = EVIDENCE.get(context.view, identifier)
    if evidence is None or evidence.ended is not None:
        return
    for subject in evidence.subjects:
        _add(context, evidence, subject, _about(context.view, identifier, evidence, subject), -1)
    _claim_back(context, evidence, evidence.paid)
    ended = msgspec.structs.replace(evidence, ended=why)
    quota.store(context, evidence.keeper, EVIDENCE, ended, identifier, enforced=False)


def rate_anew(context: Context, identifier: bytes, source: bytes, rating_ppm: int) -> None:
    """Let a review say something else. It weighs what it weighed, and decays from when it was first given: nobody makes
    an old payment young by speaking again."""
    evidence = EVIDENCE.get(context.view, identifier)
    if evidence is None or evidence.ended is not None:
        return
    again = msgspec.structs.replace(evidence, source=source, rating_ppm=rating_ppm)
    for subject in evidence.subjects:
        before = _about(context.view, identifier, evidence, subject)
        weight_for, weight_against = _sides(before.weight, rating_ppm)
        after = msgspec.structs.replace(before, weight_for=weight_for, weight_against=weight_against)
        _add(context, evidence, subject, before, -1)
        _add(context, again, subject, after, 1)
        key = subject, height_part(evidence.height), identifier
        quota.store(context, evidence.keeper, ABOUT, after, *key, enforced=False)
    quota.store(context, evidence.keeper, EVIDENCE, again, identifier)


def paid_back(context: Context, grant: bytes, paid: int) -> None:
    """Let a review of a grant weigh no more than `paid` units justify: what of its price returned is no evidence any
    more. Cannot fail."""
    evidence = EVIDENCE.get(context.view, grant)
    if evidence is None or evidence.ended is not None or paid >= evidence.paid:
        return
    if paid == 0:
        end(context, grant, "refunded")
        return
    weight = review_weight(paid)
    reduced = msgspec.structs.replace(evidence, paid=paid, weight=weight)
    for subject in evidence.subjects:
        before = _about(context.view, grant, evidence, subject)
        _add(context, evidence, subject, before, -1)
        less, cuts = min(before.weight, weight * before.bps // BPS), before.cuts
        # A cut review keeps its cut: else many payments, all but little of each returned, would weigh what they did.
        together = _room_of_payments(context, reduced, Share(subject, before.bps))
        if together is not None and less > together:
            less = together
            cuts = tuple(dict.fromkeys((*cuts, "payments_together")))
        weight_for, weight_against = _sides(less, evidence.rating_ppm)
        after = About(before.bps, less, weight_for, weight_against, cuts)
        _add(context, reduced, subject, after, 1)
        key = subject, height_part(evidence.height), grant
        quota.store(context, evidence.keeper, ABOUT, after, *key, enforced=False)
    _claim_back(context, evidence, evidence.paid, paid)
    quota.store(context, evidence.keeper, EVIDENCE, reduced, grant, enforced=False)


def _payees(view: Readable, asset: bytes, payer: str) -> tuple[Payee, ...]:
    """Divide what the owners got among their organizations, the payer's own left out."""
    parts: dict[str, int] = {}
    for share in ownership(view, asset).shares:
        organization = organization_of(view, share.account)
        if organization != payer:
            parts[organization] = parts.get(organization, 0) + share.bps
    largest = sorted(parts, key=lambda name: (-parts[name], name))[:PAYEES_MAX]
    return tuple(Payee(name, parts[name]) for name in sorted(largest))


def _arrived(context: Context, evidence: Evidence, share: Share) -> About:
    """Weigh a statement about one subject, and count what its rater has given."""
    assert evidence.rater is not None
    subject, now_ms = share.account, context.block_time_ms
    weight = evidence.weight * share.bps // BPS
    target = organization_of(context.view, subject)
    if target == evidence.organization:
        return About(share.bps, 0, 0, 0, ("own_organization",))
    cuts: list[Cut] = []
    if evidence.kind == "review":
        together = _room_of_payments(context, evidence, share)
        if together is not None and weight > together:
            weight = together
            cuts.append("payments_together")
    limits: tuple[tuple[Table[Given], bytes, int, Cut], ...] = (
        (GIVEN, evidence.rater, RATER_MAX, "rater_maximum"),
        (GIVEN_BY_ORGANIZATION, organization_part(evidence.organization), ORGANIZATION_MAX, "organization_maximum"),
    )
    for table, giver, most, cut in limits:
        room = max(0, most - from_grid(narrow(_given(context.view, table, subject, giver).weight), now_ms))
        if weight > room:
            weight = room
            cuts.append(cut)
    pair = organization_part(evidence.organization), organization_part(target)
    quota.store(context, evidence.organization, RATED, MARKER, *pair)
    weight_for, weight_against = _sides(weight, evidence.rating_ppm)
    return About(share.bps, weight, weight_for, weight_against, tuple(cuts))


def _sides(weight: int, rating_ppm: int) -> tuple[int, int]:
    """Divide a weight into what speaks for and against."""
    weight_for = weight * rating_ppm // S
    return weight_for, weight - weight_for


def _room_of_payments(context: Context, evidence: Evidence, share: Share) -> int | None:
    """Return what a review may weigh beside the others that its organization has given about the same account, so that
    all of them weigh now what one payment of the sum would, as of when it arrived; None where it is the only one."""
    giver = organization_part(evidence.organization)
    given = _given(context.view, GIVEN_BY_ORGANIZATION, share.account, giver)
    if not given.reviews:
        return None
    now_ms = context.block_time_ms
    paid = from_grid(narrow(given.paid) + to_grid(_weighed(evidence.paid, share.bps), evidence.at_ms), now_ms)
    room = max(0, weight_together(paid) - from_grid(narrow(given.reviews), now_ms))
    return from_grid(to_grid(room, now_ms), evidence.at_ms)


def _weighed(paid: int, bps: int) -> int:
    """Return the units by which a part of a review weighs: its weight, part of the root, is the root of these."""
    return paid * bps * bps // (BPS * BPS)


def _given(view: Readable, table: Table[Given], subject: bytes, giver: bytes) -> Given:
    return table.get(view, subject, giver) or Given(b"")


def _about(view: Readable, identifier: bytes, evidence: Evidence, subject: bytes) -> About:
    about = ABOUT.get(view, subject, height_part(evidence.height), identifier)
    assert about is not None  # entered with the evidence
    return about


def _claim_back(context: Context, evidence: Evidence, before: int, after: int = 0) -> None:
    for payee in evidence.payees:
        flow = evidence.organization, payee.organization
        flows.claim(context, *flow, before * payee.bps // BPS, evidence.at_ms, -1)
        flows.claim(context, *flow, after * payee.bps // BPS, evidence.at_ms, 1)


def _add(context: Context, evidence: Evidence, subject: bytes, about: About, sign: int) -> None:
    """Enter a part into the sums, or take it out, as of when the evidence arrived."""
    if about.weight == 0:
        return
    at_ms, name = evidence.at_ms, organization_of(context.view, subject)
    # Sums last: who keeps them follows from their keys, whoever adds to them or takes away.
    keeper = evidence.organization or name
    target = organization_part(name)
    rater = organization_part(evidence.organization)
    payees = evidence.payees if evidence.kind == "review" else (Payee("", BPS),)
    for payee in payees:
        key = target, subject, rater, organization_part(payee.organization)
        before = SUMS.get(context.view, *key) or Sum(b"", b"")
        weight_for = narrow(before.weight_for) + sign * to_grid(about.weight_for * payee.bps // BPS, at_ms)
        against = narrow(before.weight_against) + sign * to_grid(about.weight_against * payee.bps // BPS, at_ms)
        quota.store(context, keeper, SUMS, Sum(wide(weight_for), wide(against)), *key, enforced=False)
    if evidence.rater is None:
        return
    entered = sign * to_grid(about.weight, at_ms)
    before_rater = _given(context.view, GIVEN, subject, evidence.rater)
    given = Given(wide(narrow(before_rater.weight) + entered))
    quota.store(context, keeper, GIVEN, given, subject, evidence.rater, enforced=False)
    before_all = _given(context.view, GIVEN_BY_ORGANIZATION, subject, rater)
    reviews, paid = narrow(before_all.reviews), narrow(before_all.paid)
    if evidence.kind == "review":
        reviews += entered
        paid += sign * to_grid(_weighed(evidence.paid, about.bps), at_ms)
    given = Given(wide(narrow(before_all.weight) + entered), wide(reviews), wide(paid))
    quota.store(context, keeper, GIVEN_BY_ORGANIZATION, given, subject, rater, enforced=False)
