"""Stating, superseding, answering and refuting. Nothing that was said is ever deleted."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.reads import ownership, require_asset, require_version
from ledger.modules.assets.records import CONTRIBUTORS, version_part
from ledger.modules.assets.takedowns import require_up
from ledger.modules.attestations import accreditation, events, weighing
from ledger.modules.attestations.operations import Answer, Audit, Evaluate, Review, statement_id
from ledger.modules.attestations.reading import interest_of, latest_of
from ledger.modules.attestations.records import (
    ANSWERS,
    AUDIT_HEADS,
    AUDITED,
    BY_ATTESTOR,
    BY_VERSION,
    EVALUATED,
    EVALUATION_HEADS,
    REVIEW_HEADS,
    STATEMENTS,
    Accreditation,
    Answered,
    Audited,
    Evaluated,
    Head,
    ReviewHead,
    Statement,
    subject_parts,
)
from ledger.modules.fields import MARKER, Record
from ledger.modules.licenses.grants import paid, require_grant, require_terms
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import sender_organization
from ledger.state.view import Table

T = TypeVar("T")


class _Slot(NamedTuple, Generic[T]):
    """Where a record stands, and what stood there when it was read."""

    key: bytes
    value: bytes | None
    record: T | None


class _Begun(NamedTuple):
    """A statement of an accredited account, not written yet."""

    identifier: bytes
    statement: Statement
    subject: tuple[bytes, ...]
    """The key parts of what it is about."""
    head: _Slot[Head]
    """The attestor's latest about that."""


def evaluate(context: Context, operation: Evaluate) -> None:
    """State what a version reaches."""
    accredited = accreditation.require_active(context, "evaluate")
    organization = accredited.organization
    about = _require_subject(context, organization, operation.asset, operation.version)
    # Who has never had the bytes cannot have measured anything.
    require_up(context.view, about.version)
    if require_asset(context.view, operation.dataset).kind != "dataset":
        raise OperationError("attestations.not_a_dataset", f"asset {operation.dataset.hex()} is no data set")
    require_up(context.view, require_version(context.view, operation.dataset, operation.dataset_version))
    begun = _begin(context, accredited, operation, EVALUATION_HEADS)
    identifier, statement = begun.identifier, begun.statement
    tally, latest = quota.Tally(context), _slot(context, EVALUATED, *begun.subject, organization.encode("ascii"))
    weighing.evaluated(context, tally, identifier, statement, operation, about, latest.record)
    said = Evaluated(identifier, context.sender, operation.value_ppm, operation.until_ms)
    _enter(context, tally, identifier, statement, (begun.head, Head(identifier)), (latest, said))
    context.emit(
        events.Evaluated(
            identifier,
            context.sender,
            operation.asset,
            operation.version,
            operation.metric,
            operation.value_ppm,
            operation.dataset,
            operation.dataset_version,
            operation.supersedes,
        )
    )


def audit(context: Context, operation: Audit) -> None:
    """State what an audit came to. What is taken down can still be found to be what it was taken down for."""
    accredited = accreditation.require_active(context, "audit")
    organization = accredited.organization
    about = _require_subject(context, organization, operation.asset, operation.version)
    begun = _begin(context, accredited, operation, AUDIT_HEADS)
    identifier, statement = begun.identifier, begun.statement
    tally, latest = quota.Tally(context), _slot(context, AUDITED, *begun.subject, organization.encode("ascii"))
    weighing.audited(context, tally, identifier, statement, operation, about, latest.record)
    said = Audited(identifier, context.sender, operation.verdict, operation.until_ms)
    _enter(context, tally, identifier, statement, (begun.head, Head(identifier)), (latest, said))
    context.emit(
        events.Audited(
            identifier,
            context.sender,
            operation.asset,
            operation.version,
            operation.verdict,
            operation.supersedes,
        )
    )


