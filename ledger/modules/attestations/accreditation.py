"""Accreditation: decided by the consortium, active once the bond is up, ended by time, by the attestor or by a vote.

However it ends, the bond stays up for as long as a dispute may take, and then as long as one is open about a statement
of the attestor: nobody takes it back before those whom a statement harms can claim it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.attestations import events
from ledger.modules.attestations.operations import PostBond, Resign
from ledger.modules.attestations.records import ACCREDITATIONS, Accreditation, AttestorRole, Ending, bond_escrow
from ledger.modules.credits import accounting
from ledger.modules.credits.records import ESCROWS
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import membership, require_party, sender_organization
from ledger.modules.reputation import flows
from ledger.parameters import DAY_MS, Parameters

ACCREDITATION_MS_MAX: Final = 5 * 366 * DAY_MS
"""The longest accreditation; it can be renewed by another vote before it ends."""
EXPIRY: Final = "attestations.expiry"
"""The deadline at which an accreditation ends; its subject is the account."""
BOND_DUE: Final = "attestations.bond_due"
"""The deadline from which the bond of an accreditation that has ended may return; its subject is the account."""


class Terms(msgspec.Struct, frozen=True):
    """What the consortium decides about an account."""

    account: bytes
    roles: tuple[AttestorRole, ...]
    tier: int
    bond: int
    until_ms: int


def longest_dispute_ms(parameters: Parameters) -> int:
    """Return how long a dispute may take from its filing: answer, vote, appeal, and the vote on it."""
    return parameters.dispute_answer_ms + 2 * parameters.dispute_voting_ms + parameters.dispute_appeal_ms


# --- what the consortium decides


def require_can_accredit(context: Context, terms: Terms) -> None:
    """Check that an account could be accredited as things stand, or accredited anew.

    Raises:
        OperationError: `attestations.invalid_account`, `attestations.roles`, `attestations.bond_out_of_bounds`,
            `attestations.until` or `attestations.already_suspended`.
    """
    account = require_party(context.view, terms.account, "attestations.invalid_account")
    if membership(context.view, account.organization) == "removed":
        raise OperationError("attestations.invalid_account", f"{account.organization} has left the consortium")
    if len(set(terms.roles)) != len(terms.roles):
        raise OperationError("attestations.roles", "a role is named twice")
    low, high = context.parameters.attestation_bond_min, context.parameters.attestation_bond_max
    if not low <= terms.bond <= high:
        raise OperationError("attestations.bond_out_of_bounds", f"the bond is {low} to {high}")
    latest_ms = context.block_time_ms + ACCREDITATION_MS_MAX
    if not context.block_time_ms < terms.until_ms <= latest_ms:
        raise OperationError("attestations.until", f"an accreditation ends after now and by {latest_ms}")
    known = ACCREDITATIONS.get(context.view, terms.account)
    if known is not None and known.ended is None and known.suspended:
        raise OperationError("attestations.already_suspended", "the account is suspended: reinstate it or end it first")


def accredit(context: Context, terms: Terms, proposal: bytes) -> None:
    """Accredit an account that `require_can_accredit` has passed. What is up of an earlier bond stays up, and counts
    for this one."""
    account = require_party(context.view, terms.account, "attestations.invalid_account")
    known = ACCREDITATIONS.get(context.view, terms.account)
    if known is not None:
        _cancel(context, terms.account, known)
    record = Accreditation(
        organization=account.organization,
        roles=terms.roles,
        tier=terms.tier,
        bond=terms.bond,
        until_ms=terms.until_ms,
        proposal=proposal,
        since_ms=context.block_time_ms,
        posted=0 if known is None else known.posted,
        disputes=0 if known is None else known.disputes,
    )
    quota.schedule(context, record.organization, record.until_ms, EXPIRY, terms.account, enforced=False)
    _store(context, terms.account, record)
    context.emit(
        events.Accredited(terms.account, record.organization, record.roles, record.tier, record.bond, record.until_ms)
    )


def require_can_suspend(context: Context, account: bytes) -> None:
    """Raises `attestations.not_accredited` or `attestations.already_suspended`."""
    if require_accreditation(context, account).suspended:
        raise OperationError("attestations.already_suspended", "the accreditation is suspended")


def suspend(context: Context, account: bytes) -> None:
    """Let an account state nothing new, and its statements not count, until `reinstate`. Raises as
    `require_can_suspend`."""
    require_can_suspend(context, account)
    record = require_accreditation(context, account)
    _store(context, account, msgspec.structs.replace(record, suspended=True))
    context.emit(events.Suspended(account))


def require_can_reinstate(context: Context, account: bytes) -> None:
    """Raises `attestations.not_accredited` or `attestations.not_suspended`."""
    if not require_accreditation(context, account).suspended:
        raise OperationError("attestations.not_suspended", "the accreditation is not suspended")


def reinstate(context: Context, account: bytes) -> None:
    """End a suspension. Raises as `require_can_reinstate`."""
    require_can_reinstate(context, account)
    record = require_accreditation(context, account)
    _store(context, account, msgspec.structs.replace(record, suspended=False))
    context.emit(events.Reinstated(account))


def end_by_vote(context: Context, account: bytes) -> None:
    """End an accreditation for good. Raises `attestations.not_accredited`."""
    _end(context, account, require_accreditation(context, account), "ended")


# --- what the attestor does


def post_bond(context: Context, operation: PostBond) -> None:
    """Put up what is missing."""
    record = require_accreditation(context, operation.account)
    if sender_organization(context) != record.organization:
        raise OperationError("attestations.another_organization", f"the account is one of {record.organization}")
    missing = record.bond - record.posted
    if missing <= 0:
        raise OperationError("attestations.bond_is_up", f"all of the {record.bond} units are up")
    escrow = ESCROWS.get(context.view, bond_escrow(operation.account))
    if escrow is not None and escrow.payer != context.sender:
        raise OperationError("attestations.another_payer", "what is missing comes from who has paid what is up")
    accounting.add(context, bond_escrow(operation.account), context.sender, missing)
    _store(context, operation.account, msgspec.structs.replace(record, posted=record.bond))
    context.emit(events.BondPosted(operation.account, context.sender, missing))


def resign(context: Context, _operation: Resign) -> None:
    """Give the sender's accreditation up."""
    _end(context, context.sender, require_accreditation(context, context.sender), "resigned")


