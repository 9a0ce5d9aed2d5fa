"""Handing something over: whether it may leave its holder, whether the other may have it, and what is paid for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ledger.modules.transfers import operations as ops
from tests.reference import assets, reputation, royalties, usage
from tests.reference.credits import escrow_name
from tests.reference.grants import check_holdable, known_grant, state_of
from tests.reference.locks import Thing, lock_of, locked_bps
from tests.reference.royalties import Due
from tests.reference.state import BPS, Call, is_party, need, organization_of

OWNERS_MAX, SOURCES_MAX, PRICED_BPS = 64, 8, 100


class Move(NamedTuple):
    """Who gives what to whom; for an asset of several owners the giver acts for all."""

    thing: Thing
    giver: bytes
    recipient: bytes


def plain(thing: ops.Thing) -> Thing:
    need(thing.kind != "share" or 0 < thing.bps < BPS, "transfers.share_bps")
    need(thing.kind == "share" or not thing.bps, "transfers.share_bps")
    return (thing.kind, thing.id, thing.bps)


def asset_of(state: Any, thing: Thing) -> bytes:
    """The asset that a thing is, or belongs to."""
    if thing[0] == "grant":
        return bytes(known_grant(state, thing[1])["asset"])
    need(thing[1] in state.assets, "assets.unknown_asset")
    return thing[1]


def holders_of(state: Any, thing: Thing, holder: bytes) -> list[bytes]:
    """All owners of a whole asset, else who holds it."""
    return list(state.assets[thing[1]]["shares"]) if thing[0] == "asset" else [holder]


def check_offerable(call: Call, thing: Thing, operation: Any, for_price: bool) -> None:
    """Whether the sender may open a transfer or a sale of it, or sell it at once; `operation` is what all owners of an
    asset have consented to."""
    state, (kind, subject, bps) = call.state, thing
    if kind == "grant":
        known_grant(state, subject)
        need(lock_of(state, "grant", subject) is None, "transfers.locked")
    need(kind == "grant" or subject not in state.sales, "charters.sale_pending")
    if kind == "asset":
        assets.manageable(state, subject)
        need(not locked_bps(state, subject), "transfers.shares_locked")
        assets.check_all_agree(call, subject, operation)
    check_movable(state, thing, call.sender, for_price)
    if kind == "share":
        free = state.assets[subject]["shares"][call.sender] - locked_bps(state, subject, call.sender)
        need(bps <= free, "transfers.locked")


def check_movable(state: Any, thing: Thing, holder: bytes, for_price: bool, *, voted: bool = False) -> None:
    """Whether a thing may leave its holder now, its own lock aside."""
    kind, subject, bps = thing
    asset = state.assets[asset_of(state, thing)]
    if kind == "grant":
        grant = state.grants[subject]
        need(grant["licensee"] == holder, "transfers.not_the_holder")
        need(state.terms[grant["terms"]]["transferable"], "transfers.not_transferable")
        need(state_of(state, grant) in ("active", "scheduled"), "transfers.grant_not_live")
        need(grant["due"] is None, "transfers.grant_unsettled")
    elif kind == "share":
        need(lock_of(state, "asset", subject) is None, "assets.locked")
        need(asset["shares"].get(holder, 0) >= bps, "transfers.not_the_holder")
    need(kind == "grant" or not asset["retired"], "assets.retired")
    need(kind == "grant" or asset["recall"] is None, "assets.frozen")
    frozen = [state.accounts[one]["frozen"] > state.now for one in holders_of(state, thing, holder)]
    need(voted or not any(frozen), "organizations.frozen")
    if for_price:
        assets.check_sellable(state, asset_of(state, thing))
        need(asset["commercial"], "transfers.non_commercial")


def check_available(state: Any, thing: Thing) -> None:
    """What no quorum holds is not sold; a license on it would not be live."""
    latest = state.assets[asset_of(state, thing)]["versions"][-1]
    need(thing[0] == "grant" or latest["available"] is not None, "transfers.not_available")


def check_recipient(state: Any, move: Move) -> None:
    (kind, subject, bps), giver, recipient = move
    need(recipient != giver, "transfers.self_transfer")
    need(is_party(state, recipient), "transfers.invalid_recipient")
    if kind == "grant":
        check_holdable(state, subject, state.grants[subject], recipient)
    elif kind == "share":
        after = set(state.assets[subject]["shares"]) | {recipient}
        after -= {giver} if state.assets[subject]["shares"].get(giver) == bps else set()
        need(len(after) <= OWNERS_MAX, "transfers.too_many_owners")


def due_for(state: Any, move: Move) -> Due:
    """What is due for the thing; nothing at least where it stays inside one organization."""
    (kind, subject, _), giver, recipient = move
    target = organization_of(state, recipient)
    inside = all(organization_of(state, one) == target for one in holders_of(state, move.thing, giver))
    if kind == "grant":
        terms = state.terms[state.grants[subject]["terms"]]
        rates = (terms["resale_royalty_bps"], terms["least_royalty"])
    else:
        rates = (state.assets[subject]["resale"], state.assets[subject]["least"])
    return Due(kind, asset_of(state, move.thing), *rates, inside)


def sell(state: Any, move: Move, price: int, payer: bytes, *, voted: bool = False) -> None:
    """All checks again, then price and thing in one step. The lock has been opened. Where the owners have voted, their
    pool is paid, and nobody's frozen value stands in the way."""
    check_movable(state, move.thing, move.giver, True, voted=voted)
    check_available(state, move.thing)
    check_recipient(state, move)
    shared = move.thing[0] == "asset" and (voted or set(state.assets[move.thing[1]]["shares"]) != {move.giver})
    note_price(state, move, price)
    royalties.pay_resale(state, due_for(state, move), payer, None if shared else move.giver, price)
    hand_over(state, move, True)


