"""Grants: what they are at a time, which of them exclude each other, who may hold and use them.

Whatever is asked is counted among all grants whenever somebody asks.
"""

from __future__ import annotations

from typing import Any

from tests.reference.state import Refused, need, organization_of


def sole_owner(asset: dict[str, Any]) -> bytes | None:
    owners = list(asset["shares"])
    return owners[0] if len(owners) == 1 else None


def known_grant(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.grants, "licenses.unknown_grant")
    grant: dict[str, Any] = state.grants[identifier]
    return grant


def end_of(grant: dict[str, Any]) -> int | None:
    """The end, by the term or by a revocation; None never comes."""
    ends = [grant["end"], grant["revocation"] and grant["revocation"]["effect"]]
    return min((end for end in ends if end is not None), default=None)


def exhausted(grant: dict[str, Any]) -> bool:
    return grant["quota"] is not None and bool(grant["quota"] <= grant["used"])


def state_of(state: Any, grant: dict[str, Any], at: int | None = None) -> str:
    """The state of a grant at a time, as docs/spec/licenses.md has it; expiry needs nobody's operation."""
    at = state.now if at is None else at
    if grant["state"] != "active":
        return str(grant["state"])
    revocation, superseded = grant["revocation"], grant["superseded_at"]
    answers = {
        "disputed": grant["disputed"],
        "revoked": revocation is not None and revocation["effect"] <= at,
        "superseded": superseded is not None and superseded <= at,
        "expired": grant["end"] is not None and grant["end"] <= at,
        "exhausted": exhausted(grant),
        "scheduled": at < grant["start"],
    }
    return next((name for name, holds in answers.items() if holds), "active")


def live(state: Any, grant: dict[str, Any]) -> bool:
    """Escrowed, active, disputed, or starting later. What has run past its grant's time counts no more."""
    end = end_of(grant)
    over = end is not None and end <= state.now
    return not over and not exhausted(grant) and state_of(state, grant) in LIVE


LIVE = ("escrowed", "active", "disputed", "scheduled")


def family(state: Any, asset_id: bytes) -> set[bytes]:
    """The asset and its derivatives, as far as they are of one owner: of one organization, by an unbroken line."""
    owner = sole_owner(state.assets[asset_id])
    found = {asset_id}
    while owner is not None:
        more = {
            child
            for child, asset in state.assets.items()
            if child not in found
            and found & set(asset["links"])
            and (other := sole_owner(asset)) is not None
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
    ends = [end for end in (end_of(one), end_of(other)) if end is not None]
    return bool(
        set(first["rights"]) & set(second["rights"])
        and where
        and fields_meet(first, second)
        and (not ends or starts < min(ends))
    )


def reserves(state: Any, grant: dict[str, Any]) -> bool:
    return bool(state.terms[grant["terms"]]["exclusivity"] != "none")


def collides(state: Any, identifier: bytes, grant: dict[str, Any]) -> bool:
    """Sole and exclusive grants bear no other beside them, on their asset or its derivatives by the same owner."""
    mine = family(state, grant["asset"]) if reserves(state, grant) else set()
    return any(
        key != identifier
        and live(state, other)
        and overlap(state, grant, other)
        and (other["asset"] in mine or (reserves(state, other) and grant["asset"] in family(state, other["asset"])))
        for key, other in state.grants.items()
    )


def check_holdable(state: Any, identifier: bytes, grant: dict[str, Any], licensee: bytes) -> None:
    """Whether an account may hold a grant from now on: purchase, renewal and transfer ask the same."""
    need(set(state.assets[grant["asset"]]["shares"]) != {licensee}, "licenses.self_purchase")
    check_unopposed(state, identifier, grant, licensee)


def check_unopposed(state: Any, identifier: bytes, grant: dict[str, Any], licensee: bytes) -> None:
    """All of that but for what the licensee brings about itself, by buying a share."""
    terms = state.terms[grant["terms"]]
    credential = f"organization:{organization_of(state, licensee)}"
    need(not terms["credentials"] or credential in terms["credentials"], "licenses.credential_missing")
    named = state.seats.get(identifier, ()) if grant["licensee"] == licensee else ()
    need(1 + len(named) <= (terms["seats"] or 1), "licenses.too_many_seats")
    need(not collides(state, identifier, grant), "licenses.collision")


def unopposed(state: Any, identifier: bytes, grant: dict[str, Any], licensee: bytes) -> bool:
    try:
        check_unopposed(state, identifier, grant, licensee)
    except Refused:
        return False
    return True


def exclusive_over(state: Any, asset: bytes, right: str) -> bytes | None:
    """The exclusive grant that binds even the owner, if there is one now."""
    for identifier, grant in sorted(state.grants.items()):
        terms = state.terms[grant["terms"]]
        binds = terms["exclusivity"] == "exclusive" and right in terms["rights"] and live(state, grant)
        if binds and grant["start"] <= state.now and asset in family(state, grant["asset"]):
            return bytes(identifier)
    return None


def may_use(state: Any, account: bytes, asset_id: bytes, right: str) -> bool:
    """Whether an account may exercise a right now: as the sole owner, as anybody, by a grant of its own or by a seat
    of another's."""
    asset = state.assets[asset_id]
    if right == "download" and asset["visibility"] == "public":
        return True
    if account == sole_owner(asset):
        return exclusive_over(state, asset_id, right) is None
    return any(
        grant["asset"] == asset_id
        and (grant["licensee"] == account or account in state.seats.get(identifier, ()))
        and right in state.terms[grant["terms"]]["rights"]
        and state_of(state, grant) == "active"
        for identifier, grant in state.grants.items()
    )


def sold(state: Any, asset: bytes, terms: bytes) -> list[dict[str, Any]]:
    return [grant for grant in state.grants.values() if (grant["asset"], grant["terms"]) == (asset, terms)]


def outstanding(state: Any, asset: bytes, terms: bytes) -> int:
    """Editions that are with somebody; those whose whole price went back are not."""
    return sum(grant["state"] != "refunded" for grant in sold(state, asset, terms))
