"""Conveying something from its holder to another account, with everything that is paid for it: the one way in which
transfers, listings, offers and auctions end.

All checks run again here. Whoever calls from a deadline, where nothing may fail, uses `attempt`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.operations import TransferTerms
from ledger.modules.assets.reads import ownership, require_asset, sole_owner
from ledger.modules.assets.records import ASSETS, BY_OWNER, OWNERS_MAX, OWNERSHIP, Ownership, Share
from ledger.modules.charters import fair_price, treasury
from ledger.modules.fields import BPS, MARKER
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.licenses.handover import hand_over_grant
from ledger.modules.licenses.standing import require_holdable
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, require_party
from ledger.modules.reputation import flows
from ledger.modules.royalties import payments, pools
from ledger.modules.transfers import bought, events
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.things import asset_of, require_available, require_conveyable
from ledger.state.view import Readable


class Conveyance(NamedTuple):
    """Who gives what to whom."""

    thing: Thing
    giver: bytes
    """The holder; for an asset of several owners the one who acts for all."""
    recipient: bytes


def require_recipient(context: Context, conveyance: Conveyance) -> None:
    """Refuse a recipient who cannot hold the thing: checked when it is offered, and again when it is conveyed.

    Raises:
        OperationError: `transfers.self_transfer`, `transfers.invalid_recipient`, `transfers.too_many_owners`,
            `licenses.*` for a grant.
    """
    thing, giver, recipient = conveyance
    if recipient == giver:
        raise OperationError("transfers.self_transfer", "giver and recipient are one account")
    require_party(context.view, recipient, "transfers.invalid_recipient")
    if thing.kind == "grant":
        grant = require_grant(context.view, thing.id)
        require_holdable(context, thing.id, grant, require_terms(context.view, grant.terms), recipient)
    elif thing.kind == "share":
        owners = {share.account: share.bps for share in ownership(context.view, thing.id).shares}
        leaves = owners.get(giver, 0) == thing.bps
        if recipient not in owners and len(owners) - leaves >= OWNERS_MAX:
            raise OperationError("transfers.too_many_owners", f"an asset has at most {OWNERS_MAX} owners")


def sell(context: Context, conveyance: Conveyance, price: int, payer: bytes, *, voted: bool = False) -> None:
    """Convey for `price` > 0, paid from the holder `payer` (the recipient, or an escrow of its): fee, royalties, and
    the rest to the seller, for an asset to all its owners but where the seller owns all of it: who has put a whole
    asset up by a vote may have sold its share before that was decided. The lock is the caller's to open first.
    `voted` says that the owners of an asset have decided by a vote: what they are paid waits in their pool.

    Raises:
        OperationError: as `require_conveyable` and `require_recipient`; `royalties.uncovered`, `credits.insufficient`.
    """
    thing = conveyance.thing
    require_conveyable(context, thing, conveyance.giver, for_price=True, voted=voted)
    require_available(context.view, thing)
    require_recipient(context, conveyance)
    asset_id = asset_of(context.view, thing)
    alone = thing.kind != "asset" or (not voted and sole_owner(context.view, asset_id) == conveyance.giver)
    if thing.kind == "share" and not is_exempt(context.view, conveyance):
        fair_price.note(context, asset_id, price, thing.bps)
    payments.pay_resale(
        context,
        payments.Resale(
            kind=thing.kind,
            asset_id=asset_id,
            organization=require_asset(context.view, asset_id).organization,
            terms=royalty_terms(context.view, thing),
            payer=payer,
            buyer=conveyance.recipient,
            seller=conveyance.giver if alone else None,
            price=price,
        ),
        exempt=is_exempt(context.view, conveyance),
    )
    _hand_over(context, conveyance, asset_id, price)


def gift_royalty(view: Readable, conveyance: Conveyance) -> int:
    """Return the units that a giver must put aside for the least royalties of a gift."""
    terms, asset_id = royalty_terms(view, conveyance.thing), asset_of(view, conveyance.thing)
    return payments.gift_royalty(view, asset_id, terms, exempt=is_exempt(view, conveyance))


def give(context: Context, conveyance: Conveyance, source: bytes) -> None:
    """Convey as a gift, its least royalties paid from the holder `source`.

    Raises:
        OperationError: as `sell`.
    """
    thing = conveyance.thing
    require_conveyable(context, thing, conveyance.giver, for_price=False)
    require_recipient(context, conveyance)
    asset_id = asset_of(context.view, thing)
    gift = payments.Gift(
        kind=thing.kind,
        asset_id=asset_id,
        organization=require_asset(context.view, asset_id).organization,
        terms=royalty_terms(context.view, thing),
        payer=source,
        giver=conveyance.giver,
    )
    payments.pay_gift(context, gift, exempt=is_exempt(context.view, conveyance))
    _hand_over(context, conveyance, asset_id, 0)


def is_exempt(view: Readable, conveyance: Conveyance) -> bool:
    """Tell whether the thing stays inside one organization, so that no least royalties are due."""
    thing, giver, recipient = conveyance
    givers = [giver]
    if thing.kind == "asset":
        givers = [share.account for share in ownership(view, thing.id).shares]
    target = organization_of(view, recipient)
    return all(organization_of(view, account) == target for account in givers)


def royalty_terms(view: Readable, thing: Thing) -> TransferTerms:
    """Return what is due when the thing changes hands: to the creators of an asset, or to the owners of a grant's."""
    if thing.kind != "grant":
        return require_asset(view, thing.id).transfer_terms
    terms = require_terms(view, require_grant(view, thing.id).terms)
    return TransferTerms(terms.resale_royalty_bps, terms.least_royalty)


