"""How assets, shares and grants might change hands next: transfers and the market. See situations_kit.py."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.assets import operations as assets
from ledger.modules.assets.operations import action_digest
from ledger.modules.market import operations as market
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from tests.property.drawing_kit import (
    AMOUNT_MAX,
    DAY_MS,
    UNKNOWN,
    Draft,
    Draw,
    Nothing,
    Plan,
    Secret,
    reveal_one,
    revealable,
)
from tests.reference import locks
from tests.reference.grants import state_of
from tests.reference.market import best_amount, condition_of, only_one, price_at
from tests.reference.things import asset_of

Offered = tuple[bytes, Thing]
"""Who holds it, and what."""


# --- what there is to sell


def sellable(draw: Draw) -> list[Offered]:
    """What its holder may hand over now, of one kind: a whole asset, a share, or a grant."""
    kind = draw.some(["asset", "share", "share", "grant", "grant"])
    rows = {"asset": whole_assets, "share": shares, "grant": grants}[kind](draw)
    return rows or [row for other in (grants, shares, whole_assets) for row in other(draw)]


def whole_assets(draw: Draw) -> list[Offered]:
    state = draw.state
    return [
        (next(iter(state.assets[key]["shares"])), Thing("asset", key))
        for key in draw.tradable()
        if len(state.assets[key]["shares"]) == 1 and not locks.locked_bps(state, key)
    ]


def shares(draw: Draw) -> list[Offered]:
    """Mostly of assets that have several owners already."""
    found = []
    for key in draw.tradable():
        owners = draw.state.assets[key]["shares"]
        if len(owners) == 1 and not draw.rarely(25):
            continue
        for owner, bps in owners.items():
            free = bps - locks.locked_bps(draw.state, key, owner)
            if free > 0:
                some = draw.some([1, 100, 2_500, free // 2, free, free, 5_001])
                found.append((owner, Thing("share", key, max(1, min(some, free, 9_999)))))
    return found


def grants(draw: Draw) -> list[Offered]:
    state = draw.state
    return [
        (grant["licensee"], Thing("grant", key))
        for key, grant in state.grants.items()
        if state.terms[grant["terms"]]["transferable"]
        and state_of(state, grant) in ("active", "scheduled")
        and grant["due"] is None
        and locks.lock_of(state, "grant", key) is None
    ]


def odd_things(draw: Draw) -> list[Offered]:
    """What cannot be handed over: locked, not transferable, nothing at all."""
    state, holder = draw.state, draw.anyone()
    found = [(holder, Thing("asset", UNKNOWN)), (holder, Thing("share", UNKNOWN, 1)), (holder, Thing("grant", UNKNOWN))]
    for key, asset in state.assets.items():
        for owner, bps in asset["shares"].items():
            found += [(owner, Thing("asset", key)), (owner, Thing("share", key, min(bps, 9_999)))]
            found += [(owner, Thing("share", key, draw.some([0, 10_000, 9_999]))), (holder, Thing("asset", key))]
    found += [(grant["licensee"], Thing("grant", key)) for key, grant in state.grants.items()]
    return [*found, (holder, Thing("asset", holder, 5))]


def choose(draw: Draw) -> Offered:
    """Choose what to sell, and its seller."""
    rows = odd_things(draw) if draw.rarely(7) else sellable(draw)
    sender, (_, thing) = draw.subject(rows, lambda row: row[0])
    return sender, thing


# --- what several owners do together


def planned(draw: Draw, kind: type) -> Draft:
    """Send what all other owners have consented to; rarely what they have not.

    Raises:
        Nothing: where there is no such plan.
    """
    ready = [plan for plan in draw.notebook.plans if isinstance(plan.operation, kind)]
    if draw.actor is not None:
        ready = [plan for plan in ready if plan.sender == draw.actor]
    agreed = [plan for plan in ready if not missing(draw, plan)]
    plan = draw.some(agreed if agreed and not draw.rarely(5) else ready)
    if not agreed and not draw.rarely(10):
        raise Nothing
    draw.notebook.plans.remove(plan)
    return plan.sender, [plan.operation]


def missing(draw: Draw, plan: Plan) -> list[bytes]:
    """The owners that have not consented yet."""
    owners = draw.state.assets[plan.asset]["shares"]
    action = action_digest(plan.operation)
    return [one for one in owners if one != plan.sender and (plan.asset, action, one) not in draw.state.consents]


def new_plan(draw: Draw) -> Plan:
    state = draw.state
    rows = [key for key in draw.tradable() if len(state.assets[key]["shares"]) > 1]
    rows = [key for key in rows if not locks.locked_bps(state, key)] or rows
    asset = draw.some(rows)
    thing, owners = Thing("asset", asset), list(state.assets[asset]["shares"])
    sender = max(owners, key=lambda one: state.assets[asset]["shares"][one]) if draw.rarely(50) else draw.some(owners)
    ends, price = state.now + 20 * DAY_MS, max(1, draw.price())
    offers = [key for key, row in state.buyers_offers.items() if row["thing"] == ("asset", asset, 0)]
    plans: list[Any] = [
        transfers.Offer(thing, draw.other(sender), price, ends),
        transfers.OfferGift(thing, draw.other(sender), ends),
        market.List(thing, price, ends),
        market.OpenAuction(thing, 1, 1, ends, 1_000),
        market.OpenDutchAuction(thing, price + 1, price, 3, ends),
        assets.SetManager(asset, draw.some(owners)),
        *[market.AcceptOffer(key) for key in offers],
        *([assets.Retire(asset)] if draw.rarely(20) else []),
    ]
    plan = Plan(asset, sender, draw.some(plans))
    draw.notebook.plans = [*draw.notebook.plans[-8:], plan]
    return plan


def consent(draw: Draw) -> Draft:
    """One owner or, each in a transaction of its own, one after the other agrees to what another is going to send."""
    state = draw.state
    open_plans = [plan for plan in draw.notebook.plans if missing(draw, plan)]
    plan = draw.some(open_plans) if open_plans and not draw.rarely(15) else new_plan(draw)
    action = action_digest(plan.operation)
    rows = [row for row in state.consents if row[:2] == (plan.asset, action)]
    if rows and draw.rarely(6):
        return rows[0][2], [assets.Consent(plan.asset, action, draw.expiry())]
    sender, _ = draw.subject(missing(draw, plan), lambda owner: owner)
    asset = UNKNOWN if draw.rarely(2) else plan.asset
    expires = draw.expiry() if draw.rarely(25) else state.now + 20 * DAY_MS
    return sender, [assets.Consent(asset, action, expires)]


def withdraw_consent(draw: Draw) -> Draft:
    sender, (asset, action, _) = draw.subject(list(draw.state.consents), lambda row: row[2])
    return sender, [assets.WithdrawConsent(asset, UNKNOWN if draw.rarely() else action)]


# --- transfers


def offer_transfer(draw: Draw) -> Draft:
    if draw.rarely(25):
        return planned(draw, transfers.Offer)
    sender, thing = choose(draw)
    operation = transfers.Offer(thing, draw.other(sender), max(1, draw.price()), draw.expiry())
    return sender, [operation] * (2 if draw.rarely(3) else 1)


def offer_gift(draw: Draw) -> Draft:
    if draw.rarely(25):
        return planned(draw, transfers.OfferGift)
    sender, thing = choose(draw)
    return sender, [transfers.OfferGift(thing, draw.other(sender), draw.expiry())]


def accept_transfer(draw: Draw) -> Draft:
    rows = [UNKNOWN] if draw.rarely(3) else list(draw.state.transfers)
    pending = draw.state.transfers.get
    sender, key = draw.subject(rows, lambda key: pending(key, {"recipient": draw.anyone()})["recipient"])
    price = pending(key, {"price": 1})["price"]
    return sender, [transfers.Accept(key, max(0, price - 1) if draw.rarely() else price)]


def withdraw_transfer(draw: Draw) -> Draft:
    rows = [UNKNOWN] if draw.rarely(3) else list(draw.state.transfers)
    role = draw.some(["holder", "recipient"])
    pending = draw.state.transfers.get
    sender, key = draw.subject(rows, lambda key: pending(key, {role: draw.anyone()})[role])
    return sender, [transfers.Withdraw(key)]


# --- the market


def stranger(draw: Draw, thing: locks.Thing, holder: bytes, price: int) -> bytes:
    """Somebody of another organization, as a rule with the money, rarely one who must not buy."""
    state = draw.state
    holders = state.assets[thing[1]]["shares"] if thing[0] == "asset" and thing[1] in state.assets else [holder]
    own = {state.accounts[one]["organization"] for one in holders if one in state.accounts}
    asset = asset_of(state, thing)
    return draw.some(
        [
            one
            for one in draw.parties()
            if draw.rarely()
            or (
                state.accounts[one]["organization"] not in own
                and state.balances.get(one, 0) >= price
                and not (thing[0] == "grant" and one in state.assets[asset]["shares"])
            )
        ]
    )


def put_up(draw: Draw) -> Offered:
    """Choose what to put up for sale; mostly what can be sold."""
    sender, thing = choose(draw)
    for _ in range(4):
        if saleable(draw.state, thing) or draw.rarely(8):
            break
        sender, thing = choose(draw)
    return sender, thing


def saleable(state: Any, thing: Thing) -> bool:
    """Whether it is of a commercial asset, and a quorum holds its latest version."""
    grant = state.grants.get(thing.id, {"asset": thing.id})
    asset = state.assets.get(grant["asset"])
    available = asset is not None and asset["versions"][-1]["available"] is not None
    return asset is not None and asset["commercial"] and (thing.kind == "grant" or available)


def list_for_sale(draw: Draw) -> Draft:
    if draw.rarely(25):
        return planned(draw, market.List)
    sender, thing = put_up(draw)
    operation = market.List(thing, max(1, draw.price()), draw.expiry())
    return sender, [operation] * (2 if draw.rarely(3) else 1)


def open_sales(draw: Draw, table: str, form: str = "") -> list[bytes]:
    rows, now = getattr(draw.state, table), draw.state.now
    of_form = [key for key, row in rows.items() if row.get("format", "") == form]
    return [key for key in of_form if now < rows[key]["ends"] or draw.rarely()]


def commit_purchase(draw: Draw) -> Draft:
    """Commit to what only one can have."""
    state = draw.state
    if draw.rarely():
        _, sender, commitment = draw.some([key for key in state.commitments if key[0] == "market"])
        return sender, [market.Commit(commitment)]
    rows = open_sales(draw, "listings") + open_sales(draw, "auctions", "dutch")
    sales = {**state.listings, **state.auctions}
    key = draw.some([key for key in rows if only_one(state, sales[key]["thing"]) or draw.rarely()])
    buyer = stranger(draw, sales[key]["thing"], sales[key]["holder"], sales[key].get("price", 0))
    sender, salt = draw.actor or buyer, draw.salt()
    commitment = market.commitment(key, sender, salt)
    draw.notebook.secrets[commitment] = Secret(key, salt)
    return sender, [market.Commit(commitment)]


def buyer_and_salt(draw: Draw, table: str, form: str) -> tuple[bytes, bytes, bytes | None]:
    """Choose (sender, sale, salt): who buys what, with a secret where it takes one."""
    rows = getattr(draw.state, table)
    secrets = [secret.subject for _, secret in revealable(draw, "market") if secret.subject in rows]
    early = [row for row in draw.state.commitments if row[0] == "market"]
    if early and draw.rarely(8):
        _, sender, commitment = draw.some(early)
        secret = draw.notebook.secrets[commitment]
        return sender, secret.subject, secret.salt
    if draw.rarely(60) and [key for key in secrets if rows[key].get("format", "") == form or draw.rarely()]:
        sender, (_, secret) = reveal_one(draw, "market")
        if secret.subject in rows or draw.rarely():
            return sender, secret.subject, secret.salt
    if draw.rarely(3):
        return draw.anyone(), UNKNOWN, None
    known = open_sales(draw, table, form) if draw.rarely(95) else list(rows)
    key = draw.some([key for key in known if draw.rarely() or not only_one(draw.state, rows[key]["thing"])])
    row = rows[key]
    sender = draw.actor or stranger(draw, row["thing"], row["holder"], row.get("price", 0))
    return sender, key, draw.salt() if draw.rarely(2) else None


def buy(draw: Draw) -> Draft:
    sender, key, salt = buyer_and_salt(draw, "listings", "")
    price = draw.state.listings.get(key, {"price": 1})["price"]
    return sender, [market.Buy(key, price - draw.rarely(4), salt)]


def take(draw: Draw) -> Draft:
    sender, key, salt = buyer_and_salt(draw, "auctions", "dutch")
    row = draw.state.auctions.get(key, {"format": ""})
    dutch = row["format"] == "dutch" and draw.state.now < row["ends"]
    price = price_at(row, draw.state.now) if dutch else 10**9
    return sender, [market.Take(key, price - draw.rarely(4), salt)]


def of_seller(draw: Draw, table: str, rows: list[bytes]) -> tuple[bytes, bytes]:
    known = getattr(draw.state, table)
    rows = [UNKNOWN] if draw.rarely(3) else rows
    return draw.subject(rows, lambda key: known[key]["holder"] if key in known else draw.anyone())


def withdraw_listing(draw: Draw) -> Draft:
    if len(draw.state.listings) < 3 and not draw.rarely(30):
        raise Nothing
    sender, key = of_seller(draw, "listings", list(draw.state.listings))
    return sender, [market.WithdrawListing(key)]


def make_offer(draw: Draw) -> Draft:
    """For anything that could be sold, listed or not; rarely for what cannot be, or as it is not."""
    state = draw.state
    rows = odd_things(draw) if draw.rarely(7) else sellable(draw)
    owned = [(min(asset["shares"]), Thing("asset", key)) for key, asset in state.assets.items()]
    if draw.rarely(25):  # what owners vote on
        rows = [(min(state.assets[key]["shares"]), Thing("asset", key)) for key in state.charters]
    holder, thing = draw.some([*rows, *draw.some([owned, []])])
    plain = (thing.kind, thing.id, thing.bps)
    known = thing.id in (state.grants if thing.kind == "grant" else state.assets)
    condition = market.Condition(**condition_of(state, plain)) if known else market.Condition()
    if draw.rarely(4):
        name = draw.some(["transfers", "versions", "terms", "reserved", "used"])
        condition = msgspec.structs.replace(condition, **{name: getattr(condition, name) + 1})
    price = max(1, draw.price())
    sender = draw.actor or (stranger(draw, plain, holder, price) if known else draw.anyone())
    named = holder if (thing.kind == "share") != draw.rarely(2) else None
    named = draw.some([UNKNOWN, state.validators[0], *draw.parties()]) if named and draw.rarely(6) else named
    operation = market.MakeOffer(thing, price, draw.expiry(), condition, named)
    return sender, [operation] * (2 if draw.rarely(2) else 1)


def accept_offer(draw: Draw) -> Draft:
    state = draw.state
    if draw.rarely(15):
        return planned(draw, market.AcceptOffer)
    as_seen = [
        key
        for key, row in state.buyers_offers.items()
        if draw.rarely() or (condition_of(state, row["thing"]) == row["condition"] and state.now < row["expires"])
    ]
    rows = [UNKNOWN] if draw.rarely(3) else as_seen

    def seller(key: bytes) -> bytes:
        if key not in state.buyers_offers:
            return draw.anyone()
        row = state.buyers_offers[key]
        if row["thing"][0] == "grant":
            return bytes(state.grants[row["thing"][1]]["licensee"])
        return bytes(row["holder"] or next(iter(state.assets[row["asset"]]["shares"])))

    sender, key = draw.subject(rows, seller)
    price = state.buyers_offers.get(key, {"price": 1})["price"]
    return sender, [market.AcceptOffer(key, min(price + draw.rarely(), 2**63 - 1))]


def withdraw_offer(draw: Draw) -> Draft:
    offers = draw.state.buyers_offers
    if len(offers) < 4 and not draw.rarely(30):
        raise Nothing
    rows = [UNKNOWN] if draw.rarely(3) else list(offers)
    sender, key = draw.subject(rows, lambda key: offers[key]["buyer"] if key in offers else draw.anyone())
    return sender, [market.WithdrawOffer(key)]


def open_auction(draw: Draw) -> Draft:
    if draw.rarely(25):
        return planned(draw, market.OpenAuction)
    sender, thing = put_up(draw)
    ends = draw.expiry()
    length = max(0, ends - draw.state.now)
    extension = draw.some([0, min(1_000, length), min(60_000, length), length])
    extension += length if draw.rarely(3) else 0
    reserve, increment = draw.some([0, 1, 7, 500, 5_000]), draw.some([1, 1, 7, 100])
    operation = market.OpenAuction(thing, reserve, increment, ends, extension + draw.rarely(2))
    return sender, [operation] * (2 if draw.rarely(2) else 1)


def bid(draw: Draw) -> Draft:
    state = draw.state
    rows = [UNKNOWN] if draw.rarely(3) else open_sales(draw, "auctions", "english" if draw.rarely(97) else "dutch")
    key = draw.some(rows)
    auction = state.auctions.get(key)
    if auction is None or auction["format"] == "dutch":
        return draw.anyone(), [market.Bid(key, 1)]
    least = best_amount(auction) + auction["increment"]
    amount = draw.some([least, least + 1, max(least, auction["reserve"]), max(least, auction["reserve"]) + 7])
    amount = min(max(1, amount - draw.rarely(4) * 2), 2**63 - 1)
    sender = draw.actor or stranger(draw, auction["thing"], auction["holder"], amount)
    return sender, [market.Bid(key, amount)]


def open_dutch_auction(draw: Draw) -> Draft:
    if draw.rarely(25):
        return planned(draw, market.OpenDutchAuction)
    sender, thing = put_up(draw)
    floor = max(1, draw.price())
    start = floor + draw.some([1, 100, 12_345]) if not draw.rarely(4) else floor
    if draw.at_the_end():
        floor, start = 1, AMOUNT_MAX
    return sender, [market.OpenDutchAuction(thing, start, floor, draw.some([1, 2, 8, 10_000]), draw.expiry())]


def cancel_auction(draw: Draw) -> Draft:
    rows = [key for key, row in draw.state.auctions.items() if row.get("best") is None or draw.rarely(10)]
    if len(rows) < 3 and not draw.rarely(30):
        raise Nothing
    sender, key = of_seller(draw, "auctions", rows)
    return sender, [market.CancelAuction(key)]


def settle(draw: Draw) -> Draft:
    """What the sweep has not come to yet; rarely what still runs."""
    over = [key for key, row in draw.state.auctions.items() if row["ends"] <= draw.state.now]
    if not over and not draw.rarely(20):
        raise Nothing
    return draw.anyone(), [market.Settle(draw.some(over or [UNKNOWN, *draw.state.auctions]))]
