"""Licenses: terms, offers, purchases, escrow, and whether two grants exclude each other.

Editions, waiting buyers and reserving grants are counted among all grants whenever somebody asks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.licenses import operations as ops
from tests.reference import assets, royalties
from tests.reference.credits import escrow_name, give_back, hold
from tests.reference.state import (
    Call,
    commit,
    drop_deadline,
    forget_commitment,
    is_party,
    need,
    organization_of,
    reveal,
    set_deadline,
)

RESERVING_MAX, WAITING_MAX = 64, 100
TRAINING = {"train-on", "fine-tune", "distill-merge"}


# --- terms


def check_terms(terms: ops.Terms) -> None:
    """Every rule once, in the order of the fields."""
    for values in (
        terms.rights,
        terms.field_allow,
        terms.field_deny,
        terms.territory,
        terms.credentials,
        terms.revocation_causes,
    ):
        need(list(values) == sorted(set(values)), "licenses.terms_unsorted")
    share, metered = terms.revenue_share_bps, terms.quota_unit
    single = terms.editions_max is None or terms.editions_max == 1
    need(terms.exclusivity == "none" or single, "licenses.terms_editions")
    need(terms.term_ms is not None or not terms.renewable, "licenses.terms_renewal")
    need((terms.quota is None) == (metered is None), "licenses.terms_quota")
    need(metered in (None, "trainings"), "licenses.terms_unmetered")
    need(metered is None or TRAINING & set(terms.rights), "licenses.terms_quota_right")
    need(not set(terms.field_allow) & set(terms.field_deny), "licenses.terms_fields")
    known = [credential.startswith("organization:") for credential in terms.credentials]
    need(all(known), "licenses.terms_credential")
    need(terms.transferable or not terms.resale_royalty_bps, "licenses.terms_resale")
    need(terms.commercial or not share, "licenses.terms_non_commercial")
    need(terms.derivatives != "no" or not share, "licenses.terms_no_derivatives")
    need(share or terms.transferable or not terms.least_royalty, "licenses.terms_least_royalty")
    cap = terms.revenue_share_cap
    need(share or cap is None, "licenses.terms_cap")
    need(cap is None or (cap > 0 and cap >= terms.least_royalty), "licenses.terms_cap_too_low")
    need((terms.revenue_share_depth > 0) == (share > 0), "licenses.terms_depth")
    need(terms.share_alike == "no" or terms.derivatives != "no", "licenses.terms_share_alike")
    need(terms.refund_mode == "none" or terms.revocation_causes, "licenses.terms_refund")
    need(not terms.notice_ms or terms.revocation_causes, "licenses.terms_notice")
    need(not terms.legal_text_cid or assets.is_cid(terms.legal_text_cid), "licenses.terms_legal_text")


IDENTICAL = (
    *("rights", "commercial", "exclusivity", "field_allow", "field_deny", "territory"),
    *("derivatives", "share_alike", "attribution", "legal_text_cid", "spdx_id"),
)
"""What of terms must be equal: all but price, time, numbers and shares of revenue."""


def check_inherited(state: Any, asset: dict[str, Any], ours: dict[str, Any]) -> None:
    """What an asset's ancestors demand of every license on it."""
    need(asset["denied"] <= set(ours["field_deny"]), "licenses.denied_field_dropped")
    free = not ours["commercial"] and not ours["price"]
    need(asset["commercial"] or free, "licenses.non_commercial_parent")
    for theirs in [state.terms[digest] for link in asset["links"].values() for digest in link["terms"]]:
        if theirs["share_alike"] == "superset":
            wider = set(theirs["rights"]) <= set(ours["rights"]) and ours["commercial"] >= theirs["commercial"]
            passed_on = ours["derivatives"] != "no" and ours["share_alike"] != "no"
            need(wider and passed_on, "licenses.share_alike")
        elif theirs["share_alike"] == "identical":
            need(all(theirs[name] == ours[name] for name in IDENTICAL), "licenses.share_alike")


# --- grants


def state_of(state: Any, grant: dict[str, Any], at: int | None = None) -> str:
    """The state of a grant at a time; expiry needs nobody's operation."""
    at, terms = state.now if at is None else at, state.terms[grant["terms"]]
    if grant["state"] != "active":
        return str(grant["state"])
    if grant["end"] is not None and grant["end"] <= at:
        return "expired"
    if terms["quota"] is not None and terms["quota"] <= grant["used"]:
        return "exhausted"
    return "scheduled" if at < grant["start"] else "active"