def review(context: Context, operation: Review) -> None:
    """Rate what a grant of the sender was paid for. The license stays, whatever the rating."""
    grant = require_grant(context.view, operation.grant)
    if grant.licensee != context.sender:
        raise OperationError("attestations.not_licensee", "only the licensee of the grant reviews what it is for")
    organization = sender_organization(context)
    _require_subject(context, organization, grant.asset, operation.version)
    units = 0 if grant.exempt else paid(grant, require_terms(context.view, grant.terms))
    if units == 0:
        # Bought within one organization, free, still in escrow, in dispute about its price, or paid back.
        raise OperationError("attestations.not_paid", "nothing has been paid out for the grant, and stayed so")
    _check_text(operation.text)
    head = _slot(context, REVIEW_HEADS, operation.grant)
    if head.record is not None and head.record.attestor != context.sender:
        raise OperationError("attestations.already_reviewed", "an earlier licensee has reviewed under this grant")
    _require_superseding(head.record, operation.supersedes)
    identifier = statement_id(context.transaction_id, operation)
    statement = Statement(
        context.sender, organization, grant.asset, operation.version, operation, 0, context.block_time_ms
    )
    tally = quota.Tally(context)
    weighing.reviewed(context, tally, identifier, grant.asset, operation, units)
    _enter(context, tally, identifier, statement, (head, ReviewHead(identifier, context.sender)))
    context.emit(
        events.Reviewed(
            identifier,
            context.sender,
            grant.asset,
            operation.version,
            operation.grant,
            operation.rating_ppm,
            operation.supersedes,
        )
    )


def answer(context: Context, operation: Answer) -> None:
    """Answer a statement about an asset of the sender's."""
    statement = require_statement(context, operation.statement)
    asset = require_asset(context.view, statement.asset)
    owners = {share.account for share in ownership(context.view, statement.asset).shares}
    if context.sender != asset.manager and context.sender not in owners:
        raise OperationError("attestations.not_concerned", "only an owner or the manager of the asset answers")
    if ANSWERS.get(context.view, operation.statement, context.sender) is not None:
        raise OperationError("attestations.already_answered", "the account has answered this statement")
    _check_text(operation.text)
    organization = sender_organization(context)
    record = Answered(organization, operation.text, context.block_time_ms)
    quota.store(context, organization, ANSWERS, record, operation.statement, context.sender)
    context.emit(events.Answered(operation.statement, statement.asset, context.sender, operation.text))


# --- what disputes ask for


def require_statement(context: Context, identifier: bytes) -> Statement:
    """Return a statement's record. Raises `attestations.unknown_statement`."""
    record = STATEMENTS.get(context.view, identifier)
    if record is None:
        raise OperationError("attestations.unknown_statement", f"no statement {identifier.hex()}")
    return record


def require_refutable(context: Context, identifier: bytes, amount: int) -> Statement:
    """Return a statement that may be disputed, for `amount` units of its attestor's bond.

    Raises:
        OperationError: `attestations.unknown_statement`, `attestations.already_refuted` or
            `attestations.beyond_the_bond`.
    """
    statement = require_statement(context, identifier)
    if statement.refuted_by is not None:
        raise OperationError("attestations.already_refuted", "the statement was found to be false already")
    up = accreditation.posted(context, statement.attestor) if _is_bonded(statement) else 0
    if amount > up:
        raise OperationError("attestations.beyond_the_bond", f"{up} units answer for the statement")
    return statement


def hold(context: Context, identifier: bytes) -> None:
    """Keep the bond that answers for an existing statement up until `release`; for a review its evidence answers."""
    statement = require_statement(context, identifier)
    if _is_bonded(statement):
        accreditation.dispute_opened(context, statement.attestor)
    elif not statement.contested and latest_of(context.view, statement) == identifier:
        contested = msgspec.structs.replace(statement, contested=True)
        quota.store(context, statement.organization, STATEMENTS, contested, identifier, enforced=False)


def release(context: Context, identifier: bytes) -> None:
    """End what `hold` began. Never raises."""
    statement = require_statement(context, identifier)
    if _is_bonded(statement):
        accreditation.dispute_closed(context, statement.attestor)


