"""Metered use: counting it, and paying for it from what the licensee deposited.

Trainings are counted by the chain when a version is registered under the grant. Calls, kilotokens and key releases are
seen by the provider alone, who submits the licensee's vouchers for them.

A deposit always holds (quota - used) * usage price, to the unit. It belongs to the grant: what use has not taken
returns to who is the licensee `LAST_REPORTS_MS` after the grant's end, and until then the provider can report.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset
from ledger.modules.credits import accounting
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses import events
from ledger.modules.licenses.grants import ends_ms, require_grant, require_terms
from ledger.modules.licenses.operations import ReportUsage, Terms
from ledger.modules.licenses.records import GRANTS, Grant
from ledger.modules.licenses.terms import VOUCHER_UNITS
from ledger.modules.licenses.vouchers import Voucher, voucher_verifies
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import key_role
from ledger.modules.royalties import payments
from primitives.digest import Digest, tagged_hash

USAGE_DUE: Final = "licenses.usage_due"
LAST_REPORTS_MS: Final = 7 * 86_400_000
"""How long after a grant's end its use may be reported, and its deposit waits."""
VOUCHER_ROLES: Final = frozenset({"owner", "operator"})
"""Keys of the licensee that sign vouchers. An operator key can spend the deposit in this way, and no more."""


def deposit_id(grant_id: bytes) -> Digest:
    """Return the id of the escrow that holds a grant's deposit for use."""
    return tagged_hash("usage-deposit", grant_id)


def report_usage(context: Context, operation: ReportUsage) -> None:
    """Count what a voucher says beyond what is known, and pay for it."""
    grant = require_grant(context.view, operation.grant)
    if require_asset(context.view, grant.asset).manager != context.sender:
        raise OperationError("licenses.not_manager", "only the asset's manager reports use")
    terms = require_terms(context.view, grant.terms)
    if terms.quota_unit not in VOUCHER_UNITS:
        raise OperationError("licenses.not_metered", "the use of this grant is not counted by vouchers")
    if operation.count <= grant.used:
        return
    _check_open(context, grant)
    assert grant.quota is not None
    if operation.count > grant.quota:
        raise OperationError("licenses.above_quota", f"{operation.count} of at most {grant.quota} {terms.quota_unit}")
    if key_role(context.view, grant.licensee, operation.key) not in VOUCHER_ROLES:
        raise OperationError("licenses.voucher_key", "not an owner or operator key of the licensee")
    voucher = Voucher(context.network_id, operation.grant, operation.count)
    if not voucher_verifies(voucher, operation.key, operation.signature):
        raise OperationError("licenses.voucher_signature", "the signature is not that of the key over this voucher")
    _count(context, operation.grant, grant, terms, operation.count)


def use_training(context: Context, grant_id: bytes) -> None:
    """Count one training of an active grant against a quota of trainings."""
    grant = require_grant(context.view, grant_id)
    terms = require_terms(context.view, grant.terms)
    if terms.quota_unit == "trainings":
        _count(context, grant_id, grant, terms, grant.used + 1)


def deposit(context: Context, grant_id: bytes, terms: Terms) -> None:
    """Put the price of one term's whole quota aside, from the sender.

    Raises:
        OperationError: `credits.insufficient`.
    """
    if terms.usage_price:
        assert terms.quota is not None
        accounting.add(context, deposit_id(grant_id), context.sender, terms.quota * terms.usage_price)


def scheduled(context: Context, grant_id: bytes, grant: Grant) -> Grant:
    """Return an active grant with the deadline of its deposit, if it has one, where its end puts it. The caller stores
    the grant."""
    grant = unscheduled(context, grant_id, grant)
    end_ms = ends_ms(grant)
    if not accounting.held(context.view, deposit_id(grant_id)):
        return grant
    assert end_ms is not None  # a usage price needs a term
    due_ms = end_ms + LAST_REPORTS_MS
    quota.schedule(context, grant.organization, due_ms, USAGE_DUE, grant_id)
    return msgspec.structs.replace(grant, usage_due_ms=due_ms)


def unscheduled(context: Context, grant_id: bytes, grant: Grant) -> Grant:
    """Return a grant without the deadline of its deposit. The caller stores it."""
    if grant.usage_due_ms is None:
        return grant
    quota.cancel(context, grant.organization, grant.usage_due_ms, USAGE_DUE, grant_id)
    return msgspec.structs.replace(grant, usage_due_ms=None)


def on_usage_due(context: Context, subject: bytes) -> None:
    """Deadline: return what is left of a deposit."""
    grant = require_grant(context.view, subject)
    quota.swept(context, grant.organization)
    returned = give_back(context, subject, msgspec.structs.replace(grant, usage_due_ms=None))
    quota.store(context, grant.organization, GRANTS, returned, subject, enforced=False)


def give_back(context: Context, grant_id: bytes, grant: Grant, keep: int = 0) -> Grant:
    """Return what is left of a deposit but for `keep` units of it to the licensee; return the grant with the quota that
    remains paid for. Its deadline must be gone; the caller stores it."""
    left = accounting.held(context.view, deposit_id(grant_id))
    if left <= keep:
        return grant
    terms = require_terms(context.view, grant.terms)
    source = accounting.draw(context, deposit_id(grant_id), left - keep)
    accounting.move(context, source, grant.licensee, left - keep)
    context.emit(events.DepositReturned(grant_id, grant.asset, grant.licensee, left - keep))
    return msgspec.structs.replace(grant, quota=grant.used + keep // terms.usage_price)


def _check_open(context: Context, grant: Grant) -> None:
    if grant.state != "active" or context.block_time_ms < grant.start_ms:
        raise OperationError("licenses.not_active", "the grant has given no right to use yet, or was refunded")
    end_ms = ends_ms(grant)
    if end_ms is not None and context.block_time_ms >= end_ms + LAST_REPORTS_MS:
        raise OperationError("licenses.reports_closed", f"use could be reported until {end_ms + LAST_REPORTS_MS}")


def _count(context: Context, grant_id: bytes, grant: Grant, terms: Terms, used: int) -> None:
    amount = (used - grant.used) * terms.usage_price
    assert 0 <= amount <= AMOUNT_MAX
    counted = msgspec.structs.replace(grant, used=used)
    if amount:
        source = accounting.draw(context, deposit_id(grant_id), amount)
        organization = require_asset(context.view, grant.asset).organization
        # Least royalties are due for the grant, not for each report.
        payments.pay(
            context, grant.asset, organization, source, amount, payer=grant.licensee, exempt=True, reason="usage"
        )
        if used == grant.quota:
            counted = unscheduled(context, grant_id, counted)
    quota.store(context, grant.organization, GRANTS, counted, grant_id, enforced=False)
    context.emit(events.UsageReported(grant_id, grant.asset, used, amount))
