"""What might happen to licenses next: offers, purchases, renewal, use, revocation, seats. See situations_kit.py."""

from __future__ import annotations

from typing import Any

from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.royalties import operations as royalties
from tests.property.drawing_kit import (
    DAY_MS,
    DERIVING,
    RIGHTS,
    UNKNOWN,
    Draft,
    Draw,
    Nothing,
    Secret,
    reveal_one,
    revealable,
)
from tests.reference.grants import outstanding, reserves, state_of
from tests.reference.terms import COUNTED_BY_VOUCHERS, ancestors

BROKEN_TERMS: tuple[dict[str, Any], ...] = (
    {"rights": ("train-on", "download")},
    {"territory": ("FR", "DE")},
    {"exclusivity": "sole", "editions_max": 3},
    {"renewable": True, "term_ms": None},
    {"renewable": True, "term_ms": 1_000, "dispute_window_ms": 1_001},
    {"start_ms": 2**52, "term_ms": 1},
    {"quota": None, "quota_unit": None, "usage_price": 1},
    {"quota": 1, "quota_unit": "trainings", "rights": ("train-on",), "usage_price": 1, "term_ms": None},
    {"quota": 2**31, "quota_unit": "trainings", "rights": ("train-on",), "usage_price": 2**32, "term_ms": 1_000},
    {"refund_mode": "pro-rata", "revocation_causes": ("breach",), "term_ms": None},
    {"quota": 5, "quota_unit": None},
    {"quota": 5, "quota_unit": "calls"},
    {"quota": 1, "quota_unit": "trainings", "rights": ("download",)},
    {"field_allow": ("medicine",), "field_deny": ("medicine",)},
    {"credentials": ("doctor",)},
    {"resale_royalty_bps": 5, "transferable": False},
    {"revenue_share_bps": 5, "revenue_share_depth": 1, "commercial": False},
    {"revenue_share_bps": 5, "revenue_share_depth": 1, "commercial": True, "derivatives": "no"},
    {"revenue_share_bps": 0, "least_royalty": 5, "transferable": False},
    {"revenue_share_bps": 0, "least_royalty": 0, "revenue_share_cap": 5},
    {"commercial": True, "derivatives": "yes", "revenue_share_bps": 5, "revenue_share_cap": 0},
    {"commercial": True, "derivatives": "yes", "revenue_share_bps": 5, "revenue_share_depth": 0},
    {
        "derivatives": "no",
        "share_alike": "superset",
        "revenue_share_bps": 0,
        "revenue_share_depth": 0,
        "revenue_share_cap": None,
        "least_royalty": 0,
    },
    {"refund_mode": "pro-rata", "revocation_causes": ()},
    {"notice_ms": 1, "revocation_causes": ()},
    {"legal_text_cid": "not a CID"},
)


def terms_for(draw: Draw, asset_id: bytes) -> licenses.Terms:
    """Terms that hold together and that the asset's ancestors allow; rarely some that do not."""
    if draw.notebook.lineages and asset_id in draw.state.assets and not draw.rarely(20):
        return easy_terms(draw, asset_id)
    fields = {**use_of(draw), **time_of(draw), **money_of(draw)}
    if fields["derivatives"] != "no" and draw.rarely(15):
        fields["share_alike"] = draw.some(["superset", "identical"])
    if (fields["exclusivity"] != "none" or reserved(draw.state, asset_id)) and draw.rarely(60):
        fields |= {"territory": draw.some([("DE",), ("FR",)])}
    if draw.rarely(15):
        fields |= {"seats": draw.some([1, 2, 3])}
    if asset_id in draw.state.assets and not draw.rarely(8):
        fields |= demanded(draw, asset_id, fields)
    if draw.rarely(20):
        fields |= metered(draw, fields)
    if draw.rarely(8):
        fields |= draw.some(BROKEN_TERMS)
    return licenses.Terms(**fields)


