"""Bounties: credits in escrow for a contribution to an asset. All of it goes to the contributor, or back."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.reads import require_asset, require_version
from ledger.modules.assets.takedowns import require_up
from ledger.modules.contributions import events, fulfilment
from ledger.modules.contributions.operations import AwardBounty, CancelBounty, ClaimBounty, OpenBounty, bounty_id
from ledger.modules.contributions.reads import require_bounty, require_contribution, require_open
from ledger.modules.contributions.records import (
    BOUNTIES,
    BOUNTIES_BY_ASSET,
    BOUNTIES_BY_OPENER,
    EVALUATION_MS,
    Bounty,
    Contribution,
)
from ledger.modules.credits import accounting
from ledger.modules.fields import MARKER
from ledger.modules.lifetimes import require_lifetime
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.modules.reputation import flows

BOUNTY_DUE: Final = "contributions.bounty_due"
"""The deadline at which an unpaid bounty returns; its subject is the bounty's id."""


def open_bounty(context: Context, operation: OpenBounty) -> None:
    """Put the amount into escrow."""
    asset = require_asset(context.view, operation.asset)
    if asset.retired:
        raise OperationError("assets.retired", f"asset {operation.asset.hex()} is retired")
    require_lifetime(context, operation.closes_at_ms, "contributions.expiry_out_of_range", "a bounty closes")
    if operation.description is not None:
        check_cid(operation.description, "contributions.text")
    if operation.condition is not None:
        fulfilment.check_condition(context.view, operation.condition)
    identifier = bounty_id(context.transaction_id, operation)
    if BOUNTIES.get(context.view, identifier) is not None:
        raise OperationError("contributions.bounty_exists", "one transaction opens a bounty once")
    bounty = Bounty(
        asset=operation.asset,
        opener=context.sender,
        amount=operation.amount,
        closes_at_ms=operation.closes_at_ms,
        description=operation.description,
        opened_at_ms=context.block_time_ms,
        condition=operation.condition,
        due_ms=operation.closes_at_ms,
    )
    organization = sender_organization(context)
    quota.create(
        context,
        organization,
        (BOUNTIES, bounty, (identifier,)),
        (BOUNTIES_BY_ASSET, MARKER, (operation.asset, identifier)),
        (BOUNTIES_BY_OPENER, MARKER, (context.sender, identifier)),
    )
    quota.schedule(context, organization, operation.closes_at_ms, BOUNTY_DUE, identifier)
    accounting.hold(context, identifier, context.sender, operation.amount)
    context.emit(
        events.BountyOpened(identifier, operation.asset, context.sender, operation.amount, operation.closes_at_ms)
    )


def award_bounty(context: Context, operation: AwardBounty) -> None:
    """Say beforehand whom it is for, where it is not the opener who accepts."""
    bounty = require_bounty(context.view, operation.bounty)
    _require_opener(context, bounty)
    if bounty.condition is not None:
        raise OperationError("contributions.by_condition", "the bounty's condition decides whom it is paid to")
    if operation.contribution is not None:
        record = require_open(context, operation.contribution)
        if record.bounty != operation.bounty:
            raise OperationError("contributions.wrong_bounty", "the contribution does not name the bounty")
    awarded = msgspec.structs.replace(bounty, awarded=operation.contribution)
    quota.store(context, organization_of(context.view, bounty.opener), BOUNTIES, awarded, operation.bounty)
    context.emit(events.BountyAwarded(operation.bounty, operation.contribution))


def cancel_bounty(context: Context, operation: CancelBounty) -> None:
    """Take a bounty back. Who has worked for it and says so keeps it open until it closes."""
    bounty = require_bounty(context.view, operation.bounty)
    _require_opener(context, bounty)
    if bounty.named or bounty.accepted:
        named = f"{bounty.named} open contributions name it, {bounty.accepted} were accepted for it"
        raise OperationError("contributions.bounty_named", named)
    _return(context, operation.bounty, bounty, "cancelled")


def on_bounty_due(context: Context, subject: bytes) -> None:
    """Deadline: return a bounty that nobody has earned. Where something was accepted for it, evaluators get time."""
    bounty = BOUNTIES.get(context.view, subject)
    assert bounty is not None  # what pays or cancels a bounty cancels its deadline
    if bounty.accepted and bounty.due_ms == bounty.closes_at_ms:
        organization = organization_of(context.view, bounty.opener)
        later = msgspec.structs.replace(bounty, due_ms=bounty.closes_at_ms + EVALUATION_MS)
        quota.swept(context, organization)
        quota.schedule(context, organization, later.due_ms, BOUNTY_DUE, subject, enforced=False)
        quota.store(context, organization, BOUNTIES, later, subject, enforced=False)
        context.emit(events.BountyClosed(subject, bounty.asset, later.due_ms))
        return
    _return(context, subject, bounty, "expired")


