"""Filing, answering, voting, appealing, and the deadline that ends every state.

answering -> voting -> decided -> (appealed) -> closed, or recalling before that. Consequences come last, so that
nothing has to be undone.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import Share
from ledger.modules.attestations.statements import hold as hold_bond
from ledger.modules.attestations.statements import require_statement
from ledger.modules.disputes import bonds, consequences, events
from ledger.modules.disputes.operations import Answer, Appeal, Collect, File, Lift, Vote, dispute_id
from ledger.modules.disputes.records import (
    APPEAL_FACTOR,
    BY_ACCOUNT,
    BY_ASSET,
    DISPUTES,
    LOST,
    OPEN,
    OPEN_MAX,
    RECALL_RETRY_MS,
    Ballots,
    Dispute,
    Outcome,
    Said,
    State,
    about,
    bond_due,
    losers,
    parties,
)
from ledger.modules.disputes.standing import arbiters, examine, owns_now
from ledger.modules.fields import AMOUNT_MAX, BPS, MARKER
from ledger.modules.licenses.disputing import hold_grant
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import require_unfrozen, sender_organization, speaker
from ledger.modules.reputation import evidence
from ledger.modules.royalties import debts
from ledger.modules.royalties.records import DEBTS

DUE: Final = "disputes.due"
"""The deadline that ends a dispute's state; its subject is the dispute's id."""


def file(context: Context, operation: File) -> None:
    """Open a dispute. Nothing is locked but the disputed grant, or the bond that answers for a disputed statement."""
    check_cid(operation.evidence, "disputes.evidence")
    _check_bond(context, operation)
    case = examine(context, operation)
    organization = sender_organization(context)
    _check_open(context, about(operation.subject, case.asset), organization)
    identifier = dispute_id(context.transaction_id, operation.subject)
    if DISPUTES.get(context.view, identifier) is not None:
        raise OperationError("disputes.dispute_exists", "one transaction files one claim about a subject")
    now_ms = context.block_time_ms
    due_ms = now_ms + context.parameters.dispute_answer_ms
    dispute = Dispute(
        subject=operation.subject,
        asset=case.asset,
        ground=operation.ground,
        relief=operation.relief,
        amount=operation.amount,
        organization=organization,
        respondents=case.respondents,
        arbiters=arbiters(context.view, context.sender, case.concerned),
        recalls=require_asset(context.view, case.asset).recalls,
        claim=Said(context.sender, operation.bond, operation.statement, operation.evidence, now_ms),
        state="answering",
        due_ms=due_ms,
    )
    quota.store(context, organization, DISPUTES, dispute, identifier)
    quota.store(context, organization, OPEN, MARKER, about(dispute.subject, dispute.asset), identifier)
    quota.store(context, organization, BY_ASSET, MARKER, dispute.asset, identifier)
    for account in parties(dispute):
        quota.store(context, organization, BY_ACCOUNT, MARKER, account, identifier)
    quota.schedule(context, organization, due_ms, DUE, identifier)
    bonds.put_up(context, identifier, "claim", operation.bond)
    if operation.relief == "refund":
        hold_grant(context, operation.subject.id)
    elif operation.relief == "refute":
        hold_bond(context, operation.subject.id)
    context.emit(
        events.Filed(
            dispute=identifier,
            asset=dispute.asset,
            kind=operation.subject.kind,
            id=operation.subject.id,
            ground=operation.ground,
            relief=operation.relief,
            claimant=context.sender,
            amount=operation.amount,
            bond=operation.bond,
            answer_until_ms=due_ms,
        )
    )


def answer(context: Context, operation: Answer) -> None:
    """Answer for all respondents; the vote begins."""
    identifier = operation.dispute
    dispute = _require_state(context, identifier, "answering", "disputes.answering_over")
    if not any(respondent.account == context.sender for respondent in dispute.respondents):
        raise OperationError("disputes.not_a_respondent", "the claim is not against the sender")
    if operation.evidence is not None:
        check_cid(operation.evidence, "disputes.evidence")
    bond = dispute.claim.bond if operation.bonded else 0
    if bond:
        # Whoever could sign for an account whose value is frozen could lose a bond to a friend.
        require_unfrozen(context, context.sender)
        bonds.put_up(context, identifier, "answer", bond)
    said = Said(context.sender, bond, operation.statement, operation.evidence, context.block_time_ms)
    context.emit(events.Answered(identifier, dispute.asset, context.sender, bond))
    _cancel(context, identifier, dispute)
    _open_voting(context, identifier, msgspec.structs.replace(dispute, answer=said))


def vote(context: Context, operation: Vote) -> None:
    """Count an arbiter's vote, and decide as soon as the others cannot change the outcome."""
    identifier = operation.dispute
    organization = speaker(context).organization
    dispute = require_dispute(context, identifier)
    if dispute.state not in ("voting", "appealed") or _is_over(context, dispute):
        raise OperationError("disputes.voting_closed", "there is no vote on the dispute now")
    if organization not in dispute.arbiters:
        raise OperationError("disputes.not_an_arbiter", f"{organization} is a party, or joined after the filing")
    if owns_now(context.view, organization, dispute.asset):
        raise OperationError("disputes.not_an_arbiter", f"{organization} has a share of the asset now")
    field = "appeal_votes" if dispute.state == "appealed" else "votes"
    ballots: Ballots = getattr(dispute, field)
    if organization in (*ballots.upholding, *ballots.refusing):
        raise OperationError("disputes.already_voted", f"{organization} has voted on this dispute")
    side = "upholding" if operation.uphold else "refusing"
    ballots = msgspec.structs.replace(ballots, **{side: (*getattr(ballots, side), organization)})
    dispute = msgspec.structs.replace(dispute, **{field: ballots})
    context.emit(events.VoteCast(identifier, dispute.asset, organization, operation.uphold))
    missing = len(dispute.arbiters) - len(ballots.upholding) - len(ballots.refusing)
    if abs(len(ballots.upholding) - len(ballots.refusing)) > missing or missing == 0:
        _cancel(context, identifier, dispute)
        _decide(context, identifier, dispute)
    else:
        _store(context, identifier, dispute)


