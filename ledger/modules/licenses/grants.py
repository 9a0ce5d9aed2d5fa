"""What a grant is at a given block time, and whether two grants exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from ledger.errors import OperationError
from ledger.modules.assets.reads import children, links, owner_organization
from ledger.modules.licenses.operations import Right, Terms
from ledger.modules.licenses.records import (
    GRANTS,
    GRANTS_BY_ASSET,
    GRANTS_BY_LICENSEE,
    RESERVING,
    SCAN_MAX,
    TERMS,
    Grant,
)
from ledger.state.view import Readable

State = Literal["escrowed", "scheduled", "active", "exhausted", "expired", "refunded"]

FAMILY_MAX: Final = 1_024
"""Assets of one owner that are searched for grants that collide with a sole or exclusive one."""


def require_terms(view: Readable, digest: bytes) -> Terms:
    """Return terms that a record refers to."""
    terms = TERMS.get(view, digest)
    assert terms is not None
    return terms


def require_grant(view: Readable, grant: bytes) -> Grant:
    """Return a grant's record. Raises `licenses.unknown_grant`."""
    record = GRANTS.get(view, grant)
    if record is None:
        raise OperationError("licenses.unknown_grant", f"no grant {grant.hex()}")
    return record


def state_at(grant: Grant, terms: Terms, at_ms: int) -> State:
    """Return the state of a grant at a block time: expiry is a pure function of it, and needs no operation."""
    if grant.state != "active":
        return grant.state
    if grant.end_ms is not None and at_ms >= grant.end_ms:
        return "expired"
    if terms.quota is not None and grant.used >= terms.quota:
        return "exhausted"
    return "scheduled" if at_ms < grant.start_ms else "active"


def is_live(grant: Grant, terms: Terms, at_ms: int) -> bool:
    """Tell whether a grant counts against others: escrowed, active, or starting later.

    An exhausted one does not: it gives its licensee nothing any more, and must not keep from others for ever what
    nobody can use. An escrow ends with the latest time that its grant could have.
    """
    if grant.end_ms is not None and at_ms >= grant.end_ms:
        return False
    return state_at(grant, terms, at_ms) in ("escrowed", "scheduled", "active")


def grants_of(view: Readable, account: bytes, asset: bytes) -> Iterator[tuple[bytes, Grant, Terms]]:
    """Yield (id, grant, terms) of an account's grants on an asset, in order of id."""
    for grant_id, _ in GRANTS_BY_LICENSEE.items(view, account, asset):
        grant = require_grant(view, grant_id)
        yield grant_id, grant, require_terms(view, grant.terms)


def reserving_grants(view: Readable, asset: bytes, at_ms: int) -> Iterator[tuple[bytes, Grant, Terms]]:
    """Yield the live sole and exclusive grants that bind `asset`: its own and, by the same owner, its ancestors'."""
    for bound in (asset, *_same_owner_ancestors(view, asset)):
        for grant_id, _ in RESERVING.items(view, bound):
            grant = require_grant(view, grant_id)
            terms = require_terms(view, grant.terms)
            if is_live(grant, terms, at_ms):
                yield grant_id, grant, terms


def colliding_grant(
    view: Readable, asset: bytes, terms: Terms, start_ms: int, end_ms: int | None, now_ms: int
) -> bytes | None:
    """Return a live grant that a new one under `terms` for [start_ms, end_ms) would collide with.

    Two grants collide when rights, territory, field of use and time all intersect and one of them is sole or
    exclusive. A sole or exclusive grant reserves all versions of its asset and of the asset's derivatives by the same
    owner.

    Raises:
        OperationError: `licenses.too_many_grants` when the search would be too long.
    """
    for grant_id, grant, other in reserving_grants(view, asset, now_ms):
        if _overlap(terms, start_ms, end_ms, other, grant):
            return grant_id
    if terms.exclusivity == "none":
        return None
    searched = 0
    for bound in (asset, *_same_owner_descendants(view, asset)):
        for grant_id, _ in GRANTS_BY_ASSET.items(view, bound):
            searched += 1
            if searched > SCAN_MAX:
                raise OperationError("licenses.too_many_grants", f"more than {SCAN_MAX} grants to search")
            grant = require_grant(view, grant_id)
            other = require_terms(view, grant.terms)
            if is_live(grant, other, now_ms) and _overlap(terms, start_ms, end_ms, other, grant):
                return grant_id
    return None


def exclusive_grant_over(view: Readable, asset: bytes, right: Right, at_ms: int) -> bytes | None:
    """Return the exclusive grant that keeps the owner itself from using `right` at a time, or None."""
    for grant_id, grant, terms in reserving_grants(view, asset, at_ms):
        if terms.exclusivity == "exclusive" and right in terms.rights and grant.start_ms <= at_ms:
            return grant_id
    return None


def _overlap(terms: Terms, start_ms: int, end_ms: int | None, other: Terms, grant: Grant) -> bool:
    starts_before_the_other_ends = grant.end_ms is None or start_ms < grant.end_ms
    ends_after_the_other_starts = end_ms is None or grant.start_ms < end_ms
    return (
        starts_before_the_other_ends
        and ends_after_the_other_starts
        and not set(terms.rights).isdisjoint(other.rights)
        and (not terms.territory or not other.territory or not set(terms.territory).isdisjoint(other.territory))
        and _fields_meet(terms, other)
    )


def _fields_meet(first: Terms, second: Terms) -> bool:
    if first.field_allow and second.field_allow:
        return bool(_allowed(first) & _allowed(second))
    if first.field_allow:
        return bool(_allowed(first) - set(second.field_deny))
    if second.field_allow:
        return bool(_allowed(second) - set(first.field_deny))
    return True


def _allowed(terms: Terms) -> set[str]:
    return set(terms.field_allow) - set(terms.field_deny)


def _same_owner_ancestors(view: Readable, asset: bytes) -> list[bytes]:
    return _family(view, asset, upward=True)


def _same_owner_descendants(view: Readable, asset: bytes) -> list[bytes]:
    return _family(view, asset, upward=False)


def _family(view: Readable, asset: bytes, *, upward: bool) -> list[bytes]:
    """Return ancestors or descendants with an unbroken line of owners of one organization, which is the unit of
    identity."""
    found: list[bytes] = []
    relatives = links if upward else children
    if next(iter(relatives(view, asset)), None) is None:
        return found
    organization = owner_organization(view, asset)
    if organization is None:
        return found
    seen = {asset}
    waiting = [asset]
    while waiting:
        for relative in relatives(view, waiting.pop()):
            if relative in seen:
                continue
            seen.add(relative)
            if len(seen) > FAMILY_MAX:
                raise OperationError("licenses.family_too_large", f"more than {FAMILY_MAX} related assets")
            if owner_organization(view, relative) == organization:
                found.append(relative)
                waiting.append(relative)
    return found
