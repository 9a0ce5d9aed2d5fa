"""Royalties: what an asset owes of a payment, and what of it its owners and creators are owed, to the ten-thousandth.

Where the ledger has an accumulator, every payment here is credited to every owner at once. Shares of one unit are
`parts`, 10,000 of them to the unit: `owed` is (pool, account) -> parts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ledger.modules.royalties import operations as ops
from primitives.digest import tagged_hash
from tests.reference.credits import move
from tests.reference.reputation import paid as paid_out
from tests.reference.state import BPS, TREASURY, Call, need

CAP, DEPTH, ANCESTORS_MAX, PARENTS_MAX = 5_000, 8, 64, 8


def creators_pool(asset: bytes) -> bytes:
    return tagged_hash("creators-pool", asset)


def pool_name(pool: bytes) -> bytes:
    """Who holds a pool's credits."""
    return tagged_hash("pool", pool)


def larger_cap(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else max(first, second)


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two claims of one ancestor: the maximum of everything, each for itself; what is paid stays paid."""
    most = {name: max(one[name], other[name]) for name in ("rate", "least", "depth")}
    return {**one, **most, "cap": larger_cap(one["cap"], other["cap"])}


def stack_with(state: Any, asset: dict[str, Any], links: dict[bytes, dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    """Return the asset's stack with what the links (parent -> link) add: the parents, and whom they pay."""
    stack = {ancestor: dict(entry) for ancestor, entry in asset["stack"].items()}
    for parent, link in links.items():
        candidates = {parent: link} if link["depth"] and (link["rate"] or link["least"]) else {}
        for ancestor, entry in state.assets[parent]["stack"].items():
            depth = entry["depth"] - (0 if link["same"] else 1)
            if depth > 0:
                candidates[ancestor] = {**entry, "depth": depth}
        for ancestor, claim in candidates.items():
            entry = {name: claim[name] for name in ("rate", "cap", "least", "depth")} | {"paid": 0, "rest": 0}
            stack[ancestor] = joined(stack[ancestor], entry) if ancestor in stack else entry
    need(len(stack) <= ANCESTORS_MAX, "royalties.too_many_ancestors")
    need(sum(entry["rate"] for entry in stack.values()) <= CAP, "royalties.cap_exceeded")
    return stack


def check_lineage(state: Any, child: bytes, parents: list[bytes]) -> None:
    """Refuse more than 8 parents, and a child among its own ancestors."""
    need(len(parents) <= PARENTS_MAX, "royalties.too_many_parents")
    ancestors: set[bytes] = set()
    generation = set(parents)
    while generation:
        need(child not in generation, "royalties.cycle")
        ancestors |= generation
        generation = {parent for one in generation for parent in state.assets[one]["links"]} - ancestors


def treasury_name(asset: bytes) -> bytes:
    """Who holds what an asset's owners have set aside."""
    return tagged_hash("asset-treasury", asset)


def pay_treasury_out(state: Any, asset: bytes) -> None:
    """All that was set aside goes to the owners by their shares."""
    source = treasury_name(asset)
    credit(state, source, asset, state.assets[asset]["shares"], state.balances.get(source, 0), income=False)


def credit(
    state: Any, source: bytes, pool: bytes, shares: dict[bytes, int], amount: int, *, income: bool = True
) -> None:
    """Pay into a pool; everybody with a share of it is owed that many ten-thousandths of each unit. Of income the
    treasury gets its rate before."""
    if source != treasury_name(pool):
        paid_out(state, source, shares, amount)
    rate = state.charters[pool]["treasury_bps"] if income and pool in state.charters else 0
    if rate:
        aside, state.treasury_rests[pool] = divmod(amount * rate + state.treasury_rests.get(pool, 0), BPS)
        move(state, source, treasury_name(pool), aside)
        amount -= aside
    move(state, source, pool_name(pool), amount)
    state.received[pool] = state.received.get(pool, 0) + amount
    for account, bps in shares.items():
        state.owed[pool, account] = state.owed.get((pool, account), 0) + amount * bps


def wanted(entry: dict[str, Any], net: int, exempt: bool) -> int:
    """What an ancestor is due of a payment: max(rate, least), up to its cap."""
    units = (net * entry["rate"] + entry["rest"]) // BPS
    units = units if exempt else max(units, entry["least"])
    return units if entry["cap"] is None else min(units, entry["cap"] - entry["paid"])


def least_wanted(asset: dict[str, Any], net: int, exempt: bool, raised: bool = False) -> int:
    """What must be there so that least royalties can be paid, or rates beside a part that is `raised` to the creators'
    least; rates alone never ask for more than there is."""
    entries = asset["stack"].values()
    if exempt or not (raised or any(entry["least"] for entry in entries)):
        return 0
    return sum(wanted(entry, net, exempt) for entry in entries)


def pay_ancestors(state: Any, asset: dict[str, Any], source: bytes, net: int, available: int, exempt: bool) -> int:
    """Pay every ancestor its part of `net`, in order of id; what does not fit waits. Return what was paid."""
    paid = 0
    for ancestor, entry in sorted(asset["stack"].items()):
        due = wanted(entry, net, exempt)
        units = min(due, available - paid)
        entry["rest"] = (net * entry["rate"] + entry["rest"]) % BPS + (due - units) * BPS
        entry["paid"] += 0 if entry["cap"] is None else units
        credit(state, source, ancestor, state.assets[ancestor]["shares"], units)
        paid += units
    return paid


def fee_of(state: Any, asset: dict[str, Any], price: int) -> tuple[int, int]:
    return divmod(price * state.fee_bps + asset["fee_rest"], BPS)


def sale_is_covered(state: Any, asset_id: bytes, price: int, exempt: bool) -> bool:
    asset = state.assets[asset_id]
    net = price - fee_of(state, asset, price)[0]
    return least_wanted(asset, net, exempt) <= net


def pay(state: Any, asset_id: bytes, source: bytes, price: int, exempt: bool) -> None:
    """Split the price of a grant: fee, ancestors, and the rest to the owners' pool."""
    asset = state.assets[asset_id]
    need(sale_is_covered(state, asset_id, price, exempt), "royalties.uncovered")
    fee, asset["fee_rest"] = fee_of(state, asset, price)
    move(state, source, TREASURY, fee)
    net = price - fee
    royalties = pay_ancestors(state, asset, source, net, net, exempt)
    credit(state, source, asset_id, asset["shares"], net - royalties)


class Due(NamedTuple):
    """What its transfer terms, or a grant's, ask for when a thing changes hands."""

    kind: str
    """asset, share or grant."""
    asset: bytes
    bps: int
    least: int
    exempt: bool
    """Inside an organization no least royalties are due."""


def royalty_pool(due: Due) -> bytes:
    """A grant's royalty is the owners', that of an asset or a share its creators'."""
    return due.asset if due.kind == "grant" else creators_pool(due.asset)


def pay_pool(state: Any, pool: bytes, asset_id: bytes, source: bytes, amount: int, *, income: bool = True) -> None:
    asset = state.assets[asset_id]
    credit(state, source, pool, asset["shares"] if pool == asset_id else asset["creators"], amount, income=income)


def pay_resale(state: Any, due: Due, buyer: bytes, seller: bytes | None, price: int) -> None:
    """Split a holder's price: fee, resale royalty and what ancestors get of it, and the rest to the seller; without a
    seller to all owners.

    Of a share the ancestors get their part of the whole price, or shares could be sold in place of grants.
    """
    asset = state.assets[due.asset]
    rest_name = {"asset": "resale_rest", "grant": "grant_resale_rest", "share": "share_resale_rest"}[due.kind]
    fee, fee_rest = fee_of(state, asset, price)
    net = price - fee
    royalty, resale_rest = divmod(net * due.bps + asset[rest_name], BPS)
    raised = not due.exempt and royalty < due.least
    royalty = due.least if raised else royalty
    if due.kind == "share":
        base, whole = net, royalty + least_wanted(asset, net, due.exempt, raised)
        room = net - royalty
    else:
        base, whole = royalty, max(royalty, least_wanted(asset, royalty, due.exempt))
        room = whole
    need(whole <= net, "royalties.uncovered")
    asset["fee_rest"], asset[rest_name] = fee_rest, resale_rest
    move(state, buyer, TREASURY, fee)
    paid = pay_ancestors(state, asset, buyer, base, room, due.exempt)
    royalty = royalty if due.kind == "share" else whole - paid
    pay_pool(state, royalty_pool(due), due.asset, buyer, royalty)
    rest = net - royalty - paid
    if seller is None:
        pay_pool(state, due.asset, due.asset, buyer, rest, income=False)
    else:
        move(state, buyer, seller, rest)
        paid_out(state, buyer, {seller: BPS}, rest)


def gift_royalty(state: Any, due: Due) -> int:
    """What a gift costs its giver: the least royalties, and nothing inside an organization."""
    return 0 if due.exempt else max(due.least, least_wanted(state.assets[due.asset], due.least, False))


def pay_gift(state: Any, due: Due, source: bytes) -> None:
    if not due.exempt:
        whole = gift_royalty(state, due)
        paid = pay_ancestors(state, state.assets[due.asset], source, due.least, whole, False)
        pay_pool(state, royalty_pool(due), due.asset, source, whole - paid)


def hand_over_fraction(state: Any, asset: bytes, giver: bytes, recipient: bytes) -> None:
    """Who gives all of a share keeps the whole units that are owed, and gives the fraction of a unit with it."""
    units, fraction = divmod(state.owed.get((asset, giver), 0), BPS)
    state.owed[asset, giver] = units * BPS
    state.owed[asset, recipient] = state.owed.get((asset, recipient), 0) + fraction


def withdraw(call: Call, operation: ops.Withdraw) -> None:
    need(operation.asset in call.state.assets, "assets.unknown_asset")
    paid = 0
    for pool in (operation.asset, creators_pool(operation.asset)):
        units, fraction = divmod(call.state.owed.get((pool, call.sender), 0), BPS)
        move(call.state, pool_name(pool), call.sender, units)
        if units:
            call.state.owed[pool, call.sender] = fraction
        paid += units
    need(paid, "royalties.nothing_owed")
