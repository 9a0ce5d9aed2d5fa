"""Charters: owners vote by the shares that they had. What is decided is found by trying every vote that may still come.

A charter is the dictionary of its fields, with `revision` and `since`, and with `spent`, how often its treasury has
paid; `sales` are all share sales between organizations that name a price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import msgspec

from ledger.modules.assets.operations import SetAlias, SetManager
from ledger.modules.charters import operations as ops
from ledger.modules.licenses.operations import Offer
from ledger.modules.market.operations import List
from ledger.modules.transfers.operations import Thing
from tests.reference import assets, contributions, licenses, market, royalties
from tests.reference.charter_rules import KINDS, adopt, check_charter, plain_charter
from tests.reference.credits import give_back, move
from tests.reference.locks import locked_bps
from tests.reference.reputation import paid_in
from tests.reference.state import (
    BPS,
    Call,
    Refused,
    copy_of,
    drop_deadline,
    is_cid,
    is_party,
    need,
    organization_of,
    return_to,
    set_deadline,
)
from tests.reference.things import Move

OPEN_MAX = 4
DAY = 24 * 3_600_000
WEEK = 7 * DAY
WEEKS = 27


def fair_price(state: Any, asset: bytes) -> int:
    """The whole at the dearest that shares were sold for in the last weeks."""
    first = state.now // WEEK - WEEKS + 1
    sales = [(price, bps) for at, price, bps in state.share_sales.get(asset, []) if at // WEEK >= first]
    return max((-(-price * BPS // bps) for price, bps in sales), default=0)


# --- voting


def required(charter: dict[str, Any], action: ops.Action) -> tuple[int, int, int]:
    """What it takes: (quorum, threshold of the votes, least of all)."""
    match action:
        case ops.SellWhole() | ops.ListWhole():
            return (0, 0, charter["drag_along_bps"])
        case ops.Dissolve():
            return (*charter["dissolution"], 5_001)
        case ops.ChangeCharter():
            after = plain_charter(action.charter)
            touched = [charter[kind] for kind in KINDS if charter[kind] != after[kind] or kind == "charter"]
            weaker = [after[name] < charter[name] for name in ("drag_along_bps", "least_price")]
            quorum, threshold = (max(one[part] for one in touched) for part in (0, 1))
            return (quorum, threshold, BPS if any(weaker) else 5_001)
        case ops.AcceptContribution():
            from_all = action.reward.share_bps > 0 and action.reward.giver is None
            return (*charter["contributions"], BPS if from_all else 0)
        case ops.Pay():
            return (*charter["payments"], 0)
        case ops.NameManager():
            return (*charter["management"], 0)
        case ops.PointAlias():
            return (*charter["aliases"], 0)
        case _:
            return (*charter["terms"], 0)


def passes(row: dict[str, Any], votes: dict[bytes, bool]) -> bool:
    """Whether these votes, if there are no others, carry a proposal."""
    power = row["power"]
    whole = sum(power.values())
    used = sum(power[one] for one in votes)
    for_it = sum(power[one] for one, approve in votes.items() if approve)
    quorum, threshold, of_all = row["required"]
    enough = used * BPS >= quorum * whole and for_it * BPS >= of_all * whole
    return for_it > 0 and enough and for_it * BPS >= threshold * used


def endings(row: dict[str, Any]) -> Iterator[bool]:
    """All outcomes that are still possible: everybody who has not voted may vote for it, against it, or not at all."""
    silent = [one for one in row["power"] if one not in row["votes"]]
    for choices in product((True, False, None), repeat=len(silent)):
        cast = {one: choice for one, choice in zip(silent, choices, strict=True) if choice is not None}
        yield passes(row, row["votes"] | cast)


def propose(call: Call, operation: ops.Propose) -> None:
    state, asset_id, action = call.state, operation.asset, operation.action
    need(asset_id in state.assets, "assets.unknown_asset")
    need(asset_id in state.charters, "charters.no_charter")
    shares = dict(state.assets[asset_id]["shares"])
    need(call.sender in shares, "charters.not_an_owner")
    need(operation.text is None or is_cid(operation.text), "charters.text")
    identifier = ops.proposal_id(call.id, asset_id, action)
    need(identifier not in state.proposals, "charters.proposal_exists")
    opened = [row for row in state.proposals.values() if row["state"] == "open" and row["asset"] == asset_id]
    mine = [row for row in opened if organization_of(state, row["proposer"]) == call.organization]
    need(len(mine) < OPEN_MAX, "charters.too_many_proposals")
    charter = state.charters[asset_id]
    closes = call.now + charter["voting_period_ms"]
    if isinstance(action, ops.SellWhole):
        need(whole_offer(state, asset_id, action.offer)["expires"] > closes, "charters.offer_too_short")
    if isinstance(action, ops.AcceptContribution):
        need(action.reward.giver in (None, call.sender), "charters.giver")
    before = copy_of(state)
    perform(Call(state, call.sender, identifier), identifier, asset_id, action)
    return_to(state, before)
    state.proposals[identifier] = {
        "asset": asset_id,
        "proposer": call.sender,
        "action": msgspec.msgpack.encode(action),
        "text": (operation.title, operation.text),
        "revision": charter["revision"],
        "transfers": state.assets[asset_id]["transfers"],
        "required": required(charter, action),
        "power": electorate(state, shares, action),
        "votes": {},
        "proposed": call.now,
        "closes": closes,
        "state": "open",
        "code": "",
        "decided": None,
    }
    set_deadline(state, closes, "charters.voting_end", identifier, call.organization)


def electorate(state: Any, shares: dict[bytes, int], action: ops.Action) -> dict[bytes, int]:
    """Who gets something does not vote, where there is anybody else; of who gives a part of each share only the
    contributor itself."""
    if isinstance(action, ops.Pay):
        one = action.recipient
    elif isinstance(action, ops.AcceptContribution):
        one = state.contributions[action.contribution]["maker"]
        if action.reward.share_bps and action.reward.giver is None:
            return {owner: bps for owner, bps in shares.items() if owner != one} or dict(shares)
    else:
        return dict(shares)
    own = organization_of(state, one)
    return {owner: bps for owner, bps in shares.items() if organization_of(state, owner) != own} or dict(shares)


def open_proposal(call: Call, identifier: bytes) -> dict[str, Any]:
    need(identifier in call.state.proposals, "charters.unknown_proposal")
    row: dict[str, Any] = call.state.proposals[identifier]
    need(row["state"] == "open" and call.now < row["closes"], "charters.voting_closed")
    return row


def vote(call: Call, operation: ops.Vote) -> None:
    row = open_proposal(call, operation.proposal)
    need(call.sender in row["power"], "charters.no_vote")
    need(call.sender not in row["votes"], "charters.already_voted")
    row["votes"][call.sender] = operation.approve
    possible = set(endings(row))
    if len(possible) == 1:
        drop_deadline(call.state, row["closes"], "charters.voting_end", operation.proposal)
        decide(call, operation.proposal, possible.pop())


def withdraw(call: Call, operation: ops.Withdraw) -> None:
    row = open_proposal(call, operation.proposal)
    need(row["proposer"] == call.sender, "charters.not_the_proposer")
    drop_deadline(call.state, row["closes"], "charters.voting_end", operation.proposal)
    row |= {"state": "withdrawn", "decided": call.now}


def count(call: Call, identifier: bytes) -> None:
    row = call.state.proposals[identifier]
    decide(call, identifier, passes(row, row["votes"]))


def decide(call: Call, identifier: bytes, accepted: bool) -> None:
    state, code = call.state, ""
    if accepted:
        before = copy_of(state)
        try:
            carry_out(call, identifier, state.proposals[identifier])
        except Refused as refused:
            return_to(state, before)
            code = refused.code
    decided = "failed" if code else "executed" if accepted else "rejected"
    if any(sale["proposal"] == identifier for sale in state.sales.values()):
        decided = "selling"
    state.proposals[identifier] |= {"state": decided, "code": code, "decided": call.now}


# --- doing it


def carry_out(call: Call, identifier: bytes, row: dict[str, Any]) -> None:
    state, asset = call.state, row["asset"]
    need(asset in state.charters and state.charters[asset]["revision"] == row["revision"], "charters.lapsed")
    need(state.assets[asset]["transfers"] == row["transfers"], "charters.lapsed")
    action = msgspec.msgpack.decode(row["action"], type=ops.Action)
    need(all_were_asked(state, row, action), "charters.lapsed")
    need(not isinstance(action, ops.Pay) or still_carried(state, row), "charters.lapsed")
    perform(Call(state, row["proposer"], identifier), identifier, asset, action)


def all_were_asked(state: Any, row: dict[str, Any], action: Any) -> bool:
    """Whether nobody owns a share now who had to be asked: where it takes everybody, everybody who owns something and
    gets nothing has agreed; where its own organization decided for who gets something, that still owns everything."""
    owners, one = set(state.assets[row["asset"]]["shares"]), None
    if isinstance(action, ops.Pay):
        one = action.recipient
    elif isinstance(action, ops.AcceptContribution) and action.contribution in state.contributions:
        one = state.contributions[action.contribution]["maker"]
    if row["required"][2] == BPS:
        return all(row["votes"].get(owner) is True for owner in owners - {one})
    if one is None:
        return True
    own = organization_of(state, one)
    alone = any(organization_of(state, voter) == own for voter in row["power"])
    return not alone or {organization_of(state, owner) for owner in owners} == {own}


def still_carried(state: Any, row: dict[str, Any]) -> bool:
    """Whether a payment has its majority also without the votes of shares that were sold since."""
    shares, power, (quorum, threshold, _) = state.assets[row["asset"]]["shares"], row["power"], row["required"]
    for_it = sum(min(power[one], shares.get(one, 0)) for one, approve in row["votes"].items() if approve)
    used = for_it + sum(power[one] for one, approve in row["votes"].items() if not approve)
    return for_it > 0 and used * BPS >= quorum * sum(power.values()) and for_it * BPS >= threshold * used


def perform(call: Call, identifier: bytes, asset: bytes, action: Any) -> None:
    doing: dict[type, Callable[[], None]] = {
        ops.OfferTerms: lambda: offer_terms(call, identifier, asset, action),
        ops.WithdrawTerms: lambda: withdraw_terms(call, asset, action),
        ops.PointAlias: lambda: assets.point_alias(call, SetAlias(asset, action.alias, action.version)),
        ops.NameManager: lambda: assets.replace_manager(call, SetManager(asset, action.manager)),
        ops.AcceptContribution: lambda: accept(call, asset, action),
        ops.Pay: lambda: pay(call, asset, action),
        ops.SellWhole: lambda: sell_whole(call, asset, action, identifier),
        ops.ListWhole: lambda: list_whole(call, asset, action),
        ops.ChangeCharter: lambda: change(call, asset, action),
        ops.Dissolve: lambda: dissolve(call, asset),
    }
    doing[type(action)]()


def offer_terms(call: Call, identifier: bytes, asset: bytes, action: ops.OfferTerms) -> None:
    """In the manager's name, and known by the proposal's id."""
    acting = Call(call.state, call.state.assets[asset]["manager"], identifier)
    licenses.open_offer(acting, Offer(asset, action.terms, action.expires_at_ms, action.version, action.buyer))


def accept(call: Call, asset: bytes, action: ops.AcceptContribution) -> None:
    known = call.state.contributions
    need(action.contribution in known, "contributions.unknown_contribution")
    need(known[action.contribution]["asset"] == asset, "charters.another_asset")
    contributions.take(call, action.contribution, action.reward, None)


def withdraw_terms(call: Call, asset: bytes, action: ops.WithdrawTerms) -> None:
    need(action.offer in call.state.offers, "licenses.unknown_offer")
    need(call.state.offers[action.offer]["asset"] == asset, "charters.another_asset")
    licenses.end_offer(call, action.offer)


def pay(call: Call, asset: bytes, action: ops.Pay) -> None:
    need(is_party(call.state, action.recipient), "charters.invalid_recipient")
    move(call.state, royalties.treasury_name(asset), action.recipient, action.amount)
    paid_in(call.state, call.state.assets[asset]["shares"], action.recipient, action.amount)
    call.state.charters[asset]["spent"] += 1


def whole_offer(state: Any, asset: bytes, identifier: bytes) -> dict[str, Any]:
    row = market.known_offer(state, identifier)
    need(row["thing"] == ("asset", asset, 0), "market.not_the_holder")
    need(state.now < row["expires"], "market.offer_expired")
    return row


def sell_whole(call: Call, asset: bytes, action: ops.SellWhole, identifier: bytes) -> None:
    """At the fair price or above, all shares, as soon as none is in another sale; nobody's frozen value stands in the
    way."""
    state = call.state
    offer = whole_offer(state, asset, action.offer)
    least = max(action.price_min, state.charters[asset]["least_price"], fair_price(state, asset))
    need(offer["price"] >= least, "charters.price_too_low")
    need(asset not in state.sales, "charters.sale_pending")
    assets.manageable(state, asset)
    market.check_stranger(state, offer["thing"], min(state.assets[asset]["shares"]), offer["buyer"])
    market.check_condition(state, offer["thing"], offer["condition"])
    market.close_offer(call, action.offer)
    bound = {"proposal": identifier, "offer": action.offer, "buyer": offer["buyer"], "condition": offer["condition"]}
    bound["price"] = offer["price"]
    if locked_bps(state, asset):
        state.sales[asset] = bound | {"decided": call.now}
        set_deadline(state, call.now + DAY, "charters.sale_due", asset, state.assets[asset]["organization"])
    else:
        conclude(state, asset, bound)


def list_whole(call: Call, asset: bytes, action: ops.ListWhole) -> None:
    fair = max(call.state.charters[asset]["least_price"], fair_price(call.state, asset))
    need(action.price >= fair, "charters.price_too_low")
    market.list_by_vote(call, List(Thing("asset", asset), action.price, action.expires_at_ms))


def conclude(state: Any, asset: bytes, sale: dict[str, Any]) -> None:
    thing, seller = ("asset", asset, 0), min(state.assets[asset]["shares"])
    market.check_stranger(state, thing, seller, sale["buyer"])
    market.check_condition(state, thing, sale["condition"])
    assets.manageable(state, asset)
    market.sell_from_escrow(state, sale["offer"], Move(thing, seller, sale["buyer"]), voted=True)


def try_sale(call: Call, asset: bytes) -> None:
    """Conclude what was decided, or give the price back; or wait for another day."""
    state = call.state
    if locked_bps(state, asset):
        set_deadline(state, call.now + DAY, "charters.sale_due", asset, state.assets[asset]["organization"])
        return
    sale = state.sales.pop(asset)
    before, code = copy_of(state), ""
    try:
        if asset in state.charters:
            fair = max(state.charters[asset]["least_price"], fair_price(state, asset))
            need(sale["price"] >= fair, "charters.price_too_low")
        conclude(state, asset, sale)
    except Refused as refused:
        return_to(state, before)
        give_back(state, sale["offer"])
        code = refused.code
    ended = {"state": "failed" if code else "executed", "code": code, "decided": call.now}
    state.proposals[sale["proposal"]] |= ended


def change(call: Call, asset: bytes, action: ops.ChangeCharter) -> None:
    check_charter(action.charter)
    adopt(call, asset, action.charter, call.state.charters[asset]["revision"] + 1)


def dissolve(call: Call, asset: bytes) -> None:
    royalties.pay_treasury_out(call.state, asset)
    call.state.share_sales.pop(asset, None)
    del call.state.charters[asset]


OPERATIONS = {ops.Propose: propose, ops.Vote: vote, ops.Withdraw: withdraw}
DEADLINES = {"charters.voting_end": count, "charters.sale_due": try_sale}