def use_of(draw: Draw) -> dict[str, Any]:
    """For what, by whom and where."""
    some, bounded = draw.some, 40 if draw.rarely(40) else 10
    exclusivity = some(["none"] * 8 + ["sole", "exclusive"])
    return {
        "rights": tuple(sorted({some(RIGHTS), some(DERIVING), some((*RIGHTS, "train-on", "train-on"))})),
        "exclusivity": exclusivity,
        "editions_max": some([None, None, None, 1, 2]) if exclusivity == "none" else None,
        "field_allow": some([(), (), ("art",), ("art", "medicine")]) if draw.rarely(bounded) else (),
        "field_deny": ("weapons",) if draw.rarely(15) else (),
        "territory": some([("DE",), ("DE", "FR"), ("FR",)]) if draw.rarely(bounded) else (),
        "credentials": ("organization:org-alice", "organization:org-bob") if draw.rarely(8) else (),
    }


def time_of(draw: Draw) -> dict[str, Any]:
    """From when, for how long, and what ends it before."""
    some, now = draw.some, draw.state.now
    term = some([None, None, None, 1_000, 30_000, DAY_MS, DAY_MS, 20 * DAY_MS, 90 * DAY_MS])
    window = some([0, 0, 0, 5_000, DAY_MS])
    fields: dict[str, Any] = {
        "start_ms": some([now - 500, now + 5_000, now + DAY_MS]) if draw.rarely(8) else None,
        "term_ms": term,
        "dispute_window_ms": window,
        "renewable": term is not None and window <= term and draw.rarely(70),
    }
    if draw.rarely(25):
        refund = "pro-rata" if term is not None and draw.rarely(70) else "none"
        notice = some([0, 0, 1_000, 60_000, DAY_MS])
        fields |= {"revocation_causes": ("breach", "fraud"), "notice_ms": notice, "refund_mode": refund}
    if draw.at_the_end():
        fields |= {"term_ms": 2**45} if term is not None else {"start_ms": some([0, 2**52, 2**53 - 1])}
        fields |= {"notice_ms": 2**45} if "notice_ms" in fields else {}
    return fields


def money_of(draw: Draw) -> dict[str, Any]:
    """What is paid for it, for derivatives, and when it is passed on."""
    some, commercial = draw.some, not draw.rarely(15)
    share = some([0, 1, 10, 250, 250, 500, 500, 1_000, 1_700, 3_333, 5_000]) if commercial else 0
    transferable = draw.rarely(45)
    derivatives = some(["on-approval", "yes", "yes", "yes"] if share else ["no", "yes", "yes", "on-approval"])
    least = some([1, 3, 5]) if (share or transferable) and draw.rarely(15) else 0
    return {
        "price": draw.price(),
        "commercial": commercial,
        "derivatives": derivatives,
        "transferable": transferable,
        "resale_royalty_bps": some([0, 0, 33, 1_500]) if transferable else 0,
        "least_royalty": least,
        "revenue_share_bps": share,
        "revenue_share_depth": some([1, 2, 3, 8, 8]) if share else 0,
        "revenue_share_cap": some([None, None, 5, 1_000, 10**6]) if share else None,
    } | least_and_most(draw, share)


def least_and_most(draw: Draw, share: int) -> dict[str, Any]:
    """Royalties at the ends of their ranges, where the life is about that."""
    if not share or not draw.at_the_end():
        return {}
    return {"least_royalty": draw.price()} if draw.rarely(30) else {"revenue_share_cap": max(1, draw.price())}


