"""How long what waits for an answer may wait: offers, listings, auctions, transfers, consents."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.module import Context


def require_lifetime(context: Context, ends_at_ms: int, code: str, what: str) -> None:
    """Refuse an end (Unix ms of block time) that is not ahead, or farther than the chain's parameters allow; `what` is
    the message's beginning, as "an offer expires".

    Raises:
        OperationError: `code`.
    """
    latest_ms = context.block_time_ms + context.parameters.offer_lifetime_ms_max
    if not context.block_time_ms < ends_at_ms <= latest_ms:
        raise OperationError(code, f"{what} after {context.block_time_ms} and by {latest_ms}")