def live(state: Any, grant: dict[str, Any], at: int | None = None) -> bool:
    """Escrowed, active, or starting later. An escrow that has run past its grant's time counts no more."""
    at = state.now if at is None else at
    over = grant["end"] is not None and grant["end"] <= at
    return not over and state_of(state, grant, at) in ("escrowed", "active", "scheduled")


def family(state: Any, asset_id: bytes) -> set[bytes]:
    """The asset and its derivatives, as far as they are of one owner: of one organization, by an unbroken line."""
    owner = assets.sole_owner(state.assets[asset_id])
    found = {asset_id}
    while owner is not None:
        more = {
            child
            for child, asset in state.assets.items()
            if child not in found
            and found & set(asset["links"])
            and (other := assets.sole_owner(asset)) is not None
            and organization_of(state, other) == organization_of(state, owner)
        }
        if not more:
            break
        found |= more
    return found


def fields_meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether there is a field of use, named or not, that both allow."""
    named = {name for terms in (one, other) for name in (*terms["field_allow"], *terms["field_deny"])}
    return any(
        all((not t["field_allow"] or field in t["field_allow"]) and field not in t["field_deny"] for t in (one, other))
        for field in (*named, "any other")
    )


def overlap(state: Any, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Rights, territory, field of use and time all intersect; an empty list is everything."""
    first, second = state.terms[one["terms"]], state.terms[other["terms"]]
    where = not first["territory"] or not second["territory"] or set(first["territory"]) & set(second["territory"])
    starts = max(one["start"], other["start"])
    ends = [grant["end"] for grant in (one, other) if grant["end"] is not None]
    return bool(
        set(first["rights"]) & set(second["rights"])
        and where
        and fields_meet(first, second)
        and (not ends or starts < min(ends))
    )


def reserves(state: Any, grant: dict[str, Any]) -> bool:
    return bool(state.terms[grant["terms"]]["exclusivity"] != "none")


def collides(state: Any, grant: dict[str, Any]) -> bool:
    """Sole and exclusive grants bear no other beside them, on their asset or its derivatives by the same owner."""
    mine = family(state, grant["asset"]) if reserves(state, grant) else set()
    return any(
        live(state, other)
        and overlap(state, grant, other)
        and (other["asset"] in mine or (reserves(state, other) and grant["asset"] in family(state, other["asset"])))
        for other in state.grants.values()
    )


def exclusive_over(state: Any, asset: bytes, right: str) -> bytes | None:
    """The exclusive grant that binds even the owner, if there is one now."""
    for identifier, grant in sorted(state.grants.items()):
        terms = state.terms[grant["terms"]]
        binds = terms["exclusivity"] == "exclusive" and right in terms["rights"] and live(state, grant)
        if binds and grant["start"] <= state.now and asset in family(state, grant["asset"]):
            return bytes(identifier)
    return None


def may_use(state: Any, account: bytes, asset_id: bytes, right: str) -> bool:
    """Whether an account may exercise a right now: as the sole owner, as anybody, or by a grant of its own."""
    asset = state.assets[asset_id]
    if right == "download" and asset["visibility"] == "public":
        return True
    if account == assets.sole_owner(asset):
        return exclusive_over(state, asset_id, right) is None
    return any(
        (grant["asset"], grant["licensee"]) == (asset_id, account)
        and right in state.terms[grant["terms"]]["rights"]
        and state_of(state, grant) == "active"
        for grant in state.grants.values()
    )


def sold(state: Any, asset: bytes, terms: bytes) -> list[dict[str, Any]]:
    return [grant for grant in state.grants.values() if (grant["asset"], grant["terms"]) == (asset, terms)]


# --- offers