def refute(context: Context, identifier: bytes, dispute: bytes, recipient: bytes, amount: int) -> int:
    """Find an existing statement to be false: it counts no more, and `recipient` gets `amount` of the bond, or what is
    up of it. Return what it got. Never raises."""
    statement = require_statement(context, identifier)
    if statement.refuted_by is None:
        refuted = msgspec.structs.replace(statement, refuted_by=dispute)
        quota.store(context, statement.organization, STATEMENTS, refuted, identifier, enforced=False)
        weighing.refuted(context, identifier, statement)
        _count_no_more(context, identifier, statement)
        context.emit(events.Refuted(identifier, statement.asset, statement.attestor, dispute))
    if not _is_bonded(statement):
        return 0
    return accreditation.forfeit(context, statement.attestor, dispute, recipient, amount)


# --- the rest


def _require_subject(context: Context, organization: str, asset: bytes, number: int) -> weighing.Subject:
    """Return a version that the sender's organization has no interest in. What is retired is still used, and spoken
    of."""
    view = context.view
    record = require_asset(view, asset)
    version, owners = require_version(view, asset, number), ownership(view, asset).shares
    made = CONTRIBUTORS.get(view, asset, version_part(number))
    maker = None if made is None else made.account
    concerned = interest_of(view, record, owners, maker)
    if organization in concerned.own:
        raise OperationError("attestations.interested", f"{organization} has an interest in the asset")
    return weighing.Subject(record, owners, version, maker, concerned)


def _begin(context: Context, accredited: Accreditation, operation: Evaluate | Audit, heads: Table[Head]) -> _Begun:
    """Check what an evaluation and an audit have in common, and make the statement."""
    _check_text(operation.report)
    _check_until(context, operation.until_ms)
    subject = subject_parts(operation)
    head = _slot(context, heads, context.sender, *subject)
    _require_superseding(head.record, operation.supersedes)
    statement = Statement(
        context.sender,
        accredited.organization,
        operation.asset,
        operation.version,
        operation,
        accredited.tier,
        context.block_time_ms,
    )
    return _Begun(statement_id(context.transaction_id, operation), statement, subject, head)


def _slot(context: Context, table: Table[T], *parts: bytes) -> _Slot[T]:
    """Return the place of what was the latest, with what is there."""
    key = table.key(*parts)
    value = context.view.get(key)
    return _Slot(key, value, None if value is None else table.read(value))


def _enter(
    context: Context, tally: quota.Tally, identifier: bytes, statement: Statement, *latest: tuple[_Slot[Any], Record]
) -> None:
    """Write a statement, and `latest` in place of what was the latest about the same, and charge all of it."""
    organization = statement.organization
    tally.put(organization, STATEMENTS.key(identifier), None, statement)
    by_version = BY_VERSION.key(statement.asset, version_part(statement.version), identifier)
    tally.put(organization, by_version, None, MARKER)
    tally.put(organization, BY_ATTESTOR.key(context.sender, identifier), None, MARKER)
    for slot, record in latest:
        tally.put(organization, slot.key, slot.value, record)
    tally.settle()


def _require_superseding(head: Head | ReviewHead | None, named: bytes | None) -> None:
    """Check that a statement names the sender's latest about the same, where there is one: a chain, in which nothing is
    skipped."""
    latest = None if head is None else head.statement
    if latest == named:
        return
    if latest is None:
        raise OperationError("attestations.supersedes", "the sender has stated nothing about this before")
    raise OperationError("attestations.supersedes", f"the sender's latest statement about this is {latest.hex()}")


def _count_no_more(context: Context, identifier: bytes, statement: Statement) -> None:
    """Take away what an organization said last, where it is this statement."""
    said, organization = statement.said, statement.organization
    if isinstance(said, Review):
        return
    table: Table[Any] = EVALUATED if isinstance(said, Evaluate) else AUDITED
    parts = (*subject_parts(said), organization.encode("ascii"))
    latest = table.get(context.view, *parts)
    if latest is not None and latest.statement == identifier:
        quota.remove(context, organization, table, *parts)


def _is_bonded(statement: Statement) -> bool:
    return not isinstance(statement.said, Review)


def _check_text(cid: str | None) -> None:
    if cid is not None:
        check_cid(cid, "attestations.text")


def _check_until(context: Context, until_ms: int | None) -> None:
    if until_ms is not None and until_ms <= context.block_time_ms:
        raise OperationError("attestations.until", "a statement counts until a time that is ahead")
