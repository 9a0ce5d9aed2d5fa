"""Entering evidence, and taking it back. Every step costs the same however much there is.

Whoever makes a statement calls `state`, whoever loses a dispute is entered by `lose`; what is superseded, refuted or
refunded is taken out of the sums to the unit, and stays readable. Evidence is kept on the quota of whose operation
brings it about, what is added up on that of the rater's organization (of a lost dispute, the loser's).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.assets.records import Asset, Share
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
from ledger.state.view import Readable


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


def review(
    context: Context,
    grant: bytes,
    statement: bytes,
    asset: bytes,
    rating_ppm: int,
    paid: int,
    *,
    tally: quota.Tally | None = None,
) -> None:
    """Enter the sender's review of what it was granted, about the asset's creators. `paid` is what the grant's price
    brought the owners (`ledger.modules.reputation.payments.brought`)."""
    record, owners = require_asset(context.view, asset), ownership(context.view, asset).shares
    subjects, weight = answering(context.view, record, owners), review_weight(paid)
    testimony = Testimony("review", grant, statement, context.sender, asset, rating_ppm, weight, subjects, paid)
    payer = sender_organization(context)
    payees = _payees(context.view, owners, payer)
    for payee in payees:
        flows.claim(context, payer, payee.organization, paid * payee.bps // BPS, context.block_time_ms, 1)
    state(context, testimony, payees, tally=tally)


def answering(view: Readable, record: Asset, owners: tuple[Share, ...]) -> tuple[Share, ...]:
    """Return those of an asset's creators who have put their name to it, with their parts: of the organization that
    registered it, or owners of a share, which nobody gets unasked. Anybody can be named."""
    accounts = {share.account for share in owners}
    return tuple(
        share
        for share in record.creators
        if share.account in accounts or organization_of(view, share.account) == record.organization
    )


def answering_for(view: Readable, record: Asset, owners: tuple[Share, ...], maker: bytes | None) -> tuple[Share, ...]:
    """Return who answers for what a version is and claims: the `maker` who contributed it, or else the asset's
    creators."""
    return answering(view, record, owners) if maker is None else (Share(maker, BPS),)


def state(
    context: Context, testimony: Testimony, payees: tuple[Payee, ...] = (), *, tally: quota.Tally | None = None
) -> None:
    """Enter what an account states, about every subject by its part. What is written is charged to `tally`, which the
    caller settles, and without one here.

    Raises:
        OperationError: the quota's codes.
    """
    charges = quota.Tally(context) if tally is None else tally
    organization = organization_of(context.view, testimony.rater)
    keeper = organization if testimony.rater == context.sender else sender_organization(context)
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
    charges.put(keeper, EVIDENCE.key(testimony.id), None, evidence)
    height = height_part(evidence.height)
    for share in testimony.subjects:
        known = _known(context.view, evidence, share.account)
        about = _arrived(context, charges, evidence, share, known)
        charges.put(keeper, ABOUT.key(share.account, height, testimony.id), None, about)
        _add(context, charges, evidence, about, 1, known)
    if tally is None:
        charges.settle()


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
    tally = quota.Tally(context)
    tally.put(keeper, EVIDENCE.key(dispute), None, evidence, enforced=False)
    for share in losers:
        weight = LOST_DISPUTE * share.bps // BPS
        about = About(share.bps, weight, 0, weight)
        key = share.account, height_part(evidence.height), dispute
        tally.put(keeper, ABOUT.key(*key), None, about, enforced=False)
        _add(context, tally, evidence, about, 1, _known(context.view, evidence, share.account))
    tally.settle()


def end(context: Context, identifier: bytes, why: Ended, *, tally: quota.Tally | None = None) -> None:
    """Take evidence out of the sums; what there is none of is no error. Cannot fail. What is written is charged to
    `tally`, which the caller settles, and without one here."""
    evidence = EVIDENCE.get(context.view, identifier)
    if evidence is None or evidence.ended is not None:
        return
    charges = quota.Tally(context) if tally is None else tally
    for subject in evidence.subjects:
        about = _about(context.view, identifier, evidence, subject)
        _add(context, charges, evidence, about, -1, _known(context.view, evidence, subject))
    _claim_back(context, evidence, evidence.paid)
    ended = msgspec.structs.replace(evidence, ended=why)
    charges.store(evidence.keeper, EVIDENCE, ended, identifier, enforced=False)
    if tally is None:
        charges.settle()


def rate_anew(context: Context, identifier: bytes, source: bytes, rating_ppm: int) -> None:
    """Let a review say something else. It weighs what it weighed, and decays from when it was first given: nobody makes
    an old payment young by speaking again."""
    evidence = EVIDENCE.get(context.view, identifier)
    if evidence is None or evidence.ended is not None:
        return
    again, tally = msgspec.structs.replace(evidence, source=source, rating_ppm=rating_ppm), quota.Tally(context)
    for subject in evidence.subjects:
        before = _about(context.view, identifier, evidence, subject)
        weight_for, weight_against = _sides(before.weight, rating_ppm)
        after = msgspec.structs.replace(before, weight_for=weight_for, weight_against=weight_against)
        _add(context, tally, evidence, before, -1, _known(context.view, evidence, subject))
        _add(context, tally, again, after, 1, _known(context.view, evidence, subject))
        key = subject, height_part(evidence.height), identifier
        tally.store(evidence.keeper, ABOUT, after, *key, enforced=False)
    tally.store(evidence.keeper, EVIDENCE, again, identifier)
    tally.settle()


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
    reduced, tally = msgspec.structs.replace(evidence, paid=paid, weight=weight), quota.Tally(context)
    for subject in evidence.subjects:
        before = _about(context.view, grant, evidence, subject)
        _add(context, tally, evidence, before, -1, _known(context.view, evidence, subject))
        known = _known(context.view, evidence, subject)
        less, cuts = min(before.weight, weight * before.bps // BPS), before.cuts
        # A cut review keeps its cut: else many payments, all but little of each returned, would weigh what they did.
        together = _room_of_payments(context, reduced, before.bps, known.together)
        if together is not None and less > together:
            less = together
            cuts = tuple(dict.fromkeys((*cuts, "payments_together")))
        weight_for, weight_against = _sides(less, evidence.rating_ppm)
        after = About(before.bps, less, weight_for, weight_against, cuts)
        _add(context, tally, reduced, after, 1, known)
        key = subject, height_part(evidence.height), grant
        tally.store(evidence.keeper, ABOUT, after, *key, enforced=False)
    _claim_back(context, evidence, evidence.paid, paid)
    tally.store(evidence.keeper, EVIDENCE, reduced, grant, enforced=False)
    tally.settle()


def _payees(view: Readable, owners: tuple[Share, ...], payer: str) -> tuple[Payee, ...]:
    """Divide what the owners got among their organizations, the payer's own left out."""
    parts: dict[str, int] = {}
    for share in owners:
        organization = organization_of(view, share.account)
        if organization != payer:
            parts[organization] = parts.get(organization, 0) + share.bps
    largest = sorted(parts, key=lambda name: (-parts[name], name))[:PAYEES_MAX]
    return tuple(Payee(name, parts[name]) for name in sorted(largest))


