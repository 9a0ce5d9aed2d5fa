"""What may be asked about accreditations and statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.errors import LedgerError
from ledger.modules import pages, texts
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.records import VERSIONS, version_part
from ledger.modules.attestations.accreditation import is_active
from ledger.modules.attestations.operations import METRICS, Audit, Evaluate, Review
from ledger.modules.attestations.reading import counts, latest_of
from ledger.modules.attestations.records import (
    ACCREDITATIONS,
    ANSWERS,
    AUDIT_HEADS,
    BY_ATTESTOR,
    BY_VERSION,
    EVALUATION_HEADS,
    REVIEW_HEADS,
    STATEMENTS,
    Accreditation,
    Head,
    ReviewHead,
    Statement,
    metric_part,
)
from ledger.modules.fields import Result
from ledger.state.view import Readable
from primitives.identifiers import AccountId, account_to_text


class AccreditationResult(Result, frozen=True):
    account: str
    organization: str
    roles: tuple[str, ...]
    """evaluate, audit."""
    tier: int
    active: bool
    """The account may state something, and its statements count."""
    state: str
    """awaiting-bond, active, suspended, expired, resigned, or ended: by a vote."""
    bond: int
    """Units that must be up."""
    posted: int
    """Units that are up."""
    bond_until_ms: int | None
    """When the bond of an accreditation that has ended returns."""
    disputes: int
    """Open ones about statements of the account; the bond stays while there are any."""
    since_ms: int
    until_ms: int
    proposal: str


class AnswerResult(Result, frozen=True):
    account: str
    text: str
    """CID."""
    at_ms: int


class StatementResult(Result, frozen=True):
    statement: str
    kind: str
    """evaluation, audit or review."""
    attestor: str
    organization: str
    tier: int
    """Of the attestor when it said so; 0 of a review."""
    asset: str
    version: int
    counts: bool
    """It is what its organization said last about this, nobody has refuted it, it has not expired, its attestor's
    accreditation holds, and its organization has no interest in the asset. A review counts until it is superseded or
    refuted."""
    stated_at_ms: int
    supersedes: str | None
    superseded_by: str | None
    """The attestor's latest statement about the same, where it is another one."""
    refuted_by: str | None
    """The dispute in which it was found to be false."""
    answers: tuple[AnswerResult, ...]
    text: str | None
    """CID of a report, or of a review's text."""
    until_ms: int | None = None
    """When an evaluation or an audit counts no more."""
    metric: str | None = None
    """Of an evaluation, as the next six."""
    value_ppm: int | None = None
    samples: int | None = None
    dataset: str | None = None
    dataset_version: int | None = None
    code: str | None = None
    environment: str | None = None
    verdict: str | None = None
    """Of an audit."""
    grant: str | None = None
    """Of a review, as the next."""
    rating_ppm: int | None = None


def get_statement(view: Readable, _network_id: bytes, block_time_ms: int, *, statement: str) -> StatementResult:
    """A statement with its answers."""
    identifier = texts.identifier(statement)
    return _statement(view, identifier, pages.found(view, STATEMENTS, identifier, "statement"), block_time_ms)