def metered(draw: Draw, fields: dict[str, Any]) -> dict[str, Any]:
    """A quota: of trainings where the rights allow it, else of what the provider sees."""
    quota, price = draw.some([1, 2, 5, 1_000]), 0
    if fields["term_ms"] is not None:
        price = draw.price() if draw.at_the_end() else draw.some([0, 1, 7, 29])
        quota = 2**32 - 1 if draw.at_the_end() else quota
    if draw.rarely(40):
        return {"quota": quota, "quota_unit": "trainings", "usage_price": price if fields["price"] else 0}
    rights = draw.some([("inference-as-service",), ("compute-only",), ("compute-only", "inference-as-service")])
    unit = draw.some(sorted(COUNTED_BY_VOUCHERS))
    return {"rights": rights, "quota": quota, "quota_unit": unit, "usage_price": price if fields["price"] else 0}


def reserved(state: Any, asset_id: bytes) -> bool:
    """Whether somebody has a sole or exclusive grant on an asset: others may be bought beside it, or may not."""
    return any(grant["asset"] == asset_id and reserves(state, grant) for grant in state.grants.values())


def easy_terms(draw: Draw, asset_id: bytes) -> licenses.Terms:
    """Terms under which derivatives are made for a small share, for generations."""
    fields: dict[str, Any] = {
        "rights": DERIVING,
        "price": draw.some([3, 3, 29, 500, 123_457]),
        "commercial": True,
        "derivatives": "yes",
        "revenue_share_bps": draw.some([1, 10, 50, 250, 333]),
        "revenue_share_depth": draw.some([1, 2, 4, 8, 8]),
        "revenue_share_cap": draw.some([None, None, None, 50]),
        "least_royalty": draw.some([0, 0, 0, 2]),
        "dispute_window_ms": draw.some([0, 0, DAY_MS]),
        "field_allow": (),
        "field_deny": (),
        "territory": (),
        "exclusivity": "none",
        "share_alike": "no",
        "credentials": (),
        "transferable": draw.rarely(50),
    }
    return licenses.Terms(**(fields | demanded(draw, asset_id, fields)))


