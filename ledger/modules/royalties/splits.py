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
    """Resale royalty: the creators', or of a grant's resale the owners'."""
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
    _check_covered(_needed(stack, net, exempt=exempt), net)
    royalties, entries = _ancestors(stack, net, net, exempt=exempt)
    rest = net - sum(units for _, units in royalties)
    changed = msgspec.structs.replace(stack, entries=entries, fee_remainder=fee_remainder)
    return Split(fee, royalties, 0, rest, changed)


def split_resale(
    stack: Stack, price: int, fee_bps: int, terms: TransferTerms, *, exempt: bool, of_grant: bool = False
) -> Split:
    """Split the price of the asset itself: the resale royalty goes to the creators, through the ancestors; the rest
    is the seller's. `of_grant` splits the price of a grant that its licensee sells: there the royalty is the owners'.

    Raises:
        OperationError: `royalties.uncovered` when the least royalties exceed what is left after the fee.
    """
    fee, fee_remainder = divmod(price * fee_bps + stack.fee_remainder, BPS)
    net = price - fee
    remainder = "grant_resale_remainder" if of_grant else "resale_remainder"
    royalty, left = divmod(net * terms.resale_royalty_bps + getattr(stack, remainder), BPS)
    if not exempt:
        royalty = max(royalty, terms.least_royalty)
    whole = max(royalty, _needed(stack, royalty, exempt=exempt))
    _check_covered(whole, net)
    royalties, entries = _ancestors(stack, royalty, whole, exempt=exempt)
    creators = whole - sum(units for _, units in royalties)
    changed = msgspec.structs.replace(stack, entries=entries, fee_remainder=fee_remainder, **{remainder: left})
    return Split(fee, royalties, creators, net - whole, changed)


def split_share_sale(stack: Stack, price: int, fee_bps: int, terms: TransferTerms, *, exempt: bool) -> Split:
    """Split the price of a share: the ancestors get their part of all of it, as of a grant's, because shares could
    otherwise be sold in place of grants; the creators get the resale royalty, and the seller the rest.

    Raises:
        OperationError: `royalties.uncovered` when the least royalties exceed what is left after the fee.
    """
    fee, fee_remainder = divmod(price * fee_bps + stack.fee_remainder, BPS)
    net = price - fee
    creators, left = divmod(net * terms.resale_royalty_bps + stack.share_resale_remainder, BPS)
    raised = not exempt and creators < terms.least_royalty
    creators = terms.least_royalty if raised else creators
    _check_covered(creators + _needed(stack, net, exempt=exempt, raised=raised), net)
    royalties, entries = _ancestors(stack, net, net - creators, exempt=exempt)
    rest = net - creators - sum(units for _, units in royalties)
    changed = msgspec.structs.replace(stack, entries=entries, fee_remainder=fee_remainder, share_resale_remainder=left)
    return Split(fee, royalties, creators, rest, changed)


def split_gift(stack: Stack, terms: TransferTerms, *, exempt: bool) -> Split:
    """Return what a giver owes for a gift under `terms`: the least royalties, without a fee and without a rest."""
    if exempt:
        return Split(0, (), 0, 0, stack)
    royalty = terms.least_royalty
    whole = max(royalty, _needed(stack, royalty, exempt=False))
    royalties, entries = _ancestors(stack, royalty, whole, exempt=False)
    creators = whole - sum(units for _, units in royalties)
    return Split(0, royalties, creators, 0, msgspec.structs.replace(stack, entries=entries))


def _ancestors(
    stack: Stack, net: int, available: int, *, exempt: bool
) -> tuple[tuple[tuple[bytes, int], ...], tuple[Entry, ...]]:
    """Give every ancestor its part of `net`, in order of asset id, as far as `available` goes.

    It always goes far enough, but for one case: remainders of many entries can come due at once and together exceed a
    payment of a few units. What does not fit stays in the remainder, which only then passes 9,999. Rates sum to at most
    half, so that every further payment works it off (`Carried`).
    """
    left = available
    royalties: list[tuple[bytes, int]] = []
    entries: list[Entry] = []
    for entry in stack.entries:
        total = net * entry.rate_bps + entry.remainder
        wanted = _wanted(entry, net, exempt=exempt)
        units = min(wanted, left)
        left -= units
        if units:
            royalties.append((entry.ancestor, units))
        paid = entry.paid if entry.cap is None else entry.paid + units
        remainder = (wanted - units) * BPS + total % BPS
        entries.append(msgspec.structs.replace(entry, paid=paid, remainder=remainder))
    return tuple(royalties), tuple(entries)


def _wanted(entry: Entry, net: int, *, exempt: bool) -> int:
    units = (net * entry.rate_bps + entry.remainder) // BPS
    if not exempt:
        units = max(units, entry.least)
    return units if entry.cap is None else min(units, entry.cap - entry.paid)


def _needed(stack: Stack, net: int, *, exempt: bool, raised: bool = False) -> int:
    """Return what a payment must cover: the ancestors' parts where least royalties raise them, or the part of the
    creators that is taken before (`raised`); else nothing, because rates alone always fit or wait."""
    if exempt or not (raised or any(entry.least for entry in stack.entries)):
        return 0
    return sum(_wanted(entry, net, exempt=False) for entry in stack.entries)


def _check_covered(needed: int, available: int) -> None:
    if needed > available:
        raise OperationError("royalties.uncovered", f"royalties of {needed} cannot be paid from {available}")
