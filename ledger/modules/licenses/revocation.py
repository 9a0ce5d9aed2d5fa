"""Revoking a grant for a cause that its terms name."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.reads import require_asset
from ledger.modules.credits import accounting
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses import events, usage
from ledger.modules.licenses.grants import require_grant, require_terms, state_at
from ledger.modules.licenses.operations import Revoke, Terms
from ledger.modules.licenses.paid import on_returned
from ledger.modules.licenses.records import GRANTS, Grant, Revocation
from ledger.modules.licenses.settlement import pro_rata
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.reputation import flows


def revoke(context: Context, operation: Revoke) -> None:
    """Revoke a grant from now plus the notice on. The refund is paid here or the grant stays; royalties that were paid
    stay paid. The edition is not sold again."""
    grant = require_grant(context.view, operation.grant)
    if require_asset(context.view, grant.asset).manager != context.sender:
        raise OperationError("licenses.not_manager", "only the asset's manager revokes")
    terms = require_terms(context.view, grant.terms)
    if operation.cause not in terms.revocation_causes:
        raise OperationError(
            "licenses.cause_not_agreed", f"{operation.cause} is not among the causes {list(terms.revocation_causes)}"
        )
    if operation.evidence is not None:
        check_cid(operation.evidence, "licenses.invalid_evidence")
    effect_ms = context.block_time_ms + terms.notice_ms
    _check_revocable(context, grant, effect_ms)
    refund = _refund(grant, terms, effect_ms)
    accounting.move(context, context.sender, grant.licensee, refund)
    flows.moved(context, context.sender, grant.licensee, refund)
    revocation = Revocation(operation.cause, operation.evidence, context.sender, context.block_time_ms, effect_ms)
    revoked = msgspec.structs.replace(grant, revocation=revocation, refunded=refund)
    revoked = usage.scheduled(context, operation.grant, revoked)
    quota.store(context, grant.organization, GRANTS, revoked, operation.grant)
    on_returned(context, operation.grant)
    context.emit(events.Revoked(operation.grant, grant.asset, grant.licensee, operation.cause, effect_ms, refund))


def _check_revocable(context: Context, grant: Grant, effect_ms: int) -> None:
    if grant.revocation is not None:
        raise OperationError("licenses.already_revoked", f"the grant is revoked from {grant.revocation.effect_ms} on")
    state = state_at(grant, context.block_time_ms)
    if state not in ("scheduled", "active"):
        # Escrowed: it ends by itself or becomes active first. Disputed: the dispute decides.
        raise OperationError("licenses.not_revocable", f"the grant is {state}")
    if grant.end_ms is not None and effect_ms >= grant.end_ms:
        raise OperationError("licenses.not_revocable", f"the grant ends at {grant.end_ms}, before the notice is over")


def _refund(grant: Grant, terms: Terms, effect_ms: int) -> int:
    if terms.refund_mode == "none" or grant.end_ms is None:
        return 0
    refund = pro_rata(grant.price, terms, max(effect_ms, grant.start_ms), grant.end_ms)
    if refund > AMOUNT_MAX:
        raise OperationError("credits.insufficient", f"the refund of {refund} is more than there is")
    return refund
