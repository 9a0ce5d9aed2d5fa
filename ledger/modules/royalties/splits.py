"""The arithmetic of a payment: pure functions of the stack and the amount. Parts always sum to the amount exactly.

Every division keeps its remainder for the next payment, so that many small payments pay what one large payment would.
"""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.operations import TransferTerms
from ledger.modules.fields import BPS
from ledger.modules.royalties.records import Entry, Stack


class Split(msgspec.Struct, frozen=True):
    """Where the parts of one payment go. fee + royalties + creators + rest == the amount."""

    fee: int
    royalties: tuple[tuple[bytes, int], ...]
    """(ancestor, units) in order of asset id."""
    creators: int
    rest: int
    """What is left for the seller, or for the owners' pool."""
    stack: Stack
    """With the new remainders and what was paid under caps."""


def split_sale(stack: Stack, amount: int, fee_bps: int, *, exempt: bool) -> Split:
    """Split the payment for a grant. `exempt` (inside one organization) asks for no least royalties.

    Raises:
        OperationError: `royalties.uncovered` when the least royalties exceed what is left after the fee.
    """
    fee, fee_remainder = divmod(amount * fee_bps + stack.fee_remainder, BPS)
    net = amount - fee
    royalties, entries = _ancestors(stack, net, exempt=exempt)
    rest = net - sum(units for _, units in royalties)
    if rest < 0:
        raise _uncovered(net - rest, net)
    changed = msgspec.structs.replace(stack, entries=entries, fee_remainder=fee_remainder)
    return Split(fee, royalties, 0, rest, changed)


def split_resale(stack: Stack, price: int, fee_bps: int, terms: TransferTerms, *, exempt: bool) -> Split:
    """Split the price of the asset itself: the resale royalty goes to the creators, through the ancestors; the rest
    is the seller's.

    Raises:
        OperationError: `royalties.uncovered` when the least royalties exceed what is left after the fee.
    """
    fee, fee_remainder = divmod(price * fee_bps + stack.fee_remainder, BPS)
    net = price - fee
    royalty, resale_remainder = divmod(net * terms.resale_royalty_bps + stack.resale_remainder, BPS)
    if not exempt:
        royalty = max(royalty, terms.least_royalty)
    royalties, entries = _ancestors(stack, royalty, exempt=exempt)
    to_ancestors = sum(units for _, units in royalties)
    royalty = max(royalty, to_ancestors)
    if royalty > net:
        raise _uncovered(royalty, net)
    changed = msgspec.structs.replace(
        stack, entries=entries, fee_remainder=fee_remainder, resale_remainder=resale_remainder
    )
    return Split(fee, royalties, royalty - to_ancestors, net - royalty, changed)


def split_gift(stack: Stack, terms: TransferTerms, *, exempt: bool) -> Split:
    """Return what a giver owes when the asset is given away: the least royalties, without a fee and without a rest."""
    if exempt:
        return Split(0, (), 0, 0, stack)
    royalties, entries = _ancestors(stack, terms.least_royalty, exempt=False)
    to_ancestors = sum(units for _, units in royalties)
    creators = max(terms.least_royalty - to_ancestors, 0)
    return Split(0, royalties, creators, 0, msgspec.structs.replace(stack, entries=entries))


def _ancestors(stack: Stack, net: int, *, exempt: bool) -> tuple[tuple[tuple[bytes, int], ...], tuple[Entry, ...]]:
    royalties: list[tuple[bytes, int]] = []
    entries: list[Entry] = []
    for entry in stack.entries:
        units, remainder = divmod(net * entry.rate_bps + entry.remainder, BPS)
        if not exempt:
            units = max(units, entry.least)
        paid = entry.paid
        if entry.cap is not None:
            units = min(units, entry.cap - entry.paid)
            paid += units
        if units:
            royalties.append((entry.ancestor, units))
        entries.append(msgspec.structs.replace(entry, paid=paid, remainder=remainder))
    return tuple(royalties), tuple(entries)


def _uncovered(needed: int, available: int) -> OperationError:
    return OperationError("royalties.uncovered", f"royalties of {needed} cannot be paid from {available}")
