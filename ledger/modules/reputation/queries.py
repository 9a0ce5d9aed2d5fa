"""What may be asked about reputation. There is no hidden score: what is answered follows from the evidence alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ledger.errors import LedgerError
from ledger.modules import texts
from ledger.modules.fields import BPS, Result
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, organization_part
from ledger.modules.reputation.decay import from_grid, to_grid
from ledger.modules.reputation.formula import S
from ledger.modules.reputation.reading import Book, Weights
from ledger.modules.reputation.records import ABOUT, EVIDENCE, SUMS, About, Evidence, height_part
from ledger.state.view import Readable
from primitives.identifiers import account_to_text

LISTED_ACCOUNTS_MAX: Final = 10_000
"""Accounts with evidence that one list puts in order; where there are more, it is asked by organization."""
LISTED_SUMS_MAX: Final = 100_000
"""Sums of evidence that one list reads, about a second; where there are more, scores are asked for one by one."""


class ScoreResult(Result, frozen=True):
    account: str | None
    """None: of all accounts of the organization together."""
    organization: str
    score_ppm: int
    """Millionths: 500,000 without evidence."""
    confidence_ppm: int
    """Millionths: how much the score rests on evidence."""
    weight_for: int
    """Millionths of S, at the block time of the answer."""
    weight_against: int


class StepResult(Result, frozen=True):
    """What one rule left of a piece of evidence."""

    rule: str
    """share, own_organization, payments_together, rater_maximum, organization_maximum, returned, reciprocal, refunded,
    superseded, refuted or decayed."""
    weight: int
    """After it."""


class EvidenceResult(Result, frozen=True):
    evidence: str
    """Id: of a review that of its grant, else that of the statement or the dispute."""
    kind: str
    """review, evaluation, audit, agreement or dispute."""
    source: str
    """The statement or the dispute."""
    rater: str | None
    organization: str
    """The rater's; empty of a dispute."""
    asset: str
    height: int
    at_ms: int
    rating_ppm: int
    paid: int
    """Units that a review's payment brought the owners."""
    original: int
    """What it weighed by the rule of its kind."""
    steps: tuple[StepResult, ...]
    """What was taken off since, by which rule."""
    weight_for: int
    """Now, in favor."""
    weight_against: int


def get_score(
    view: Readable, _network_id: bytes, block_time_ms: int, *, account: str = "", organization: str = ""
) -> ScoreResult:
    """The score of an account, or of all accounts of an organization, and how much it rests on evidence."""
    if bool(account) == bool(organization):
        raise LedgerError("query.argument", "name an account or an organization")
    book = Book(view, block_time_ms)
    if organization:
        _require_organization(view, organization)
        return _score(None, organization, book.organization(organization))
    account_id = texts.account(account)
    return _score(account_id, _organization_of(view, account_id), book.account(account_id))


