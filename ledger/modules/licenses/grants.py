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

State = Literal[
    "escrowed", "scheduled", "active", "disputed", "exhausted", "expired", "revoked", "superseded", "refunded"
]
"""An offered license has no grant yet; it is escrowed or active from its purchase on."""

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


def ends_ms(grant: Grant) -> int | None:
    """Return the exclusive end of a grant, by its term or by a revocation; None never ends."""
    if grant.revocation is None:
        return grant.end_ms
    effect_ms = grant.revocation.effect_ms
    return effect_ms if grant.end_ms is None else min(grant.end_ms, effect_ms)


def is_exhausted(grant: Grant) -> bool:
    """Tell whether the whole quota is used."""
    return grant.quota is not None and grant.used >= grant.quota


def state_at(grant: Grant, at_ms: int) -> State:
    """Return the state of a grant at a block time: a pure function of record and time, which needs no operation.

    Only times from the latest block on are answered as they will be; of the past the record keeps no history.
    """
    if grant.state != "active":
        return grant.state
    if grant.disputed:
        return "disputed"
    if grant.revocation is not None and at_ms >= grant.revocation.effect_ms:
        return "revoked"
    if grant.superseded_at_ms is not None and at_ms >= grant.superseded_at_ms:
        return "superseded"
    if grant.end_ms is not None and at_ms >= grant.end_ms:
        return "expired"
    if is_exhausted(grant):
        return "exhausted"
    return "scheduled" if at_ms < grant.start_ms else "active"


def is_live(grant: Grant, at_ms: int) -> bool:
    """Tell whether a grant counts against others: escrowed, active, disputed, or starting later."""
    end_ms = ends_ms(grant)
    return grant.state != "refunded" and not is_exhausted(grant) and (end_ms is None or at_ms < end_ms)


def paid(grant: Grant, terms: Terms) -> int:
    """Return the units that a licensee has paid for a grant and not got back: for its terms, and for use. What is in
    escrow counts only when it is paid out."""
    if grant.state != "active":
        return grant.used * terms.usage_price
    in_escrow = grant.disputed or grant.due_ms is not None
    settled = grant.price * (grant.terms_paid - in_escrow) + grant.used * terms.usage_price
    return max(settled - grant.refunded, 0)


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
            if is_live(grant, at_ms):
                yield grant_id, grant, require_terms(view, grant.terms)


def colliding_grant(view: Readable, grant_id: bytes, candidate: Grant, terms: Terms, now_ms: int) -> bytes | None:
    """Return a live grant, other than `grant_id` itself, that `candidate` under `terms` would collide with.

    Two grants collide when rights, territory, field of use and time all intersect and one of them is sole or
    exclusive. A sole or exclusive grant reserves all versions of its asset and of the asset's derivatives by the same
    owner.

    Raises:
        OperationError: `licenses.too_many_grants` when the search would be too long.
    """
    asset = candidate.asset
    for other_id, other, other_terms in reserving_grants(view, asset, now_ms):
        if other_id != grant_id and overlap(candidate, terms, other, other_terms):
            return other_id
    if terms.exclusivity == "none":
        return None
    searched = 0
    for bound in (asset, *_same_owner_descendants(view, asset)):
        for other_id, _ in GRANTS_BY_ASSET.items(view, bound):
            searched += 1
            if searched > SCAN_MAX:
                raise OperationError("licenses.too_many_grants", f"more than {SCAN_MAX} grants to search")
            if other_id == grant_id:
                continue
            other = require_grant(view, other_id)
            if is_live(other, now_ms) and overlap(candidate, terms, other, require_terms(view, other.terms)):
                return other_id
    return None


def exclusive_grant_over(
    view: Readable, asset: bytes, right: Right, at_ms: int, field_of_use: str | None = None, country: str | None = None
) -> bytes | None:
    """Return the exclusive grant that keeps the owner itself from using `right` at a time, or None.

    Where no field or country is named, a grant for any of them counts.
    """
    for grant_id, grant, terms in reserving_grants(view, asset, at_ms):
        if (
            terms.exclusivity == "exclusive"
            and right in terms.rights
            and grant.start_ms <= at_ms
            and (field_of_use is None or field_clause(terms, field_of_use) is None)
            and (country is None or in_territory(terms, country))
        ):
            return grant_id
    return None


def field_clause(terms: Terms, field_of_use: str) -> str | None:
    """Return the clause that keeps a field of use out of `terms`: `field_deny` or `field_allow`; None where it is
    covered."""
    if field_of_use in terms.field_deny:
        return "field_deny"
    if terms.field_allow and field_of_use not in terms.field_allow:
        return "field_allow"
    return None


def in_territory(terms: Terms, country: str) -> bool:
    """Tell whether terms cover a country (ISO 3166-1 alpha-2)."""
    return not terms.territory or country in terms.territory


def overlap(grant: Grant, terms: Terms, other: Grant, other_terms: Terms) -> bool:
    """Tell whether two grants meet: in time, rights, territory and field of use at once. A grant that was revoked
    before its start has no time, and meets nothing."""
    ends = [end_ms for end_ms in (ends_ms(grant), ends_ms(other)) if end_ms is not None]
    return (
        (not ends or max(grant.start_ms, other.start_ms) < min(ends))
        and not set(terms.rights).isdisjoint(other_terms.rights)
        and _territories_meet(terms, other_terms)
        and _fields_meet(terms, other_terms)
    )


def _territories_meet(first: Terms, second: Terms) -> bool:
    return not (first.territory and second.territory and set(first.territory).isdisjoint(second.territory))


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