_NOTHING: Final = Given(b"")


class _Known(NamedTuple):
    """What is kept of a rater and a subject, with the keys and the values as they were read."""

    subject: bytes
    target: str
    """The subject's organization."""
    by_rater: tuple[bytes, bytes | None]
    by_all: tuple[bytes, bytes | None]
    alone: Given = _NOTHING
    """What the rater has said about the subject."""
    together: Given = _NOTHING
    """What the rater's organization has."""


def _known(view: Readable, evidence: Evidence, subject: bytes) -> _Known:
    target = organization_of(view, subject)
    if evidence.rater is None or target == evidence.organization:
        return _Known(subject, target, (b"", None), (b"", None))
    by_rater = GIVEN.key(subject, evidence.rater)
    by_all = GIVEN_BY_ORGANIZATION.key(subject, organization_part(evidence.organization))
    alone, together = view.get(by_rater), view.get(by_all)
    return _Known(
        subject,
        target,
        (by_rater, alone),
        (by_all, together),
        _NOTHING if alone is None else GIVEN.read(alone),
        _NOTHING if together is None else GIVEN_BY_ORGANIZATION.read(together),
    )


def _arrived(context: Context, tally: quota.Tally, evidence: Evidence, share: Share, known: _Known) -> About:
    """Weigh a statement about one subject, and count what its rater has given."""
    now_ms = context.block_time_ms
    if known.target == evidence.organization:
        return About(share.bps, 0, 0, 0, ("own_organization",))
    weight = evidence.weight * share.bps // BPS
    cuts: list[Cut] = []
    together = known.together
    if evidence.kind == "review":
        most = _room_of_payments(context, evidence, share.bps, together)
        if most is not None and weight > most:
            weight = most
            cuts.append("payments_together")
    limits: tuple[tuple[Given, int, Cut], ...] = (
        (known.alone, RATER_MAX, "rater_maximum"),
        (together, ORGANIZATION_MAX, "organization_maximum"),
    )
    for given, most, cut in limits:
        room = max(0, most - from_grid(narrow(given.weight), now_ms)) if given.weight else most
        if weight > room:
            weight = room
            cuts.append(cut)
    pair = RATED.key(organization_part(evidence.organization), organization_part(known.target))
    if context.view.get(pair) is None:
        tally.put(evidence.organization, pair, None, MARKER)
    weight_for, weight_against = _sides(weight, evidence.rating_ppm)
    return About(share.bps, weight, weight_for, weight_against, tuple(cuts))