def _hand_over(context: Context, conveyance: Conveyance, asset_id: bytes, price: int) -> None:
    thing, giver, recipient = conveyance
    if thing.kind == "grant":
        hand_over_grant(context, thing.id, recipient)
    elif thing.kind == "share":
        move_shares(context, asset_id, {giver: thing.bps}, recipient, paid=price > 0)
    else:
        _hand_over_asset(context, asset_id, recipient, paid=price > 0)
    context.emit(events.Conveyed(thing.kind, thing.id, thing.bps, asset_id, giver, recipient, price))


def _hand_over_asset(context: Context, asset_id: bytes, recipient: bytes, *, paid: bool) -> None:
    """All shares go to the recipient, who becomes manager; what earlier owners offered is void. What they had in the
    asset's treasury is theirs."""
    treasury.pay_out(context, asset_id)
    fair_price.forget(context, asset_id)
    asset = require_asset(context.view, asset_id)
    changed = msgspec.structs.replace(asset, manager=recipient, transfers=asset.transfers + 1)
    quota.store(context, asset.organization, ASSETS, changed, asset_id)
    givers = {share.account: share.bps for share in ownership(context.view, asset_id).shares}
    givers.pop(recipient, None)
    move_shares(context, asset_id, givers, recipient, paid=paid)


def move_shares(
    context: Context,
    asset_id: bytes,
    moved: dict[bytes, int],
    recipient: bytes,
    *,
    paid: bool,
    enforced: bool = True,
) -> None:
    """Move `moved` (account -> bps) to the recipient, with the pool settled before. Owners are in order of account.
    What a share has in the asset's treasury goes with it, and counts as credits that its giver gave.

    `paid` says that the recipient has paid for it; not `enforced` takes no regard of a full quota.

    Raises:
        OperationError: as `organizations.quota.store`, where it is enforced.
    """
    asset, owners = require_asset(context.view, asset_id), ownership(context.view, asset_id)
    held = {share.account: share.bps for share in owners.shares}
    aside = treasury.held(context.view, asset_id)
    for giver, bps in moved.items():
        flows.moved(context, giver, recipient, aside * bps // BPS)
        pools.move_share(context, asset_id, (giver, held[giver]), (recipient, held.get(recipient, 0)), bps)
        bought.carry(context, asset_id, bought.Move(giver, held[giver], recipient, bps, paid))
        held[giver] -= bps
        held[recipient] = held.get(recipient, 0) + bps
    shares = tuple(Share(account, held[account]) for account in sorted(held) if held[account])
    assert sum(share.bps for share in shares) == BPS
    record = Ownership(shares, context.block_time_ms, asset.transfers)
    quota.store(context, asset.organization, OWNERSHIP, record, asset_id, enforced=enforced)
    before, after = {share.account for share in owners.shares}, {share.account for share in shares}
    for account in sorted(before - after):
        quota.remove(context, asset.organization, BY_OWNER, account, asset_id)
    for account in sorted(after - before):
        quota.store(context, asset.organization, BY_OWNER, MARKER, account, asset_id, enforced=enforced)
