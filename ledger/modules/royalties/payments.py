"""Paying for a grant, for what a holder sells, and with a gift: split the amount, and move every part to its place."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.operations import TransferTerms
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.credits.accounting import move
from ledger.modules.credits.records import TREASURY
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.reputation import flows
from ledger.modules.royalties import pools
from ledger.modules.royalties.events import Paid, Reason, RoyaltyPaid
from ledger.modules.royalties.records import STACKS, Stack, creators_pool
from ledger.modules.royalties.splits import Split, split_gift, split_resale, split_sale, split_share_sale
from ledger.state.view import Readable


def stack_of(view: Readable, asset: bytes) -> Stack:
    """Return whom an asset pays; an asset without ancestors and payments has no record."""
    return STACKS.get(view, asset) or Stack()


def pay(
    context: Context,
    asset: bytes,
    organization: str,
    source: bytes,
    amount: int,
    *,
    payer: bytes,
    exempt: bool,
    reason: Literal["grant", "usage"] = "grant",
) -> Split:
    """Pay `amount` for a grant on `asset`, or for its use, from the holder `source`: fee, ancestors, and the rest to
    the owners' pool.

    `payer` is the account whose credits they are; `organization` keeps the asset's records on its quota; `exempt` says
    that no least royalties are due: payer and owner are of one organization, or it is not the grant that is paid.

    Raises:
        OperationError: `royalties.uncovered`, `credits.insufficient`.
    """
    stack = stack_of(context.view, asset)
    split = split_sale(stack, amount, context.parameters.fee_bps, exempt=exempt)
    _move_parts(context, asset, organization, _Purse(source, payer), stack, split)
    _pay_owners(context, organization, asset, _Purse(source, payer), split.rest)
    context.emit(Paid(asset, reason, amount, split.fee, split.creators, split.rest))
    return split


def covers(view: Readable, asset: bytes, amount: int, fee_bps: int, *, exempt: bool) -> bool:
    """Tell whether `pay` would accept the amount now."""
    try:
        split_sale(stack_of(view, asset), amount, fee_bps, exempt=exempt)
    except OperationError:
        return False
    return True


Kind = Literal["asset", "share", "grant"]
_RESALES: Final[dict[Kind, Reason]] = {"asset": "asset_resale", "share": "share_resale", "grant": "grant_resale"}
_GIFTS: Final[dict[Kind, Reason]] = {"asset": "asset_gift", "share": "share_gift", "grant": "grant_gift"}


class Resale(msgspec.Struct, frozen=True):
    """A sale of an asset, a share or a grant by its holder."""

    kind: Kind
    asset_id: bytes
    organization: str
    """Keeps the asset's records on its quota."""
    terms: TransferTerms
    payer: bytes
    """The holder that the price comes from."""
    buyer: bytes
    """The account whose credits they are."""
    seller: bytes | None
    """None pays all owners by their shares."""
    price: int


def pay_resale(context: Context, sale: Resale, *, exempt: bool) -> Split:
    """Pay a price: fee, royalties to creators (or of a grant to the owners) and ancestors, the rest to the seller at
    once.

    Raises:
        OperationError: `royalties.uncovered`, `credits.insufficient`.
    """
    asset_id, organization = sale.asset_id, sale.organization
    stack, fee_bps = stack_of(context.view, asset_id), context.parameters.fee_bps
    if sale.kind == "share":
        split = split_share_sale(stack, sale.price, fee_bps, sale.terms, exempt=exempt)
    else:
        split = split_resale(stack, sale.price, fee_bps, sale.terms, exempt=exempt, of_grant=sale.kind == "grant")
    purse = _Purse(sale.payer, sale.buyer)
    _move_parts(context, asset_id, organization, purse, stack, split)
    _pay_royalty(context, sale.kind, organization, asset_id, purse, split.creators)
    if sale.seller is None:
        _pay_owners(context, organization, asset_id, purse, split.rest, income=False)
    else:
        move(context, sale.payer, sale.seller, split.rest)
        flows.moved(context, sale.buyer, sale.seller, split.rest)
    context.emit(Paid(asset_id, _RESALES[sale.kind], sale.price, split.fee, split.creators, split.rest))
    return split


def gift_royalty(view: Readable, asset: bytes, terms: TransferTerms, *, exempt: bool) -> int:
    """Return what a giver must put aside for the least royalties of a gift.

    Raises:
        OperationError: `credits.insufficient`, where that is more than an amount can be: each ancestor names its own.
    """
    split = split_gift(stack_of(view, asset), terms, exempt=exempt)
    royalty = split.creators + sum(units for _, units in split.royalties)
    if royalty > AMOUNT_MAX:
        raise OperationError("credits.insufficient", f"the least royalties of {royalty} are more than there is")
    return royalty


class Gift(msgspec.Struct, frozen=True):
    """A gift of an asset, a share or a grant."""

    kind: Kind
    asset_id: bytes
    organization: str
    terms: TransferTerms
    payer: bytes
    """The holder that the royalties come from."""
    giver: bytes
    """The account whose credits they are."""


def pay_gift(context: Context, gift: Gift, *, exempt: bool) -> Split:
    """Pay the least royalties of a gift.

    Raises:
        OperationError: `credits.insufficient`.
    """
    asset_id, organization = gift.asset_id, gift.organization
    stack = stack_of(context.view, asset_id)
    split = split_gift(stack, gift.terms, exempt=exempt)
    purse = _Purse(gift.payer, gift.giver)
    _move_parts(context, asset_id, organization, purse, stack, split)
    _pay_royalty(context, gift.kind, organization, asset_id, purse, split.creators)
    amount = split.creators + sum(units for _, units in split.royalties)
    if amount:
        context.emit(Paid(asset_id, _GIFTS[gift.kind], amount, 0, split.creators, 0))
    return split


class _Purse(NamedTuple):
    """Where a payment comes from."""

    source: bytes
    """The holder."""
    payer: bytes
    """The account whose credits they are."""


def _pay_owners(
    context: Context, organization: str, asset: bytes, purse: _Purse, units: int, *, income: bool = True
) -> None:
    if units:
        pools.receive(context, organization, asset, purse.source, units, income=income)
        flows.moved_to_holders(context, purse.payer, ownership(context.view, asset).shares, units)


def _pay_royalty(context: Context, kind: Kind, organization: str, asset: bytes, purse: _Purse, units: int) -> None:
    """A grant's resale royalty is the owners', that of an asset or a share its creators'."""
    if kind == "grant":
        _pay_owners(context, organization, asset, purse, units)
    elif units:
        pools.receive(context, organization, creators_pool(asset), purse.source, units)
        flows.moved_to_holders(context, purse.payer, require_asset(context.view, asset).creators, units)


def _move_parts(context: Context, asset: bytes, organization: str, purse: _Purse, stack: Stack, split: Split) -> None:
    """Pay fee and ancestors, and keep what became of the asset's `stack`."""
    move(context, purse.source, TREASURY, split.fee)
    for ancestor, units in split.royalties:
        _pay_owners(context, require_asset(context.view, ancestor).organization, ancestor, purse, units)
        context.emit(RoyaltyPaid(asset, ancestor, units))
    if split.stack != stack:
        quota.store(context, organization, STACKS, split.stack, asset, enforced=False)
