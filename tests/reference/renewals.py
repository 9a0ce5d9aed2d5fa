"""What a grant goes through after its purchase: renewal, revocation, seats."""

from __future__ import annotations

from typing import Any

from ledger.modules.licenses import operations as ops
from tests.reference import assets, reputation, usage
from tests.reference.credits import move
from tests.reference.grants import check_holdable, exhausted, known_grant, live, state_of
from tests.reference.licenses import check_crowd, is_exempt, ordered, reveal_order, take_grant, take_payment
from tests.reference.state import BPS, Call, is_cid, is_party, need, organization_of
from tests.reference.terms import AMOUNT_MAX

GRACE_MS = 7 * 86_400_000


def renew(call: Call, operation: ops.Renew) -> None:
    """The same terms add a term to the grant, other terms make a grant that follows it."""
    grant = known_grant(call.state, operation.grant)
    need(grant["licensee"] == call.sender, "licenses.not_licensee")
    begin = next_term(call, grant)
    offered = ordered(call, operation)
    need(offered["asset"] == grant["asset"], "licenses.other_asset")
    if offered["terms"] == grant["terms"]:
        extend(call, operation, offered, begin)
    else:
        grant["successor"] = take_grant(call, offered, operation, begin, operation.grant)
        grant["superseded_at"] = begin


def next_term(call: Call, grant: dict[str, Any]) -> int:
    """Where the grant ends, or now, where it has ended or its quota is used."""
    terms, end = call.state.terms[grant["terms"]], grant["end"]
    need(terms["renewable"] and end is not None, "licenses.not_renewable")
    need(grant["revocation"] is None and grant["successor"] is None, "licenses.not_renewable")
    known = state_of(call.state, grant) in ("scheduled", "active", "exhausted", "expired")
    need(known, "licenses.not_renewable")
    need(call.now < end + GRACE_MS, "licenses.renewal_too_late")
    need(grant["due"] is None, "licenses.payment_in_escrow")
    if end <= call.now or exhausted(grant):
        return call.now
    need(end - terms["term_ms"] <= call.now, "licenses.renewal_too_early")
    return int(end)


def extend(call: Call, operation: ops.Renew, offered: dict[str, Any], begin: int) -> None:
    """A further term of the same token."""
    state, identifier, now = call.state, operation.grant, call.now
    grant, terms = state.grants[identifier], state.terms[offered["terms"]]
    available = assets.version_of(state.assets[grant["asset"]], offered["version"])["available"]
    need(available is not None, "licenses.not_available")
    window = terms["dispute_window_ms"]
    if window:
        grant.update(due=now + window, renewed_from=grant["end"])
    if grant["end"] < now:
        grant["start"] = now
    grant["end"] = max(grant["end"], begin + terms["term_ms"])
    grant["exempt"] = is_exempt(call, grant["asset"])
    grant["quota"] = None if grant["quota"] is None else grant["quota"] + terms["quota"]
    grant["terms_paid"] += 1
    check_holdable(state, identifier, grant, call.sender)
    reveal_order(call, operation, terms["exclusivity"] == "exclusive")
    take_payment(call, identifier, grant)
    usage.deposit(call, identifier, terms)
    usage.set_return(state, identifier)
    check_crowd(state, identifier, grant)


def revoke(call: Call, operation: ops.Revoke) -> None:
    """For a cause that the terms name, from their notice on; the promised refund is paid here."""
    state = call.state
    grant = known_grant(state, operation.grant)
    terms = state.terms[grant["terms"]]
    need(state.assets[grant["asset"]]["manager"] == call.sender, "licenses.not_manager")
    need(operation.cause in terms["revocation_causes"], "licenses.cause_not_agreed")
    need(operation.evidence is None or is_cid(operation.evidence), "licenses.invalid_evidence")
    effect, end = call.now + terms["notice_ms"], grant["end"]
    need(grant["revocation"] is None, "licenses.already_revoked")
    need(state_of(state, grant) in ("scheduled", "active"), "licenses.not_revocable")
    need(end is None or effect < end, "licenses.not_revocable")
    if terms["refund_mode"] == "pro-rata":
        unused = grant["price"] * (end - max(effect, grant["start"]))
        grant["refunded"] = (unused + terms["term_ms"] - 1) // terms["term_ms"]
        need(grant["refunded"] <= AMOUNT_MAX, "credits.insufficient")
        move(state, call.sender, grant["licensee"], grant["refunded"])
        reputation.paid(state, call.sender, {grant["licensee"]: BPS}, grant["refunded"])
    grant["revocation"] = {"cause": operation.cause, "by": call.sender, "effect": effect}
    usage.set_return(state, operation.grant)
    reputation.returned(state, operation.grant)


def set_seats(call: Call, operation: ops.SetSeats) -> None:
    """Name who of the licensee's organization may use the grant beside the licensee."""
    state = call.state
    grant = known_grant(state, operation.grant)
    need(grant["licensee"] == call.sender, "licenses.not_licensee")
    seats = state.terms[grant["terms"]]["seats"]
    need(seats is not None, "licenses.no_seats")
    named = set(operation.accounts) - {call.sender}
    need(not named or live(state, grant), "licenses.not_active")
    need(1 + len(named) <= seats, "licenses.too_many_seats")
    colleagues = [is_party(state, one) and organization_of(state, one) == call.organization for one in named]
    need(all(colleagues), "licenses.seat_account")
    state.seats.pop(operation.grant, None)
    if named:
        state.seats[operation.grant] = tuple(sorted(named))


OPERATIONS = {ops.Renew: renew, ops.Revoke: revoke, ops.SetSeats: set_seats}