def offer(call: Call, operation: ops.Offer) -> None:
    state, terms = call.state, operation.terms
    asset = assets.tradable(state, operation.asset)
    need(asset["manager"] == call.sender, "licenses.not_manager")
    check_terms(terms)
    plain = msgspec.structs.asdict(terms)
    check_inherited(state, asset, plain)
    need(operation.buyer is None or is_party(state, operation.buyer), "licenses.invalid_buyer")
    version = operation.version or len(asset["versions"])
    assets.version_of(asset, version)
    assets.check_expiry(call, operation.expires_at_ms, "licenses")
    digest = ops.terms_digest(terms)
    identifier = ops.offer_id(call.id, operation.asset, digest, operation.buyer)
    need(identifier not in state.offers, "licenses.offer_exists")
    state.terms[digest] = plain
    state.offers[identifier] = {
        "asset": operation.asset,
        "version": version,
        "terms": digest,
        "maker": call.sender,
        "buyer": operation.buyer,
        "transfers": asset["transfers"],
        "expires": operation.expires_at_ms,
    }
    set_deadline(state, operation.expires_at_ms, "licenses.offer_expiry", identifier, call.organization)


def withdraw_offer(call: Call, operation: ops.WithdrawOffer) -> None:
    need(operation.offer in call.state.offers, "licenses.unknown_offer")
    withdrawn = call.state.offers[operation.offer]
    manager = call.state.assets[withdrawn["asset"]]["manager"]
    need(call.sender in (withdrawn["maker"], manager), "licenses.not_manager")
    drop_deadline(call.state, withdrawn["expires"], "licenses.offer_expiry", operation.offer)
    del call.state.offers[operation.offer]


def approve_derivatives(call: Call, operation: ops.ApproveDerivatives) -> None:
    need(operation.grant in call.state.grants, "licenses.unknown_grant")
    grant = call.state.grants[operation.grant]
    need(call.state.assets[grant["asset"]]["manager"] == call.sender, "licenses.not_manager")
    asked = call.state.terms[grant["terms"]]["derivatives"] == "on-approval"
    need(asked and not grant["approved"] and grant["state"] != "refunded", "licenses.nothing_to_approve")
    grant["approved"] = True


# --- purchases and what becomes of their payment


def period(terms: dict[str, Any], active: int) -> tuple[int, int | None]:
    begin = active if terms["start_ms"] is None else terms["start_ms"]
    return max(begin, active), None if terms["term_ms"] is None else begin + terms["term_ms"]


def purchase(call: Call, operation: ops.Purchase) -> None:
    state = call.state
    need(operation.offer in state.offers, "licenses.unknown_offer")
    offered = state.offers[operation.offer]
    asset, terms = assets.tradable(state, offered["asset"]), state.terms[offered["terms"]]
    need(call.now < offered["expires"], "licenses.offer_expired")
    need(offered["transfers"] == asset["transfers"], "licenses.offer_void")
    need(operation.terms_digest == offered["terms"], "licenses.terms_mismatch")
    need(terms["price"] <= operation.price_max, "licenses.price_above_max")
    check_inherited(state, asset, terms)
    need(offered["buyer"] in (None, call.sender), "licenses.not_the_buyer")
    need(call.sender not in asset["shares"], "licenses.self_purchase")
    credential = not terms["credentials"] or f"organization:{call.organization}" in terms["credentials"]
    need(credential, "licenses.credential_missing")
    before = sold(state, offered["asset"], offered["terms"])
    left = (terms["editions_max"] or 2**40) - sum(grant["state"] != "refunded" for grant in before)
    need(left > 0, "licenses.sold_out")
    identifier = ops.grant_id(call.id, operation.offer)
    need(identifier not in state.grants, "licenses.grant_exists")
    grant = new_grant(call, offered, len(before) + 1)
    need(grant["end"] is None or call.now < grant["end"], "licenses.term_over")
    need(not collides(state, grant), "licenses.collision")
    if operation.salt is not None:
        reveal(call, "licenses", ops.purchase_commitment(operation.offer, call.sender, operation.salt))
    else:
        need(left > 1 and terms["exclusivity"] != "exclusive", "licenses.commitment_required")
    take_payment(call, identifier, grant)
    check_crowd(state, grant)
    state.grants[identifier] = grant


def new_grant(call: Call, offered: dict[str, Any], edition: int) -> dict[str, Any]:
    state, asset_id = call.state, offered["asset"]
    asset, terms = state.assets[asset_id], state.terms[offered["terms"]]
    owner = assets.sole_owner(asset)
    available = assets.version_of(asset, offered["version"])["available"] is not None
    start, end = period(terms, call.now)
    due = call.now + terms["dispute_window_ms"] if terms["dispute_window_ms"] else None
    if not available:
        due = call.now + state.escrow_timeout
        end = period(terms, due)[1]
    return {
        "asset": asset_id,
        "version": offered["version"],
        "terms": offered["terms"],
        "licensee": call.sender,
        "edition": edition,
        "price": terms["price"],
        "state": "active" if available else "escrowed",
        "start": start,
        "end": end,
        "due": due,
        "exempt": owner is not None and organization_of(state, owner) == call.organization,
        "approved": False,
        "used": 0,
    }


