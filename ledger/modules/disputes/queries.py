"""What may be asked about disputes and debts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ledger.errors import LedgerError
from ledger.modules import pages, texts
from ledger.modules.assets.named import named_asset
from ledger.modules.disputes.records import (
    BY_ACCOUNT,
    BY_ASSET,
    DISPUTES,
    LOST,
    OPEN,
    Ballots,
    Dispute,
    Said,
    about,
)
from ledger.modules.fields import Result
from ledger.modules.royalties.records import DEBTS, DEBTS_BY_CREDITOR, DEBTS_BY_DEBTOR, Debt
from ledger.state.view import Readable
from primitives.identifiers import account_to_text


class RespondentResult(Result, frozen=True):
    account: str
    bps: int
    """Its part of what all respondents owe together, and get."""


class SaidResult(Result, frozen=True):
    account: str
    bond: int
    """0 without one."""
    statement: str
    evidence: str | None
    """CID."""
    at_ms: int


class BallotsResult(Result, frozen=True):
    upholding: tuple[str, ...]
    """Organizations, in order of their votes."""
    refusing: tuple[str, ...]


class DisputeResult(Result, frozen=True):
    dispute: str
    state: str
    """answering, voting, decided (an appeal is possible), appealed, recalling (the asset is still locked) or closed."""
    due_ms: int | None
    """When the state ends by itself."""
    kind: str
    """Of the subject: asset, version, grant, freeze or attestation."""
    id: str
    version: int
    asset: str
    ground: str
    relief: str
    amount: int
    claimant: str
    respondents: tuple[RespondentResult, ...]
    arbiters: tuple[str, ...]
    """Organizations; more than half of them must vote."""
    claim: SaidResult
    answer: SaidResult | None
    appeal: SaidResult | None
    votes: BallotsResult
    appeal_votes: BallotsResult
    first_outcome: str | None
    outcome: str | None
    """The final one: upheld, rejected, or failed (a tie or no quorum)."""
    closed_at_ms: int | None
    freezing: bool
    """It keeps the asset from being sold now."""
    refunded: int
    """Units that went back to the claimant from the grant's escrow."""
    taken_bps: int
    """Of the asset, taken back."""
    owed: int
    """Units that respondents had to pay beside bonds of the dispute."""


class DebtResult(Result, frozen=True):
    debt: str
    debtor: str
    creditor: str
    amount: int
    """As it was decided."""
    owed: int
    """What is left of it."""
    asset: str | None
    """What it pays for, where owners and ancestors share it."""
    dispute: str
    since_ms: int


def get_dispute(view: Readable, _network_id: bytes, _block_time_ms: int, *, dispute: str) -> DisputeResult:
    """A dispute, what was said in it, and the votes."""
    identifier = texts.identifier(dispute)
    return _dispute(identifier, pages.found(view, DISPUTES, identifier, "dispute"))


def list_disputes(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    asset: str = "",
    account: str = "",
    lost: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[DisputeResult]:
    """The disputes about an asset, or those with an account as a party, or those that an account lost, in order of id;
    all open ones without any of these, in order of what they are about. Begins behind the dispute `after`."""
    if len([text for text in (asset, account, lost) if text]) > 1:
        raise LedgerError("query.argument", "asset, account and lost exclude one another")
    if asset:
        keys = pages.behind(view, BY_ASSET, named_asset(view, asset)[0], after=after)
    elif account:
        keys = pages.behind(view, BY_ACCOUNT, texts.account(account), after=after)
    elif lost:
        keys = pages.behind(view, LOST, texts.account(lost), after=after)
    else:
        keys = _open(view, after)
    return [_dispute(*row) for row in pages.page(view, DISPUTES, keys, limit)]


def list_debts(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    debtor: str = "",
    creditor: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[DebtResult]:
    """What an account owes, or what is owed to it, by disputes; in order of id, beginning behind the debt `after`."""
    if bool(debtor) == bool(creditor):
        raise LedgerError("query.argument", "name a debtor or a creditor")
    table = DEBTS_BY_DEBTOR if debtor else DEBTS_BY_CREDITOR
    keys = pages.behind(view, table, texts.account(debtor or creditor), after=after)
    return [_debt(*row) for row in pages.page(view, DEBTS, keys, limit)]


def _open(view: Readable, after: str) -> Iterator[bytes]:
    start = b""
    if after:
        identifier = texts.identifier(after)
        last = pages.found(view, DISPUTES, identifier, "dispute")
        start = about(last.subject, last.asset) + identifier
    return (key[-32:] for key, _ in OPEN.items(view, after=start))


def _dispute(identifier: bytes, record: Dispute) -> DisputeResult:
    return DisputeResult(
        dispute=identifier.hex(),
        state=record.state,
        due_ms=record.due_ms,
        kind=record.subject.kind,
        id=record.subject.id.hex(),
        version=record.subject.version,
        asset=record.asset.hex(),
        ground=record.ground,
        relief=record.relief,
        amount=record.amount,
        claimant=account_to_text(record.claim.account),
        respondents=tuple(RespondentResult(account_to_text(r.account), r.bps) for r in record.respondents),
        arbiters=record.arbiters,
        claim=_said(record.claim),
        answer=None if record.answer is None else _said(record.answer),
        appeal=None if record.appeal is None else _said(record.appeal),
        votes=_ballots(record.votes),
        appeal_votes=_ballots(record.appeal_votes),
        first_outcome=record.first,
        outcome=record.outcome,
        closed_at_ms=record.closed_at_ms,
        freezing=record.freezing,
        refunded=record.refunded,
        taken_bps=record.taken_bps,
        owed=record.owed,
    )


def _said(said: Said) -> SaidResult:
    return SaidResult(account_to_text(said.account), said.bond, said.statement, said.evidence, said.at_ms)


def _ballots(ballots: Ballots) -> BallotsResult:
    return BallotsResult(ballots.upholding, ballots.refusing)


def _debt(identifier: bytes, record: Debt) -> DebtResult:
    return DebtResult(
        debt=identifier.hex(),
        debtor=account_to_text(record.debtor),
        creditor=account_to_text(record.creditor),
        amount=record.amount,
        owed=record.owed,
        asset=None if record.asset is None else record.asset.hex(),
        dispute=record.dispute.hex(),
        since_ms=record.since_ms,
    )


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "disputes.get": get_dispute,
    "disputes.list": list_disputes,
    "disputes.debts": list_debts,
}