def list_evidence(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    account: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[EvidenceResult]:
    """Every piece of evidence about an account in order of height and id, beginning behind the evidence `after`: what
    it weighed, what each rule took off, and what it weighs now."""
    subject = texts.account(account)
    organization = _organization_of(view, subject)
    start = b""
    if after:
        identifier = texts.identifier(after)
        last = EVIDENCE.get(view, identifier)
        if last is None:
            raise texts.not_found("evidence")
        start = height_part(last.height) + identifier
    book = Book(view, block_time_ms)
    found = texts.page(ABOUT.items(view, subject, after=start), limit)
    return [_evidence(view, book, block_time_ms, organization, key[8:], about) for key, about in found]


def list_scores(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    kind: str = "account",
    organization: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[ScoreResult]:
    """The best scores first, then those that rest on more evidence: of accounts about which there is any, or with
    `kind` organization of all organizations."""
    book = Book(view, block_time_ms, sums_max=LISTED_SUMS_MAX)
    if kind == "organization":
        found = [_score(None, record.id, book.organization(record.id)) for _, record in ORGANIZATIONS.items(view)]
    elif kind == "account":
        found = [_score(account, name, book.account(account)) for name, account in _rated(view, organization)]
    else:
        raise LedgerError("query.argument", f"kind: {kind[:80]!r} is none of account, organization")
    found.sort(key=lambda one: (-one.score_ppm, -one.confidence_ppm, one.organization, one.account or ""))
    return texts.page(iter(found), limit)


def _rated(view: Readable, organization: str) -> Iterator[tuple[str, bytes]]:
    """Yield (organization, account) of all accounts about which there is evidence."""
    if organization:
        _require_organization(view, organization)
    prefix = organization_part(organization) if organization else b""
    count, before = 0, b""
    for key, _ in SUMS.items(view, prefix):
        whole = prefix + key
        end = 1 + whole[0]
        name, account = whole[1:end].decode("ascii"), whole[end : end + 32]
        if account == before:
            continue
        count, before = count + 1, account
        if count > LISTED_ACCOUNTS_MAX:
            raise LedgerError("query.too_expensive", f"more than {LISTED_ACCOUNTS_MAX} accounts: name an organization")
        yield name, account


def _evidence(
    view: Readable, book: Book, now_ms: int, organization: str, identifier: bytes, about: About
) -> EvidenceResult:
    record = EVIDENCE.get(view, identifier)
    assert record is not None  # entered with what it says about each subject
    now, steps = _steps(book, now_ms, organization, record, about)
    return EvidenceResult(
        evidence=identifier.hex(),
        kind=record.kind,
        source=record.source.hex(),
        rater=None if record.rater is None else account_to_text(record.rater),
        organization=record.organization,
        asset=record.asset.hex(),
        height=record.height,
        at_ms=record.at_ms,
        rating_ppm=record.rating_ppm,
        paid=record.paid,
        original=record.weight,
        steps=tuple(steps),
        weight_for=now.in_favor,
        weight_against=now.against,
    )


def _steps(
    book: Book, now_ms: int, organization: str, record: Evidence, about: About
) -> tuple[Weights, list[StepResult]]:
    """Follow a piece from what it weighed to what it weighs, and name the rules that took something off."""
    steps: list[StepResult] = []
    if about.bps != BPS:
        steps.append(StepResult("share", record.weight * about.bps // BPS))
    steps += [StepResult(cut, about.weight) for cut in about.cuts]
    now = Weights(about.weight_for, about.weight_against)

    def step(rule: str, changed: Weights) -> Weights:
        if changed != now:
            steps.append(StepResult(rule, changed.in_favor + changed.against))
        return changed

    if record.ended is not None:
        return step(record.ended, Weights(0, 0)), steps
    if record.kind == "review":
        parts = [(payee.bps, book.factor(record.organization, payee.organization)) for payee in record.payees]
        now = step("returned", Weights(_kept(now.in_favor, parts), _kept(now.against, parts)))
    if book.reciprocal(record.organization, organization):
        now = step("reciprocal", Weights(now.in_favor // 2, now.against))
    decayed = [from_grid(to_grid(weight, record.at_ms), now_ms) for weight in now]
    return step("decayed", Weights(*decayed)), steps


def _kept(weight: int, parts: list[tuple[int, int]]) -> int:
    """Return what of a weight remains, where each payee's part is multiplied by its factor."""
    return sum(weight * bps // BPS * factor // S for bps, factor in parts)


def _score(account: bytes | None, organization: str, weights: Weights) -> ScoreResult:
    return ScoreResult(
        account=None if account is None else account_to_text(account),
        organization=organization,
        score_ppm=weights.score_ppm,
        confidence_ppm=weights.confidence_ppm,
        weight_for=weights.in_favor,
        weight_against=weights.against,
    )


def _organization_of(view: Readable, account: bytes) -> str:
    record = ACCOUNTS.get(view, account)
    if record is None:
        raise texts.not_found("account")
    return record.organization


def _require_organization(view: Readable, organization: str) -> None:
    if not organization.isascii() or ORGANIZATIONS.get(view, organization.encode("ascii")) is None:
        raise texts.not_found("organization")


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "reputation.score": get_score,
    "reputation.evidence": list_evidence,
    "reputation.list": list_scores,
}
