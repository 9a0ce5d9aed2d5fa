"""Licenses: offers, purchases, and what becomes of a payment in escrow."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.licenses import operations as ops
from tests.reference import assets, reputation, royalties, usage
from tests.reference.credits import escrow_name, hold, move
from tests.reference.grants import check_holdable, known_grant, live, outstanding, reserves, sold, sole_owner
from tests.reference.guards import check_unguarded
from tests.reference.state import (
    BPS,
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
from tests.reference.terms import check_inherited, check_terms

RESERVING_MAX, WAITING_MAX = 64, 100


# --- offers


def offer(call: Call, operation: ops.Offer) -> None:
    state = call.state
    asset = assets.tradable(state, operation.asset)
    need(asset["manager"] == call.sender, "licenses.not_manager")
    check_unguarded(state, operation.asset, "terms")
    open_offer(call, operation)


def open_offer(call: Call, operation: ops.Offer) -> None:
    """By whoever may, in the manager's name."""
    state, terms = call.state, operation.terms
    asset = assets.tradable(state, operation.asset)
    check_terms(terms)
    plain = msgspec.structs.asdict(terms)
    check_inherited(state, operation.asset, plain)
    need(operation.buyer is None or is_party(state, operation.buyer), "licenses.invalid_buyer")
    version = operation.version or len(asset["versions"])
    need(assets.version_of(asset, version)["cid"] not in state.down, "assets.taken_down")
    assets.check_expiry(call, operation.expires_at_ms, "licenses.expiry_out_of_range")
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
    check_unguarded(call.state, withdrawn["asset"], "terms")
    end_offer(call, operation.offer)


def end_offer(call: Call, identifier: bytes) -> None:
    drop_deadline(call.state, call.state.offers[identifier]["expires"], "licenses.offer_expiry", identifier)
    del call.state.offers[identifier]


def approve_derivatives(call: Call, operation: ops.ApproveDerivatives) -> None:
    grant = known_grant(call.state, operation.grant)
    need(call.state.assets[grant["asset"]]["manager"] == call.sender, "licenses.not_manager")
    asked = call.state.terms[grant["terms"]]["derivatives"] == "on-approval"
    need(asked and not grant["approved"] and grant["state"] != "refunded", "licenses.nothing_to_approve")
    grant["approved"] = True


# --- purchases


def period(terms: dict[str, Any], active: int) -> tuple[int, int | None]:
    begin = active if terms["start_ms"] is None else terms["start_ms"]
    return max(begin, active), None if terms["term_ms"] is None else begin + terms["term_ms"]


def ordered(call: Call, operation: ops.Purchase | ops.Renew) -> dict[str, Any]:
    """Return the offer that is ordered under: open, of the present owner, and what the sender saw."""
    state = call.state
    need(operation.offer in state.offers, "licenses.unknown_offer")
    offered: dict[str, Any] = state.offers[operation.offer]
    asset, terms = assets.tradable(state, offered["asset"]), state.terms[offered["terms"]]
    need(call.now < offered["expires"], "licenses.offer_expired")
    need(offered["transfers"] == asset["transfers"], "licenses.offer_void")
    need(assets.version_of(asset, offered["version"])["cid"] not in state.down, "assets.taken_down")
    need(operation.terms_digest == offered["terms"], "licenses.terms_mismatch")
    need(terms["price"] <= operation.price_max, "licenses.price_above_max")
    check_inherited(state, offered["asset"], terms)
    need(offered["buyer"] in (None, call.sender), "licenses.not_the_buyer")
    return offered


def purchase(call: Call, operation: ops.Purchase) -> None:
    take_grant(call, ordered(call, operation), operation, call.now, None)


def take_grant(
    call: Call,
    offered: dict[str, Any],
    operation: ops.Purchase | ops.Renew,
    begin: int,
    predecessor: bytes | None,
) -> bytes:
    """Make and pay a grant that begins at `begin` at the earliest."""
    state, terms = call.state, call.state.terms[offered["terms"]]
    issued = len(sold(state, offered["asset"], offered["terms"]))
    left = (terms["editions_max"] or 2**40) - outstanding(state, offered["asset"], offered["terms"])
    need(left > 0, "licenses.sold_out")
    identifier = ops.grant_id(call.id, operation.offer)
    need(identifier not in state.grants, "licenses.grant_exists")
    grant = new_grant(call, offered, issued + 1, begin) | {"predecessor": predecessor}
    check_holdable(state, identifier, grant, call.sender)
    reveal_order(call, operation, terms["exclusivity"] == "exclusive" or left == 1)
    take_payment(call, identifier, grant)
    usage.deposit(call, identifier, terms)
    check_crowd(state, identifier, grant)
    state.grants[identifier] = grant
    if grant["state"] == "active":
        usage.set_return(state, identifier)
    return identifier


def reveal_order(call: Call, operation: ops.Purchase | ops.Renew, needed: bool) -> None:
    if operation.salt is not None:
        reveal(call, "licenses", ops.purchase_commitment(operation.offer, call.sender, operation.salt))
    else:
        need(not needed, "licenses.commitment_required")


def is_exempt(call: Call, asset_id: bytes) -> bool:
    """Inside one organization no least royalties are due."""
    owner = sole_owner(call.state.assets[asset_id])
    return owner is not None and organization_of(call.state, owner) == call.organization


