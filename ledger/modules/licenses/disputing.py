"""What a dispute about the price of a grant does to it, in escrow or paid out. Ending a dispute cannot fail."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.credits.records import ESCROWS
from ledger.modules.licenses import events
from ledger.modules.licenses.grants import require_grant
from ledger.modules.licenses.records import GRANTS, Grant
from ledger.modules.licenses.settlement import Outcome, end, hold_for_dispute, release_from_dispute
from ledger.modules.module import Context
from ledger.modules.organizations import quota


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


def refundable(grant: Grant) -> int:
    """Return what a dispute can win back: the price of one term, that in escrow or the last that was paid, less what a
    revocation has returned."""
    return max(grant.price - grant.refunded, 0)


def hold_grant(context: Context, grant_id: bytes) -> None:
    """Let a grant that `require_disputable` has let through be neither used nor handed over, until `release_grant`; a
    payment in escrow has no deadline meanwhile."""
    grant = require_grant(context.view, grant_id)
    if grant.due_ms is not None:
        hold_for_dispute(context, grant_id)
        return
    held = msgspec.structs.replace(grant, disputed=True)
    quota.store(context, grant.organization, GRANTS, held, grant_id, enforced=False)
    context.emit(events.HeldForDispute(grant_id, grant.asset))


def release_grant(context: Context, grant_id: bytes, outcome: Outcome) -> int:
    """End the dispute about a grant, and return the units that went back to the licensee from escrow.

    `refund` ends the grant, or the renewal whose price is in escrow; what of a price was paid out is the caller's to
    see to. `settle` lets the grant go on: with a price in escrow after all checks of a purchase, else as it was.
    """
    if ESCROWS.get(context.view, grant_id) is not None:
        return release_from_dispute(context, grant_id, outcome)
    grant = msgspec.structs.replace(require_grant(context.view, grant_id), disputed=False)
    if outcome == "refund":
        end(context, grant_id, grant, 0, "dispute")
    else:
        quota.store(context, grant.organization, GRANTS, grant, grant_id, enforced=False)
    return 0