# --- what time does


def on_expiry(context: Context, subject: bytes) -> None:
    """Deadline: the accreditation is over."""
    record = ACCREDITATIONS.get(context.view, subject)
    assert record is not None  # accreditations are kept
    quota.swept(context, record.organization)
    _conclude(context, subject, record, "expired")


def on_bond_due(context: Context, subject: bytes) -> None:
    """Deadline: the bond returns, now or when the last dispute ends."""
    record = ACCREDITATIONS.get(context.view, subject)
    assert record is not None
    quota.swept(context, record.organization)
    _settle(context, subject, msgspec.structs.replace(record, bond_until_ms=None))


# --- what disputes do; nothing here fails


def posted(context: Context, account: bytes) -> int:
    """Return the units that are up for what an attestor has stated."""
    record = ACCREDITATIONS.get(context.view, account)
    assert record is not None
    return record.posted


def dispute_opened(context: Context, account: bytes) -> None:
    """Keep an attestor's bond up while a dispute about a statement of its is open."""
    record = ACCREDITATIONS.get(context.view, account)
    assert record is not None
    _store(context, account, msgspec.structs.replace(record, disputes=record.disputes + 1))


def dispute_closed(context: Context, account: bytes) -> None:
    """End what `dispute_opened` began."""
    record = ACCREDITATIONS.get(context.view, account)
    assert record is not None
    _settle(context, account, msgspec.structs.replace(record, disputes=record.disputes - 1))


