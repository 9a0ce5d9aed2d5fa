"""What a dispute about a grant does to it: the price waits, and at the end it returns or the grant goes on.

Ending a dispute cannot fail.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ledger.errors import OperationError
from ledger.modules.credits.records import ESCROWS
from ledger.modules.licenses.grants import is_live, require_grant, require_terms
from ledger.modules.licenses.records import GRANTS, Grant
from ledger.modules.licenses.settlement import ESCROW_DUE, end, refund, settle
from ledger.modules.licenses.standing import require_holdable
from ledger.modules.module import Context
from ledger.modules.organizations import quota

Outcome = Literal["refund", "keep"]


def require_disputable(grant: Grant, window_ms: int) -> None:
    """Refuse a dispute about the price of a grant that is not in force, or whose terms rule a refund out.

    Raises:
        OperationError: `licenses.not_disputable`.
    """
    if grant.state == "escrowed":
        raise OperationError(
            "licenses.not_disputable", "the version is not available yet: the price returns by itself if that remains"
        )
    if grant.state == "refunded":
        raise OperationError("licenses.not_disputable", "the price has been returned")
    if grant.disputed:
        raise OperationError("licenses.not_disputable", "the grant is in a dispute already")
    if window_ms == 0:
        raise OperationError("licenses.not_disputable", "the terms have no dispute window: there is no refund")


def hold_for_dispute(context: Context, grant_id: bytes) -> None:
    """Stop the deadline of a grant that `require_disputable` has let through: what is in escrow stays there, and the
    grant can neither be used nor handed over, until `release_from_dispute`."""
    grant = require_grant(context.view, grant_id)
    if grant.due_ms is not None:
        quota.cancel(context, grant.organization, grant.due_ms, ESCROW_DUE, grant_id)
    held = msgspec.structs.replace(grant, disputed=True, due_ms=None)
    quota.store(context, grant.organization, GRANTS, held, grant_id, enforced=False)


def release_from_dispute(context: Context, grant_id: bytes, outcome: Outcome) -> int:
    """End the dispute about a grant, and return the units that went back to the licensee.

    `refund` ends the grant; what of its price is not in escrow is the caller's to see to. `keep` lets the grant go on,
    after all checks of a purchase: where one fails a price in escrow returns, and a grant that was paid out goes on.
    """
    grant = msgspec.structs.replace(require_grant(context.view, grant_id), disputed=False)
    escrow = ESCROWS.get(context.view, grant_id)
    if outcome == "refund":
        if escrow is None:
            end(context, grant_id, grant, 0, "dispute_upheld")
            return 0
        refund(context, grant_id, grant, "dispute_upheld")
        return escrow.amount
    if escrow is None:
        quota.store(context, grant.organization, GRANTS, grant, grant_id, enforced=False)
    elif is_live(grant, context.block_time_ms) and not _holdable(context, grant_id, grant):
        refund(context, grant_id, grant, "dispute_over")
        return escrow.amount
    else:
        settle(context, grant_id, grant)
    return 0


def _holdable(context: Context, grant_id: bytes, grant: Grant) -> bool:
    try:
        require_holdable(context, grant_id, grant, require_terms(context.view, grant.terms), grant.licensee)
    except OperationError:
        return False
    return True