def take_payment(call: Call, identifier: bytes, grant: dict[str, Any]) -> None:
    """Pay at once, or set the price aside until a deadline."""
    asset, price, exempt = grant["asset"], grant["price"], grant["exempt"]
    if grant["due"] is None:
        royalties.pay(call.state, asset, call.sender, price, exempt)
        return
    need(royalties.sale_is_covered(call.state, asset, price, exempt), "royalties.uncovered")
    hold(call.state, identifier, call.sender, price)
    set_deadline(call.state, grant["due"], "licenses.escrow_due", identifier, call.organization)


def check_crowd(state: Any, grant: dict[str, Any]) -> None:
    others = [other for other in state.grants.values() if other["asset"] == grant["asset"]]
    if reserves(state, grant):
        crowd = sum(reserves(state, other) and live(state, other) for other in others)
        need(crowd < RESERVING_MAX, "licenses.too_many_reserving")
    if grant["state"] == "escrowed":
        crowd = sum((other["state"], other["version"]) == ("escrowed", grant["version"]) for other in others)
        need(crowd < WAITING_MAX, "licenses.too_many_waiting")


def became_available(call: Call, asset: bytes, version: int) -> None:
    """What waited for a version becomes active, and is paid for, in order of id."""
    for identifier, grant in sorted(call.state.grants.items()):
        if (grant["asset"], grant["version"], grant["state"]) == (asset, version, "escrowed"):
            drop_deadline(call.state, grant["due"], "licenses.escrow_due", identifier)
            activate(call, identifier, grant)


def activate(call: Call, identifier: bytes, grant: dict[str, Any]) -> None:
    terms = call.state.terms[grant["terms"]]
    start, end = period(terms, call.now)
    if end is not None and end <= call.now:
        refund(call, identifier)
        return
    grant.update(state="active", start=start, end=end)
    if not terms["dispute_window_ms"]:
        settle(call, identifier)
        return
    grant["due"] = call.now + terms["dispute_window_ms"]
    organization = organization_of(call.state, grant["licensee"])
    set_deadline(call.state, grant["due"], "licenses.escrow_due", identifier, organization)


def settle(call: Call, identifier: bytes) -> None:
    """Pay the escrow out; where least royalties have outgrown it meanwhile, it returns."""
    grant = call.state.grants[identifier]
    if not royalties.sale_is_covered(call.state, grant["asset"], grant["price"], grant["exempt"]):
        refund(call, identifier)
        return
    del call.state.escrows[identifier]
    royalties.pay(call.state, grant["asset"], escrow_name(identifier), grant["price"], grant["exempt"])
    grant["due"] = None


def refund(call: Call, identifier: bytes) -> None:
    give_back(call.state, identifier)
    call.state.grants[identifier].update(state="refunded", due=None)


def due(call: Call, identifier: bytes) -> None:
    """What nobody made available returns; what became active is paid."""
    escrowed = call.state.grants[identifier]["state"] == "escrowed"
    (refund if escrowed else settle)(call, identifier)


def claim(call: Call, operation: ops.Claim) -> None:
    need(operation.grant in call.state.grants, "licenses.unknown_grant")
    at = call.state.grants[operation.grant]["due"]
    need(at is not None, "licenses.nothing_in_escrow")
    need(at <= call.now, "licenses.not_due")
    drop_deadline(call.state, at, "licenses.escrow_due", operation.grant)
    due(call, operation.grant)


OPERATIONS = {
    ops.Commit: lambda call, operation: commit(call, "licenses", operation.commitment),
    ops.Offer: offer,
    ops.WithdrawOffer: withdraw_offer,
    ops.Purchase: purchase,
    ops.Claim: claim,
    ops.ApproveDerivatives: approve_derivatives,
}
DEADLINES = {
    "licenses.commitment_expiry": lambda call, subject: forget_commitment(call, "licenses", subject),
    "licenses.offer_expiry": lambda call, subject: call.state.offers.pop(subject),
    "licenses.escrow_due": due,
}
