"""Where the bonds of a decided dispute go: each exactly once, back or to the winner. Nothing here may fail."""

from __future__ import annotations

from ledger.modules.credits import accounting
from ledger.modules.credits.records import escrow_holder
from ledger.modules.disputes import events
from ledger.modules.disputes.records import Bond, Dispute, Outcome, Respondent, bond_escrow
from ledger.modules.fields import BPS
from ledger.modules.module import Context
from ledger.modules.reputation import flows


def put_up(context: Context, dispute: bytes, bond: Bond, amount: int) -> None:
    """Take a bond from the sender.

    Raises:
        OperationError: `credits.insufficient`.
    """
    accounting.hold(context, bond_escrow(dispute, bond), context.sender, amount)


def settle(context: Context, identifier: bytes, dispute: Dispute, second: Outcome | None) -> None:
    """Pay all bonds out by the final outcome; `second` is that of the vote on an appeal.

    An appeal that brought no majority leaves the first outcome, and its bond returns.
    """
    claimant = dispute.claim.account
    answer, appeal = dispute.answer, dispute.appeal
    upheld, rejected = dispute.outcome == "upheld", dispute.outcome == "rejected"
    winners = respondents_side(dispute)
    _pay(context, identifier, dispute, "claim", winners if rejected else None)
    to_claimant = (Respondent(claimant, BPS),)
    if answer is not None and answer.bond:
        _pay(context, identifier, dispute, "answer", to_claimant if upheld else None)
    if appeal is not None:
        lost = (second == "rejected") if appeal.account == claimant else (second == "upheld")
        winner = winners if appeal.account == claimant else to_claimant
        _pay(context, identifier, dispute, "appeal", winner if lost else None)


def respondents_side(dispute: Dispute) -> tuple[Respondent, ...]:
    """Return who gets the claimant's bond: who put one up against it, else all respondents by their parts."""
    answer = dispute.answer
    return (Respondent(answer.account, BPS),) if answer is not None and answer.bond else dispute.respondents


def portions(amount: int, respondents: tuple[Respondent, ...]) -> list[int]:
    """Divide an amount by parts, in order; what rounding leaves is the first one's."""
    parts = [amount * respondent.bps // BPS for respondent in respondents]
    parts[0] += amount - sum(parts)
    return parts


def _pay(
    context: Context, identifier: bytes, dispute: Dispute, bond: Bond, winners: tuple[Respondent, ...] | None
) -> None:
    """End a bond's escrow: in favor of `winners`, or of who put it up."""
    escrow = bond_escrow(identifier, bond)
    record = accounting.open_escrow(context, escrow)
    recipients = winners or (Respondent(record.payer, BPS),)
    for recipient, amount in zip(recipients, portions(record.amount, recipients), strict=True):
        if amount:
            accounting.move(context, escrow_holder(escrow), recipient.account, amount)
            flows.moved(context, record.payer, recipient.account, amount)
            context.emit(events.BondPaid(identifier, dispute.asset, record.payer, recipient.account, amount))