def demanded(draw: Draw, asset_id: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    """What the asset's ancestors demand of the terms."""
    asset = draw.state.assets[asset_id]
    wanted: dict[str, Any] = {"field_deny": tuple(sorted(asset["denied"] | set(fields["field_deny"])))}
    wanted["field_allow"] = tuple(name for name in fields["field_allow"] if name not in wanted["field_deny"])
    if not asset["commercial"]:
        wanted |= {"commercial": False, "price": 0, "least_royalty": 0}
        wanted |= {"revenue_share_bps": 0, "revenue_share_depth": 0, "revenue_share_cap": None}
    heirs = {asset_id} | ancestors(draw.state, asset_id)
    links = [link for heir in heirs for link in draw.state.assets[heir]["links"].values()]
    for theirs in [draw.state.terms[digest] for link in links for digest in link["terms"]]:
        if theirs["share_alike"] == "superset":
            rights = tuple(sorted({*fields["rights"], *theirs["rights"]}))
            wanted |= {"rights": rights, "derivatives": "yes", "share_alike": "no" if draw.rarely(15) else "superset"}
            wanted |= {"exclusivity": "none", "field_allow": (), "territory": (), "credentials": ()}
            wanted["commercial"] = asset["commercial"]
        elif theirs["share_alike"] == "identical":
            same = ("rights", "exclusivity", "field_allow", "field_deny", "territory", "derivatives", "share_alike")
            wanted |= {name: theirs[name] for name in same} | {"commercial": theirs["commercial"]}
    return wanted


def offer_license(draw: Draw) -> Draft:
    tradable = draw.tradable()
    derived = [key for key in tradable if draw.state.assets[key]["stack"]]
    sender, asset = draw.asset(rows=derived if derived and draw.rarely(60) else None)
    known = [row["terms"] for row in draw.state.offers.values() if row["asset"] == asset]
    terms = terms_for(draw, asset)
    if renewed := renewals_ahead(draw):
        asset, digest = draw.some(renewed)
        sender, known = draw.state.assets[asset]["manager"], [digest]
    if known and (renewed or draw.rarely(30)):
        terms = licenses.Terms(**draw.state.terms[draw.some(known)])  # the same editions, sold by another offer
    version = draw.some([1, 2, 9]) if draw.rarely() else None
    buyer = draw.other(sender) if draw.rarely(8) else None
    operation = licenses.Offer(asset, terms, draw.expiry(), version, buyer)
    return sender, [operation] * (2 if draw.rarely(2) else 1)


def renewals_ahead(draw: Draw) -> list[tuple[bytes, bytes]]:
    """Sometimes (asset, terms) of grants that can be renewed though nobody holds the asset's latest version yet."""
    state = draw.state
    if draw.actor is not None or not draw.rarely(20):
        return []
    grants = [state.grants[key] for key in renewable(draw)]
    return [
        (grant["asset"], grant["terms"])
        for grant in grants
        if state.assets[grant["asset"]]["versions"][-1]["available"] is None
    ]


def open_offers(draw: Draw) -> list[bytes]:
    """Offers that somebody can buy under, and rarely all of them."""
    state, tradable = draw.state, set(draw.tradable())
    if draw.rarely():
        return [*state.offers, UNKNOWN]
    return [
        key
        for key, offer in state.offers.items()
        if offer["transfers"] == state.assets[offer["asset"]]["transfers"]
        and offer["asset"] in tradable
        and state.now < offer["expires"]
    ]


def asks_commitment(state: Any, key: bytes) -> bool:
    """Whether a purchase under an offer must have been committed to: the grant is exclusive or the last edition."""
    if key not in state.offers:
        return False
    digest = state.offers[key]["terms"]
    terms, most = state.terms[digest], state.terms[digest]["editions_max"]
    bought = outstanding(state, state.offers[key]["asset"], digest)
    return bool(terms["exclusivity"] == "exclusive" or (most is not None and bought >= most - 1))


def buyer_of(draw: Draw, offer: dict[str, Any]) -> bytes:
    if offer["buyer"] is not None and not draw.rarely(10):
        return bytes(offer["buyer"])
    owners = draw.state.assets[offer["asset"]]["shares"]
    price = draw.state.terms[offer["terms"]]["price"]
    return draw.some(
        [
            account
            for account in draw.parties()
            if (account not in owners and draw.state.balances.get(account, 0) >= price) or draw.rarely()
        ]
    )


def withdraw_offer(draw: Draw) -> Draft:
    offers = draw.state.offers
    if len(offers) < 12 and not draw.rarely(20):
        raise Nothing
    rows = [UNKNOWN] if draw.rarely(3) else list(offers)
    sender, key = draw.subject(rows, lambda key: offers[key]["maker"] if key in offers else draw.anyone())
    return sender, [licenses.WithdrawOffer(key)]


def commit_purchase(draw: Draw) -> Draft:
    state = draw.state
    if draw.rarely():
        known = [key for key in state.commitments if key[0] == "licenses"]
        _, sender, commitment = draw.some(known)
        return sender, [licenses.Commit(commitment)]
    secret_sales = [key for key in open_offers(draw) if draw.rarely() or asks_commitment(state, key)]
    secret_sales = [key for key in secret_sales if key in state.offers]
    offer = draw.some(secret_sales)
    holders = [row["licensee"] for row in state.grants.values() if row["terms"] == state.offers[offer]["terms"]]
    buyer = draw.some(holders) if holders and draw.rarely(40) else buyer_of(draw, state.offers[offer])
    sender, salt = draw.actor or buyer, draw.salt()
    commitment = licenses.purchase_commitment(offer, sender, salt)
    draw.notebook.secrets[commitment] = Secret(offer, salt)
    return sender, [licenses.Commit(commitment)]


def purchase(draw: Draw) -> Draft:
    state = draw.state
    if draw.rarely(50) and revealable(draw, "licenses"):
        sender, (_, secret) = reveal_one(draw, "licenses")
        offer, salt = secret.subject, secret.salt
    else:
        rows = [key for key in open_offers(draw) if draw.rarely() or not asks_commitment(state, key)]
        derived = [key for key in rows if key in state.offers and state.assets[state.offers[key]["asset"]]["stack"]]
        offer, salt = (
            draw.some(derived if derived and draw.rarely(50) else rows),
            draw.salt() if draw.rarely(2) else None,
        )
        sender = draw.actor or (buyer_of(draw, state.offers[offer]) if offer in state.offers else draw.anyone())
    digest = state.offers.get(offer, {"terms": UNKNOWN})["terms"]
    price = state.terms.get(digest, {"price": 0})["price"]
    if draw.rarely(4):
        digest, price = draw.some([(UNKNOWN, price), (digest, max(price - 1, 0))])
    return sender, [licenses.Purchase(offer, digest, price, salt)] * (2 if draw.rarely(3) else 1)


def claim(draw: Draw) -> Draft:
    grants, now = draw.state.grants, draw.state.now
    due = [key for key, row in grants.items() if min(row["due"] or 2**60, row["usage_due"] or 2**60) <= now]
    if not due and not draw.rarely(20):
        raise Nothing
    return draw.anyone(), [licenses.Claim(draw.some([*grants, UNKNOWN] if draw.rarely(30) or not due else due))]


def of_manager(draw: Draw, rows: list[bytes]) -> tuple[bytes, bytes]:
    """Choose a grant, rarely any, and the manager of its asset."""
    state = draw.state
    rows = [*state.grants, UNKNOWN] if draw.rarely() else rows
    managers = {key: state.assets[grant["asset"]]["manager"] for key, grant in state.grants.items()}
    return draw.subject(rows, lambda key: managers.get(key) or draw.anyone())


def of_licensee(draw: Draw, rows: list[bytes]) -> tuple[bytes, bytes]:
    """Choose a grant, rarely any, and its licensee."""
    grants = draw.state.grants
    rows = [*grants, UNKNOWN] if draw.rarely() else rows
    return draw.subject(rows, lambda key: grants[key]["licensee"] if key in grants else draw.anyone())


def approve(draw: Draw) -> Draft:
    state = draw.state
    waiting = [
        key
        for key, grant in state.grants.items()
        if state.terms[grant["terms"]]["derivatives"] == "on-approval" and not grant["approved"]
    ]
    sender, key = of_manager(draw, waiting)
    return sender, [licenses.ApproveDerivatives(key)]


# --- after the purchase


def renewable(draw: Draw) -> list[bytes]:
    """Grants whose next term can be bought, and rarely others that end."""
    state, found = draw.state, []
    for key, grant in state.grants.items():
        terms, end = state.terms[grant["terms"]], grant["end"]
        fit = terms["renewable"] and grant["due"] is None and grant["state"] == "active"
        fit = fit and grant["revocation"] is None and grant["successor"] is None
        timely = end is not None and end - terms["term_ms"] <= state.now < end + 7 * DAY_MS
        if (fit and timely) or (end is not None and draw.rarely(3)):
            found.append(key)
    return found


def renew(draw: Draw) -> Draft:
    """Under the same terms where somebody offers them still, else under others."""
    state = draw.state
    open_now = open_offers(draw)
    wanted = {state.offers[key]["asset"] for key in open_now if key in state.offers}
    rows = renewable(draw)
    sender, key = of_licensee(draw, [key for key in rows if state.grants[key]["asset"] in wanted] or rows)
    grant = state.grants.get(key, {"asset": UNKNOWN, "terms": UNKNOWN})
    offers = [one for one in open_now if one in state.offers and state.offers[one]["asset"] == grant["asset"]]
    same = [one for one in offers if state.offers[one]["terms"] == grant["terms"]]
    fit = same if same and not draw.rarely(25) else offers
    offer = draw.some(fit if fit and not draw.rarely() else [*state.offers, UNKNOWN])
    known = [row[1] for row in revealable(draw, "licenses") if row[0] == sender and row[1].subject == offer]
    digest = state.offers.get(offer, {"terms": UNKNOWN})["terms"]
    price = state.terms.get(digest, {"price": 0})["price"]
    return sender, [licenses.Renew(key, offer, digest, price, known[0].salt if known else None)]


def report_usage(draw: Draw) -> Draft:
    """The licensee signs a count, the manager reports it; rarely not this licensee, not this count, too much."""
    state, now = draw.state, draw.state.now
    counted = [
        key
        for key, grant in state.grants.items()
        if state.terms[grant["terms"]]["quota_unit"] in COUNTED_BY_VOUCHERS
        and (draw.rarely() or (grant["state"] == "active" and grant["start"] <= now and grant["used"] < grant["quota"]))
    ]
    sender, key = of_manager(draw, counted)
    grant = state.grants.get(key, {"used": 0, "quota": 1, "licensee": sender})
    quota = grant["quota"] or 1
    count = grant["used"] + draw.some([1, 1, 2, max(1, quota - grant["used"]), quota // 3])
    count = min(count, quota) if not draw.rarely(8) else draw.some([quota + 1, max(1, grant["used"])])
    keys = state.accounts[draw.some(draw.parties()) if draw.rarely() else grant["licensee"]]["keys"]
    signer = draw.some([one for one, role in keys.items() if role != "release" or draw.rarely(20)])
    voucher = Voucher(state.network, key, count + draw.rarely(3))
    signature = sign_voucher(voucher, draw.notebook.keys[signer])
    return sender, [licenses.ReportUsage(key, max(count, 1), signer, signature)] * (2 if draw.rarely() else 1)


def set_seats(draw: Draw) -> Draft:
    state = draw.state
    seated = [
        key for key, grant in state.grants.items() if state.terms[grant["terms"]]["seats"] is not None or draw.rarely(1)
    ]
    sender, key = of_licensee(draw, seated)
    organization = state.accounts[sender]["organization"]
    colleagues = [one for one in draw.parties() if state.accounts[one]["organization"] == organization]
    named = {draw.some(colleagues) for _ in range(draw.some([0, 1, 1, 2, 3]))}
    if draw.rarely(8):
        named.add(draw.some([UNKNOWN, state.validators[0], *draw.parties()]))
    return sender, [licenses.SetSeats(key, tuple(named))]


def revoke(draw: Draw) -> Draft:
    state = draw.state
    revocable = [
        key
        for key, grant in state.grants.items()
        if (terms := state.terms[grant["terms"]])["revocation_causes"]
        and (
            draw.rarely()
            or (
                grant["revocation"] is None
                and state_of(state, grant) in ("active", "scheduled")
                and (grant["end"] is None or state.now + terms["notice_ms"] < grant["end"])
            )
        )
    ]
    unpaid = [key for key in revocable if state.grants[key]["due"] is not None]
    if len(revocable) < 2 and not unpaid and not draw.rarely(30):
        raise Nothing
    sender, key = of_manager(draw, unpaid if unpaid and draw.rarely(60) else revocable)
    cause = "boredom" if draw.rarely() else draw.some(["breach", "fraud"])
    evidence = draw.some([None, None, *list(state.claims)[:1], "b" + "a" * 58]) if draw.rarely(40) else None
    return sender, [licenses.Revoke(key, cause, evidence)]


def withdraw(draw: Draw) -> Draft:
    from tests.reference.royalties import creators_pool

    assets_of = {creators_pool(key): key for key in draw.state.assets} | {key: key for key in draw.state.assets}
    owed = [(pool, account) for (pool, account), parts in draw.state.owed.items() if parts >= 10_000]
    if draw.rarely():
        return draw.anyone(), [royalties.Withdraw(draw.some([UNKNOWN, *draw.state.assets]))]
    sender, (pool, _) = draw.subject(owed, lambda row: row[1])
    return sender, [royalties.Withdraw(assets_of[pool])]