def list_statements(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str = "",
    version: int | str = "",
    account: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[StatementResult]:
    """The statements about a version, its latest unless one is named, or those of an account; in order of id, beginning
    behind the statement `after`."""
    if bool(asset) == bool(account):
        raise LedgerError("query.argument", "name an asset or an account")
    if account:
        keys = pages.behind(view, BY_ATTESTOR, texts.account(account), after=after)
    else:
        asset_id, record = named_asset(view, asset)
        number = record.versions if version == "" else texts.number(version)
        if not 1 <= number <= record.versions or VERSIONS.get(view, asset_id, version_part(number)) is None:
            raise texts.not_found("version")
        keys = pages.behind(view, BY_VERSION, asset_id, version_part(number), after=after)
    return [_statement(view, *row, block_time_ms) for row in pages.page(view, STATEMENTS, keys, limit)]


def get_latest(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    account: str = "",
    asset: str = "",
    version: int | str = "",
    metric: str = "",
    dataset: str = "",
    dataset_version: int | str = "",
    grant: str = "",
) -> StatementResult:
    """What an account has stated last about one thing, which its next statement about it supersedes: its evaluation of
    a version by a metric on a data set, or its audit of a version where no metric is named; or the latest review under
    a grant, whoever has written it."""
    head: Head | ReviewHead | None
    if grant:
        head = REVIEW_HEADS.get(view, texts.identifier(grant))
    else:
        about = texts.account(account), texts.identifier(asset), _version_part(version)
        if not metric:
            head = AUDIT_HEADS.get(view, *about)
        elif metric not in METRICS:
            raise LedgerError("query.argument", f"no metric {metric[:80]!r}; there are {', '.join(METRICS)}")
        else:
            data = texts.identifier(dataset), _version_part(dataset_version)
            head = EVALUATION_HEADS.get(view, *about, metric_part(metric), *data)
    if head is None:
        raise texts.not_found("statement")
    return _statement(view, head.statement, pages.found(view, STATEMENTS, head.statement, "statement"), block_time_ms)


def _version_part(text: int | str) -> bytes:
    number = texts.number(text)
    if number >= 2**32:
        raise texts.not_found("version")
    return version_part(number)


def get_accreditation(view: Readable, _network_id: bytes, block_time_ms: int, *, account: str) -> AccreditationResult:
    """What the consortium lets an account state."""
    identifier = texts.account(account)
    return _accreditation(identifier, pages.found(view, ACCREDITATIONS, identifier, "accreditation"), block_time_ms)


def list_accreditations(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[AccreditationResult]:
    """All accreditations, ended ones too, in order of account, beginning behind the account `after`."""
    start = texts.account(after) if after else b""
    rows = texts.page(ACCREDITATIONS.items(view, after=start), limit)
    return [_accreditation(key, record, block_time_ms) for key, record in rows]


def _accreditation(account: bytes, record: Accreditation, at_ms: int) -> AccreditationResult:
    return AccreditationResult(
        account=account_to_text(AccountId(account)),
        organization=record.organization,
        roles=record.roles,
        tier=record.tier,
        active=is_active(record, at_ms),
        state=_state(record, at_ms),
        bond=record.bond,
        posted=record.posted,
        bond_until_ms=record.bond_until_ms,
        disputes=record.disputes,
        since_ms=record.since_ms,
        until_ms=record.until_ms,
        proposal=record.proposal.hex(),
    )


def _state(record: Accreditation, at_ms: int) -> str:
    if record.ended is not None:
        return record.ended
    if at_ms >= record.until_ms:
        return "expired"
    if record.suspended:
        return "suspended"
    return "active" if record.posted >= record.bond else "awaiting-bond"


def _statement(view: Readable, identifier: bytes, record: Statement, at_ms: int) -> StatementResult:
    said = record.said
    latest = latest_of(view, record)
    return StatementResult(
        statement=identifier.hex(),
        attestor=account_to_text(AccountId(record.attestor)),
        organization=record.organization,
        tier=record.tier,
        asset=record.asset.hex(),
        version=record.version,
        counts=counts(view, identifier, record, at_ms=at_ms),
        stated_at_ms=record.stated_at_ms,
        supersedes=_hex(said.supersedes),
        superseded_by=None if latest == identifier else latest.hex(),
        refuted_by=_hex(record.refuted_by),
        answers=tuple(
            AnswerResult(account_to_text(AccountId(account)), answer.text, answer.at_ms)
            for account, answer in texts.page(ANSWERS.items(view, identifier), texts.PAGE_MAX)
        ),
        **_said(said),
    )


def _said(said: Evaluate | Audit | Review) -> dict[str, Any]:
    if isinstance(said, Review):
        return {"kind": "review", "grant": said.grant.hex(), "rating_ppm": said.rating_ppm, "text": said.text}
    common: dict[str, Any] = {"text": said.report, "until_ms": said.until_ms}
    if isinstance(said, Audit):
        return {"kind": "audit", "verdict": said.verdict, **common}
    return {
        "kind": "evaluation",
        "metric": said.metric,
        "value_ppm": said.value_ppm,
        "samples": said.samples,
        "dataset": said.dataset.hex(),
        "dataset_version": said.dataset_version,
        "code": said.code.hex(),
        "environment": said.environment.hex(),
        **common,
    }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "attestations.statement": get_statement,
    "attestations.statements": list_statements,
    "attestations.latest": get_latest,
    "attestations.accreditation": get_accreditation,
    "attestations.accreditations": list_accreditations,
}