def new_grant(call: Call, offered: dict[str, Any], edition: int, begin: int) -> dict[str, Any]:
    state, asset_id, now = call.state, offered["asset"], call.now
    terms = state.terms[offered["terms"]]
    available = assets.version_of(state.assets[asset_id], offered["version"])["available"] is not None
    start, end = period(terms, begin)
    need(end is None or start < end, "licenses.term_over")
    due = now + terms["dispute_window_ms"] if terms["dispute_window_ms"] else None
    if not available:
        due = now + state.escrow_timeout
        end = period(terms, max(due, begin))[1]
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
        "exempt": is_exempt(call, asset_id),
        "approved": False,
        "used": 0,
        "quota": terms["quota"],
        "terms_paid": 1,
        "renewed_from": None,
        "usage_due": None,
        "revocation": None,
        "refunded": 0,
        "successor": None,
        "superseded_at": None,
        "disputed": False,
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


def check_crowd(state: Any, identifier: bytes, grant: dict[str, Any]) -> None:
    others = [other for key, other in state.grants.items() if other["asset"] == grant["asset"] and key != identifier]
    if reserves(state, grant):
        crowd = sum(reserves(state, other) and live(state, other) for other in others)
        need(crowd < RESERVING_MAX, "licenses.too_many_reserving")
    if grant["state"] == "escrowed":
        crowd = sum((other["state"], other["version"]) == ("escrowed", grant["version"]) for other in others)
        need(crowd < WAITING_MAX, "licenses.too_many_waiting")


# --- what becomes of a payment


def became_available(call: Call, asset: bytes, version: int) -> None:
    """What waited for a version becomes active, and is paid for, in order of id; what waited too long returns."""
    for identifier, grant in sorted(call.state.grants.items()):
        if (grant["asset"], grant["version"], grant["state"]) == (asset, version, "escrowed"):
            drop_deadline(call.state, grant["due"], "licenses.escrow_due", identifier)
            (activate if call.now < grant["due"] else lapse)(call, identifier, grant)


def lapse(call: Call, identifier: bytes, _grant: dict[str, Any]) -> None:
    refund(call, identifier)


def activate(call: Call, identifier: bytes, grant: dict[str, Any]) -> None:
    """A successor does not begin before its predecessor ends."""
    terms = call.state.terms[grant["terms"]]
    start, end = period(terms, max(call.now, grant["start"]))
    if end is not None and end <= start:
        refund(call, identifier)
        return
    grant.update(state="active", start=start, end=end, due=None)
    usage.set_return(call.state, identifier)
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
    grant.update(due=None, renewed_from=None)


def refund(call: Call, identifier: bytes) -> None:
    return_payment(call.state, identifier)
    end(call, identifier)


def end(call: Call, identifier: bytes) -> None:
    """The payment has returned, the deposit follows. A renewal is undone; else the grant ends, and the one before it
    can be renewed again."""
    state = call.state
    grant = state.grants[identifier]
    grant["due"] = None
    usage.drop_return(state, identifier)
    if grant["renewed_from"] is not None:
        undo_renewal(state, identifier)
        reputation.returned(state, identifier)
        return
    usage.give_deposit_back(state, identifier)
    grant["state"] = "refunded"
    reputation.returned(state, identifier)
    if grant["predecessor"] is not None:
        before = state.grants[grant["predecessor"]]
        if before["successor"] == identifier:
            before.update(successor=None, superseded_at=None)


def return_payment(state: Any, identifier: bytes) -> None:
    """What a revoker has paid back comes back to the revoker; nobody is paid twice."""
    grant = state.grants[identifier]
    payer, amount = state.escrows.pop(identifier)
    twice = min(grant["refunded"], amount)
    if twice:
        move(state, escrow_name(identifier), grant["revocation"]["by"], twice)
        reputation.paid(state, payer, {grant["revocation"]["by"]: BPS}, twice)
        grant["refunded"] -= twice
    move(state, escrow_name(identifier), payer, amount - twice)


def undo_renewal(state: Any, identifier: bytes) -> None:
    """The terms before it stand, with what is left of their quota."""
    grant = state.grants[identifier]
    end, quota = grant["renewed_from"], state.terms[grant["terms"]]["quota"]
    grant.update(end=end, start=min(grant["start"], end), renewed_from=None, terms_paid=grant["terms_paid"] - 1)
    if quota is not None:
        kept = max(grant["quota"] - quota, grant["used"])
        usage.give_deposit_back(state, identifier, kept - grant["used"])
        grant["quota"] = kept
    usage.set_return(state, identifier)


def due(call: Call, identifier: bytes) -> None:
    """What nobody made available returns; what became active is paid."""
    escrowed = call.state.grants[identifier]["state"] == "escrowed"
    (refund if escrowed else settle)(call, identifier)


def claim(call: Call, operation: ops.Claim) -> None:
    """Whichever of payment and deposit is due; anybody may ask."""
    state, identifier = call.state, operation.grant
    grant = known_grant(state, identifier)
    times = [at for at in (grant["due"], grant["usage_due"]) if at is not None]
    need(times, "licenses.nothing_in_escrow")
    need(min(times) <= call.now, "licenses.not_due")
    if grant["due"] is not None and grant["due"] <= call.now:
        drop_deadline(state, grant["due"], "licenses.escrow_due", identifier)
        due(call, identifier)
    if grant["usage_due"] is not None and grant["usage_due"] <= call.now:
        usage.drop_return(state, identifier)
        usage.give_deposit_back(state, identifier)


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
