"""What a grant's payment brought the owners of its asset."""

from __future__ import annotations

from ledger.modules.fields import AMOUNT_MAX, BPS
from ledger.modules.module import Context
from ledger.modules.royalties.payments import stack_of


def brought(context: Context, asset: bytes, price: int) -> int:
    """Return the units of a price that reach the owners for sure: without the fee and without what ancestors get, each
    rounded up. The evidence is theirs, and what others got has other ways to return.

    The same credits may pay for a grant again and again: together that is counted up to what there can be at once."""
    fee = -(-price * context.parameters.fee_bps // BPS)
    rest = price - fee
    royalties = sum(-(-rest * entry.rate_bps // BPS) for entry in stack_of(context.view, asset).entries)
    return min(max(0, rest - royalties), AMOUNT_MAX)