def appeal(context: Context, operation: Appeal) -> None:
    """Open the second and last vote."""
    identifier = operation.dispute
    dispute = _require_state(context, identifier, "decided", "disputes.no_appeal")
    against = {respondent.account for respondent in dispute.respondents}
    if context.sender not in (against if dispute.first == "upheld" else {dispute.claim.account}):
        raise OperationError("disputes.not_the_loser", "only who lost the vote may appeal")
    least = APPEAL_FACTOR * dispute.claim.bond
    if operation.bond < least:
        raise OperationError("disputes.bond_too_low", f"the bond of an appeal is at least {least}")
    if operation.evidence is not None:
        check_cid(operation.evidence, "disputes.evidence")
    bonds.put_up(context, identifier, "appeal", operation.bond)
    now_ms = context.block_time_ms
    due_ms = now_ms + context.parameters.dispute_voting_ms
    said = Said(context.sender, operation.bond, operation.statement, operation.evidence, now_ms)
    _cancel(context, identifier, dispute)
    _wait(context, identifier, msgspec.structs.replace(dispute, appeal=said), "appealed", due_ms)
    context.emit(events.Appealed(identifier, dispute.asset, context.sender, operation.bond, due_ms))


def lift(context: Context, operation: Lift) -> None:
    """Let go of a freeze."""
    dispute = require_dispute(context, operation.dispute)
    if not dispute.freezing:
        raise OperationError("disputes.not_freezing", "the dispute keeps no asset from being sold")
    if context.sender != dispute.claim.account:
        raise OperationError("disputes.not_the_claimant", "only the claimant lets go of a freeze")
    consequences.lift(context, operation.dispute, dispute)


def collect(context: Context, operation: Collect) -> None:
    """Collect a debt, or a part of it."""
    debt = DEBTS.get(context.view, operation.debt)
    if debt is None:
        raise OperationError("disputes.unknown_debt", "there is no such debt, or it is paid")
    if debts.collect(context, operation.debt, debt) == 0:
        raise OperationError("disputes.nothing_to_collect", "the debtor's balance is empty")


def on_due(context: Context, subject: bytes) -> None:
    """Deadline: end a dispute's state. Without an answer the vote begins, without a vote the claim fails, without an
    appeal the decision is carried out."""
    dispute = DISPUTES.get(context.view, subject)
    assert dispute is not None  # disputes are kept
    quota.swept(context, dispute.organization)
    if dispute.state == "answering":
        _open_voting(context, subject, dispute)
    elif dispute.state == "decided":
        assert dispute.first is not None
        _conclude(context, subject, dispute, dispute.first, None)
    elif dispute.state == "recalling":
        _recall(context, subject, dispute)
    else:
        _decide(context, subject, dispute)


def require_dispute(context: Context, identifier: bytes) -> Dispute:
    """Return a dispute's record. Raises `disputes.unknown_dispute`."""
    dispute = DISPUTES.get(context.view, identifier)
    if dispute is None:
        raise OperationError("disputes.unknown_dispute", f"no dispute {identifier.hex()}")
    return dispute


def count(ballots: Ballots, electorate: int) -> Outcome:
    """Return the outcome of a vote that is over: more than half of the arbiters must have voted, and more of them for
    one side."""
    upholding, refusing = len(ballots.upholding), len(ballots.refusing)
    if 2 * (upholding + refusing) <= electorate or upholding == refusing:
        return "failed"
    return "upheld" if upholding > refusing else "rejected"