def forfeit(context: Context, account: bytes, dispute: bytes, recipient: bytes, amount: int) -> int:
    """Pay `recipient` out of an attestor's bond, at most what is up; return what it was."""
    record = ACCREDITATIONS.get(context.view, account)
    assert record is not None
    taken = min(amount, record.posted)
    if taken:
        holder = accounting.draw(context, bond_escrow(account), taken)
        accounting.move(context, holder, recipient, taken)
        flows.moved(context, account, recipient, taken)
        _store(context, account, msgspec.structs.replace(record, posted=record.posted - taken))
        context.emit(events.BondLost(account, dispute, recipient, taken))
    return taken


# --- the rest


def require_accreditation(context: Context, account: bytes) -> Accreditation:
    """Return the accreditation of an account that has one which has not ended. Raises `attestations.not_accredited`."""
    record = ACCREDITATIONS.get(context.view, account)
    if record is None or record.ended is not None:
        raise OperationError("attestations.not_accredited", "the account has no accreditation, or it has ended")
    return record


def is_active(record: Accreditation, at_ms: int) -> bool:
    """Tell whether an accreditation holds at a block time: not ended, not suspended, its bond up."""
    return record.ended is None and not record.suspended and at_ms < record.until_ms and record.posted >= record.bond


def require_active(context: Context, role: AttestorRole) -> Accreditation:
    """Return the sender's accreditation, where it lets the sender state something now.

    Raises:
        OperationError: `attestations.not_accredited`, `attestations.role`, `attestations.accreditation_suspended` or
            `attestations.bond_missing`.
    """
    record = require_accreditation(context, context.sender)
    if context.block_time_ms >= record.until_ms:
        # Its deadline waits for a block that has room for it.
        raise OperationError("attestations.not_accredited", "the accreditation has ended")
    if role not in record.roles:
        raise OperationError("attestations.role", f"the account is not accredited to {role}")
    if record.suspended:
        raise OperationError("attestations.accreditation_suspended", "the accreditation is suspended")
    if record.posted < record.bond:
        raise OperationError("attestations.bond_missing", f"{record.posted} of the {record.bond} units are up")
    return record


def _end(context: Context, account: bytes, record: Accreditation, ending: Ending) -> None:
    quota.cancel(context, record.organization, record.until_ms, EXPIRY, account)
    _conclude(context, account, record, ending)


def _conclude(context: Context, account: bytes, record: Accreditation, ending: Ending) -> None:
    """End an accreditation whose deadline is gone already."""
    bond_until_ms = None
    if record.posted:
        bond_until_ms = context.block_time_ms + longest_dispute_ms(context.parameters)
        quota.schedule(context, record.organization, bond_until_ms, BOND_DUE, account, enforced=False)
    _store(
        context,
        account,
        msgspec.structs.replace(record, ended=ending, suspended=False, bond_until_ms=bond_until_ms),
    )
    context.emit(events.Ended(account, ending, bond_until_ms))


def _settle(context: Context, account: bytes, record: Accreditation) -> None:
    """Return the bond where nothing holds it any more, and store the record."""
    free = record.ended is not None and record.bond_until_ms is None and record.disputes == 0
    if free and record.posted:
        escrow = accounting.refund(context, bond_escrow(account))
        record = msgspec.structs.replace(record, posted=0)
        context.emit(events.BondReturned(account, escrow.payer, escrow.amount))
    _store(context, account, record)


def _cancel(context: Context, account: bytes, record: Accreditation) -> None:
    """Drop whatever deadline an accreditation has that another one takes the place of."""
    if record.ended is None:
        quota.cancel(context, record.organization, record.until_ms, EXPIRY, account)
    elif record.bond_until_ms is not None:
        quota.cancel(context, record.organization, record.bond_until_ms, BOND_DUE, account)


def _store(context: Context, account: bytes, record: Accreditation) -> None:
    quota.store(context, record.organization, ACCREDITATIONS, record, account, enforced=False)