def _sides(weight: int, rating_ppm: int) -> tuple[int, int]:
    """Divide a weight into what speaks for and against."""
    weight_for = weight * rating_ppm // S
    return weight_for, weight - weight_for


def _room_of_payments(context: Context, evidence: Evidence, bps: int, given: Given) -> int | None:
    """Return what a review may weigh beside the others that its organization has given about the same account, so that
    all of them weigh now what one payment of the sum would, as of when it arrived; None where it is the only one."""
    if not given.reviews:
        return None
    now_ms = context.block_time_ms
    paid = from_grid(narrow(given.paid) + to_grid(_weighed(evidence.paid, bps), evidence.at_ms), now_ms)
    room = max(0, weight_together(paid) - from_grid(narrow(given.reviews), now_ms))
    return from_grid(to_grid(room, now_ms), evidence.at_ms)


def _weighed(paid: int, bps: int) -> int:
    """Return the units by which a part of a review weighs: its weight, part of the root, is the root of these."""
    return paid * bps * bps // (BPS * BPS)


def _about(view: Readable, identifier: bytes, evidence: Evidence, subject: bytes) -> About:
    about = ABOUT.get(view, subject, height_part(evidence.height), identifier)
    assert about is not None  # entered with the evidence
    return about


def _claim_back(context: Context, evidence: Evidence, before: int, after: int = 0) -> None:
    for payee in evidence.payees:
        flow = evidence.organization, payee.organization
        flows.claim(context, *flow, before * payee.bps // BPS, evidence.at_ms, -1)
        flows.claim(context, *flow, after * payee.bps // BPS, evidence.at_ms, 1)


def _add(context: Context, tally: quota.Tally, evidence: Evidence, about: About, sign: int, known: _Known) -> None:
    """Enter a part into the sums, or take it out, as of when the evidence arrived. `known` was read since the last
    change."""
    if about.weight == 0:
        return
    view, at_ms = context.view, evidence.at_ms
    # Sums last: who keeps them follows from their keys, whoever adds to them or takes away.
    keeper = evidence.organization or known.target
    rater = organization_part(evidence.organization)
    payees = evidence.payees if evidence.kind == "review" else _NO_PAYMENT
    for payee in payees:
        key = SUMS.key(organization_part(known.target), known.subject, rater, organization_part(payee.organization))
        value = view.get(key)
        before = _NO_SUM if value is None else SUMS.read(value)
        weight_for = _entered(before.weight_for, about.weight_for * payee.bps // BPS, sign, at_ms)
        against = _entered(before.weight_against, about.weight_against * payee.bps // BPS, sign, at_ms)
        tally.put(keeper, key, value, Sum(weight_for, against), enforced=False)
    if evidence.rater is None:
        return
    entered = sign * to_grid(about.weight, at_ms)
    given = Given(wide(narrow(known.alone.weight) + entered))
    tally.put(keeper, *known.by_rater, given, enforced=False)
    before_all = known.together
    whole, reviews, paid = wide(narrow(before_all.weight) + entered), before_all.reviews, before_all.paid
    if evidence.kind == "review":
        reviews = wide(narrow(reviews) + entered)
        paid = wide(narrow(paid) + sign * to_grid(_weighed(evidence.paid, about.bps), at_ms))
    tally.put(keeper, *known.by_all, Given(whole, reviews, paid), enforced=False)


_NO_SUM: Final = Sum(b"", b"")
_NO_PAYMENT: Final = (Payee("", BPS),)


def _entered(total: bytes, weight: int, sign: int, at_ms: int) -> bytes:
    """Return a sum with a weight entered as of a time, or taken out as it was entered."""
    return wide(narrow(total) + sign * to_grid(weight, at_ms)) if weight else total