def _check_bond(context: Context, operation: File) -> None:
    least = bond_due(operation.amount, context.parameters.dispute_bond_min)
    if operation.bond < least:
        raise OperationError("disputes.bond_too_low", f"the bond is at least {least}")
    # The respondents match the bond, and double it for an appeal: nobody is to be priced out of them.
    most = max(least, min(operation.amount, AMOUNT_MAX // APPEAL_FACTOR))
    if operation.bond > most:
        raise OperationError("disputes.bond_too_high", f"the bond is at most {most}")


def _check_open(context: Context, what: bytes, organization: str) -> None:
    """Bound the open disputes about one thing, so that nobody is buried in claims."""
    known = [key for key, _ in OPEN.items(context.view, what)]
    if any(require_dispute(context, identifier).organization == organization for identifier in known):
        raise OperationError("disputes.open_dispute", f"{organization} has an open dispute about this already")
    if len(known) >= OPEN_MAX:
        raise OperationError("disputes.too_many_disputes", f"at most {OPEN_MAX} disputes about this are open at a time")


def _open_voting(context: Context, identifier: bytes, dispute: Dispute) -> None:
    due_ms = context.block_time_ms + context.parameters.dispute_voting_ms
    _wait(context, identifier, dispute, "voting", due_ms)
    context.emit(events.VotingOpened(identifier, dispute.asset, due_ms))


def _decide(context: Context, identifier: bytes, dispute: Dispute) -> None:
    """Act on the votes; the deadline is gone already."""
    if dispute.state == "appealed":
        second = count(dispute.appeal_votes, len(dispute.arbiters))
        assert dispute.first is not None
        _conclude(context, identifier, dispute, dispute.first if second == "failed" else second, second)
        return
    outcome = count(dispute.votes, len(dispute.arbiters))
    due_ms = context.block_time_ms + context.parameters.dispute_appeal_ms
    _wait(context, identifier, msgspec.structs.replace(dispute, first=outcome), "decided", due_ms)
    context.emit(events.Decided(identifier, dispute.asset, outcome, due_ms))


def _conclude(context: Context, identifier: bytes, dispute: Dispute, outcome: Outcome, second: Outcome | None) -> None:
    """Settle the bonds, carry the final outcome out and close; the deadline is gone already."""
    dispute = msgspec.structs.replace(dispute, outcome=outcome)
    bonds.settle(context, identifier, dispute, second)
    lost = losers(dispute)
    for account in lost:
        quota.store(context, dispute.organization, LOST, MARKER, account, identifier, enforced=False)
    if lost and not _found_before(context, dispute):
        parts = {one.account: one.bps for one in dispute.respondents}
        shares = tuple(Share(account, parts.get(account, BPS)) for account in lost)
        evidence.lose(context, identifier, dispute.asset, dispute.organization, shares)
    context.emit(events.Closed(identifier, dispute.asset, outcome))
    if outcome == "upheld" and dispute.relief == "transfer_back":
        _recall(context, identifier, dispute)
        return
    if outcome == "upheld":
        dispute = consequences.grant_relief(context, identifier, dispute)
    else:
        consequences.deny_relief(context, dispute)
    _close(context, identifier, dispute)


def _found_before(context: Context, dispute: Dispute) -> bool:
    """Tell whether a claim that is upheld is about a statement that another dispute has found to be false: several may
    be filed about one at a time, and it was false once."""
    if dispute.outcome != "upheld" or dispute.relief != "refute":
        return False
    return require_statement(context, dispute.subject.id).refuted_by is not None


def _recall(context: Context, identifier: bytes, dispute: Dispute) -> None:
    back = consequences.take_back(context, identifier, dispute)
    if back is None:
        _wait(context, identifier, dispute, "recalling", context.block_time_ms + RECALL_RETRY_MS)
    else:
        _close(context, identifier, back)


def _close(context: Context, identifier: bytes, dispute: Dispute) -> None:
    closed = msgspec.structs.replace(dispute, state="closed", due_ms=None, closed_at_ms=context.block_time_ms)
    _store(context, identifier, closed)
    quota.remove(context, dispute.organization, OPEN, about(dispute.subject, dispute.asset), identifier)


def _wait(context: Context, identifier: bytes, dispute: Dispute, state: State, due_ms: int) -> None:
    quota.schedule(context, dispute.organization, due_ms, DUE, identifier)
    _store(context, identifier, msgspec.structs.replace(dispute, state=state, due_ms=due_ms))


def _cancel(context: Context, identifier: bytes, dispute: Dispute) -> None:
    assert dispute.due_ms is not None
    quota.cancel(context, dispute.organization, dispute.due_ms, DUE, identifier)


def _store(context: Context, identifier: bytes, dispute: Dispute) -> None:
    quota.store(context, dispute.organization, DISPUTES, dispute, identifier, enforced=False)


def _require_state(context: Context, identifier: bytes, state: State, code: str) -> Dispute:
    dispute = require_dispute(context, identifier)
    if dispute.state != state or _is_over(context, dispute):
        raise OperationError(code, f"the dispute is {dispute.state}, or the time for this is over")
    return dispute


def _is_over(context: Context, dispute: Dispute) -> bool:
    return dispute.due_ms is None or context.block_time_ms >= dispute.due_ms
