"""What a grant has cost for good: what reviews of it weigh by."""

from __future__ import annotations

from ledger.modules.licenses.grants import paid, require_grant, require_terms
from ledger.modules.module import Context
from ledger.modules.reputation import evidence
from ledger.modules.reputation.payments import brought
from ledger.state.view import Readable


def paid_units(view: Readable, grant_id: bytes) -> int:
    """Return what was paid out for a grant and has not come back: for its terms and its use."""
    grant = require_grant(view, grant_id)
    return paid(grant, require_terms(view, grant.terms))


def on_returned(context: Context, grant_id: bytes) -> None:
    """Some of what was paid for a grant went back: a review of it weighs by the rest from here on. Cannot fail."""
    grant = require_grant(context.view, grant_id)
    evidence.paid_back(context, grant_id, brought(context, grant.asset, paid_units(context.view, grant_id)))