def name_bounty(context: Context, identifier: bytes, asset: bytes) -> None:
    """Count one more open contribution to `asset` that names a bounty.

    Raises:
        OperationError: `contributions.unknown_bounty`, `contributions.wrong_bounty`, `contributions.bounty_over`.
    """
    bounty = _require_running(context, identifier)
    if bounty.asset != asset:
        raise OperationError("contributions.wrong_bounty", "the bounty is for another asset")
    named = msgspec.structs.replace(bounty, named=bounty.named + 1)
    quota.store(context, organization_of(context.view, bounty.opener), BOUNTIES, named, identifier, enforced=False)


def on_acceptance(
    context: Context, identifier: bytes, contribution: bytes, record: Contribution, payer: bytes | None
) -> None:
    """Pay a bounty for the contribution that is being accepted, where its opener has awarded it or is `payer`. One with
    a condition waits for what evaluators say.

    Raises:
        OperationError: `contributions.unknown_bounty`, `contributions.bounty_over`, `contributions.not_awarded`.
    """
    bounty = _require_running(context, identifier)
    if bounty.condition is not None:
        waiting = msgspec.structs.replace(bounty, accepted=bounty.accepted + 1)
        organization = organization_of(context.view, bounty.opener)
        quota.store(context, organization, BOUNTIES, waiting, identifier, enforced=False)
        return
    if contribution != bounty.awarded and payer != bounty.opener:
        raise OperationError("contributions.not_awarded", "who opened the bounty has not awarded it to this")
    _pay(context, identifier, bounty, contribution, record)


def claim_bounty(context: Context, operation: ClaimBounty) -> None:
    """Pay a bounty by its condition, whoever asks; of several that fulfil it the first one has it. Nothing is paid for
    what nobody may have: a version that is taken down has been stated to reach the bound all the same."""
    bounty = require_bounty(context.view, operation.bounty)
    record = require_contribution(context.view, operation.contribution)
    if bounty.condition is None:
        raise OperationError("contributions.no_condition", "the bounty is paid with the acceptance only")
    if record.state != "accepted" or record.bounty != operation.bounty:
        raise OperationError("contributions.not_accepted", "the contribution was not accepted for this bounty")
    if context.block_time_ms >= bounty.closes_at_ms + EVALUATION_MS:
        raise OperationError("contributions.bounty_over", "the time for evaluations is over")
    assert record.version is not None  # it is accepted
    require_up(context.view, require_version(context.view, record.asset, record.version))
    stated = fulfilment.confirmations(context.view, bounty, bounty.condition, record, context.block_time_ms)
    if stated < bounty.condition.evaluators:
        needed = bounty.condition.evaluators
        raise OperationError("contributions.condition_unmet", f"{stated} of {needed} organizations state it")
    _pay(context, operation.bounty, bounty, operation.contribution, record)


def _pay(context: Context, identifier: bytes, bounty: Bounty, contribution: bytes, record: Contribution) -> None:
    """Give the whole of it to the contributor: like a transfer between accounts it costs no fee, and it is paid for the
    asset, not by it, so that no ancestor has a part in it."""
    _remove(context, identifier, bounty)
    accounting.release(context, identifier, record.contributor)
    flows.moved(context, bounty.opener, record.contributor, bounty.amount)
    context.emit(events.BountyPaid(identifier, bounty.asset, contribution, record.contributor, bounty.amount))


def _require_running(context: Context, identifier: bytes) -> Bounty:
    bounty = require_bounty(context.view, identifier)
    if context.block_time_ms >= bounty.closes_at_ms:
        raise OperationError("contributions.bounty_over", f"the bounty closed at {bounty.closes_at_ms}")
    return bounty


def _require_opener(context: Context, bounty: Bounty) -> None:
    if bounty.opener != context.sender:
        raise OperationError("contributions.not_the_opener", "only who opened the bounty decides on it")


def _return(context: Context, identifier: bytes, bounty: Bounty, reason: events.BountyEnd) -> None:
    _remove(context, identifier, bounty, swept=reason == "expired")
    escrow = accounting.refund(context, identifier)
    context.emit(events.BountyEnded(identifier, bounty.asset, bounty.opener, escrow.amount, reason))


def _remove(context: Context, identifier: bytes, bounty: Bounty, *, swept: bool = False) -> None:
    organization = organization_of(context.view, bounty.opener)
    if swept:
        quota.swept(context, organization)
    else:
        quota.cancel(context, organization, bounty.due_ms, BOUNTY_DUE, identifier)
    quota.remove(context, organization, BOUNTIES, identifier)
    quota.remove(context, organization, BOUNTIES_BY_ASSET, bounty.asset, identifier)
    quota.remove(context, organization, BOUNTIES_BY_OPENER, bounty.opener, identifier)