def note_price(state: Any, move: Move, price: int) -> None:
    """What another organization pays for a percent or more says what the whole is worth."""
    (kind, subject, bps), giver, recipient = move
    strangers = organization_of(state, giver) != organization_of(state, recipient)
    if kind == "share" and strangers and bps >= PRICED_BPS and subject in state.charters:
        state.share_sales.setdefault(subject, []).append((state.now, price, bps))


def give(state: Any, move: Move, source: bytes) -> None:
    check_movable(state, move.thing, move.giver, False)
    check_recipient(state, move)
    royalties.pay_gift(state, due_for(state, move), source)
    hand_over(state, move, False)


def hand_over(state: Any, move: Move, paid: bool) -> None:
    (kind, subject, bps), giver, recipient = move
    if kind == "grant":
        hand_over_grant(state, subject, recipient)
    elif kind == "share":
        move_share(state, subject, giver, recipient, bps, paid)
    else:
        asset = state.assets[subject]
        if subject in state.charters:
            royalties.pay_treasury_out(state, subject)
            state.share_sales.pop(subject, None)
        for owner, share in sorted(asset["shares"].items()):
            if owner != recipient:
                move_share(state, subject, owner, recipient, share, paid)
        asset["manager"] = recipient
        asset["transfers"] += 1


def move_share(state: Any, asset_id: bytes, giver: bytes, recipient: bytes, bps: int, paid: bool) -> None:
    shares = state.assets[asset_id]["shares"]
    aside = state.balances.get(royalties.treasury_name(asset_id), 0)
    reputation.paid(state, giver, {recipient: BPS}, aside * bps // BPS)
    move_bought(state, asset_id, Move(("share", asset_id, bps), giver, recipient), paid)
    if shares[giver] == bps:
        royalties.hand_over_fraction(state, asset_id, giver, recipient)
        del shares[giver]
    else:
        shares[giver] -= bps
    shares[recipient] = shares.get(recipient, 0) + bps


def move_bought(state: Any, asset_id: bytes, move: Move, paid: bool) -> None:
    """Keep (asset, owner) -> {who sold it without having bought it: bps that another organization was paid for}.

    What was not bought leaves its holder first. Inside an organization nothing is bought, and who sold what was not
    its own is not protected by getting it back.
    """
    (_, _, bps), giver, recipient = move
    bought = state.bought.pop((asset_id, giver), {})
    unbought = min(bps, state.assets[asset_id]["shares"][giver] - sum(bought.values()))
    bought_then = dict(state.bought.get((asset_id, recipient), {}))
    left = bps - unbought
    gone = {giver: unbought} if paid else {}
    for source in sorted(bought):
        part = min(left, bought[source])
        gone[source] = gone.get(source, 0) + part
        bought[source] -= part
        left -= part
    for source, part in gone.items():
        if organization_of(state, source) != organization_of(state, recipient):
            bought_then[source] = bought_then.get(source, 0) + part
    set_bought(state, asset_id, giver, bought)
    set_bought(state, asset_id, recipient, bought_then)


def set_bought(state: Any, asset_id: bytes, account: bytes, bought: dict[bytes, int]) -> None:
    """Of too many sources the least is counted to the greatest."""
    known = sorted((bps, source) for source, bps in bought.items() if bps)
    while len(known) > SOURCES_MAX:
        known = sorted([*known[1:-1], (known[-1][0] + known[0][0], known[-1][1])])
    state.bought.pop((asset_id, account), None)
    if known:
        state.bought[asset_id, account] = {source: bps for bps, source in known}


def hand_over_grant(state: Any, identifier: bytes, recipient: bytes) -> None:
    """The same token, with its deposit; the seats end."""
    state.seats.pop(identifier, None)
    left = usage.deposited(state, identifier)
    if left:
        reputation.paid(state, state.grants[identifier]["licensee"], {recipient: BPS}, left)
        state.purses[escrow_name(usage.deposit_name(identifier))] = recipient
    state.grants[identifier]["licensee"] = recipient
    usage.set_return(state, identifier)
