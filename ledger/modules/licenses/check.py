"""May this account do that with this asset, at that time? One answer for the ledger, the HTTP door and people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple, get_args

import msgspec

from ledger.modules.assets.reads import ownership, sole_owner
from ledger.modules.assets.records import ASSETS
from ledger.modules.licenses.grants import (
    State,
    exclusive_grant_over,
    field_clause,
    grants_of,
    in_territory,
    require_grant,
    require_terms,
    state_at,
)
from ledger.modules.licenses.operations import Right, Terms
from ledger.modules.licenses.records import SEATS_BY_ACCOUNT, Grant
from ledger.modules.licenses.standing import seats_named
from ledger.state.view import Readable

RIGHTS: frozenset[str] = frozenset(get_args(Right))
LOOKED_AT_MAX: Final = 10_000
"""Grants of an account on one asset, ended ones and seats included, that one answer looks at. What it has beyond them,
by id, allows nothing: strangers ask about accounts that may have made any number of them."""


class CheckResult(msgspec.Struct, frozen=True):
    """The answer and why.

    Reasons that allow: `owner` (sole owner), `public` (anyone may download), `granted` (by a grant of its own, or with
    the clause `seats` by one of its organization). Reasons that deny: `no_grant`, `co_owner` (shares give income, not
    use), `exclusive_grant_live`, `right_not_granted`, `escrowed`, `refunded`, `not_started`, `expired`, `exhausted`,
    `revoked`, `superseded`, `disputed`, `no_seat` (given by an earlier licensee), `field_denied`, `outside_territory`,
    `unknown_asset`, `unknown_right`.
    """

    allowed: bool
    reason: str
    clause: str
    """The field of the terms that decides, or empty."""
    grant: bytes | None
    """The grant that decides, if one does."""


class Use(NamedTuple):
    """What is asked about. A field or country that is not named decides nothing."""

    right: Right
    at_ms: int
    field_of_use: str | None = None
    country: str | None = None
    """ISO 3166-1 alpha-2."""


STATE_REASONS: Final[dict[State, tuple[str, str]]] = {
    "escrowed": ("escrowed", ""),
    "refunded": ("refunded", ""),
    "scheduled": ("not_started", "start_ms"),
    "expired": ("expired", "term_ms"),
    "exhausted": ("exhausted", "quota"),
    "revoked": ("revoked", "revocation_causes"),
    "superseded": ("superseded", "renewable"),
    "disputed": ("disputed", "dispute_window_ms"),
}
"""State that gives no right -> (reason, clause)."""
NEARNESS: Final = (
    "refunded",
    "right_not_granted",
    "no_seat",
    "superseded",
    "revoked",
    "expired",
    "exhausted",
    "not_started",
    "escrowed",
    "disputed",
    "field_denied",
    "outside_territory",
)
"""Of several grants that deny, the one that comes nearest to allowing explains."""


def check(
    view: Readable,
    account: bytes,
    asset: bytes,
    right: str,
    at_ms: int,
    field_of_use: str | None = None,
    country: str | None = None,
) -> CheckResult:
    """Tell whether `account` may exercise `right` on `asset` at block time `at_ms`, in one field of use and one country
    if given.

    What the terms of an asset's ancestors deny is denied to everybody, its owners included. Beyond that a sole owner
    may do everything while no exclusive grant covers it; public assets may be downloaded by anyone; everybody else
    needs a grant of its own, or a seat of one.
    """
    record = ASSETS.get(view, asset)
    if record is None:
        return CheckResult(False, "unknown_asset", "", None)
    if right not in RIGHTS:
        return CheckResult(False, "unknown_right", "rights", None)
    use = Use(right, at_ms, field_of_use, country)  # type: ignore[arg-type]  # a member of RIGHTS
    if field_of_use is not None and field_of_use in record.denied_uses:
        return CheckResult(False, "field_denied", "field_deny", None)
    if right == "download" and record.visibility == "public":
        return CheckResult(True, "public", "", None)
    if account == sole_owner(view, asset):
        exclusive = exclusive_grant_over(view, asset, use.right, at_ms, field_of_use, country)
        if exclusive is not None:
            return CheckResult(False, "exclusive_grant_live", "exclusivity", exclusive)
        return CheckResult(True, "owner", "", None)
    return _by_grants(view, account, asset, use)


def _by_grants(view: Readable, account: bytes, asset: bytes, use: Use) -> CheckResult:
    co_owner = any(share.account == account for share in ownership(view, asset).shares)
    nearest = CheckResult(False, "co_owner" if co_owner else "no_grant", "", None)
    for answer in islice(_answers(view, account, asset, use), LOOKED_AT_MAX):
        if answer.allowed:
            return answer
        if nearest.grant is None or NEARNESS.index(answer.reason) > NEARNESS.index(nearest.reason):
            nearest = answer
    return nearest


def _answers(view: Readable, account: bytes, asset: bytes, use: Use) -> Iterator[CheckResult]:
    """Yield what each grant of the account says, and then each of which it has a seat."""
    for grant_id, grant, terms in grants_of(view, account, asset):
        yield _by_grant(grant_id, grant, terms, use)
    for grant_id, _ in SEATS_BY_ACCOUNT.items(view, account, asset):
        grant = require_grant(view, grant_id)
        if account not in seats_named(view, grant_id, grant.licensee):
            yield CheckResult(False, "no_seat", "seats", grant_id)
            continue
        answer = _by_grant(grant_id, grant, require_terms(view, grant.terms), use)
        yield msgspec.structs.replace(answer, clause="seats") if answer.allowed else answer


def _by_grant(grant_id: bytes, grant: Grant, terms: Terms, use: Use) -> CheckResult:
    if use.right not in terms.rights:
        return CheckResult(False, "right_not_granted", "rights", grant_id)
    state = state_at(grant, use.at_ms)
    if state != "active":
        reason, clause = STATE_REASONS[state]
        return CheckResult(False, reason, clause, grant_id)
    denied = None if use.field_of_use is None else field_clause(terms, use.field_of_use)
    if denied is not None:
        return CheckResult(False, "field_denied", denied, grant_id)
    if use.country is not None and not in_territory(terms, use.country):
        return CheckResult(False, "outside_territory", "territory", grant_id)
    return CheckResult(True, "granted", "", grant_id)
