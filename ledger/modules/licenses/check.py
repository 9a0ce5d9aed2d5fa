"""May this account do that with this asset, at that time? One answer for the ledger, the HTTP door and people."""

from __future__ import annotations

from typing import get_args

import msgspec

from ledger.modules.assets.reads import ownership, sole_owner
from ledger.modules.assets.records import ASSETS
from ledger.modules.licenses.grants import exclusive_grant_over, grants_of, state_at
from ledger.modules.licenses.operations import Right, Terms
from ledger.modules.licenses.records import Grant
from ledger.state.view import Readable

RIGHTS: frozenset[str] = frozenset(get_args(Right))


class CheckResult(msgspec.Struct, frozen=True):
    """The answer and why.

    Reasons that allow: `owner` (sole owner), `public` (anyone may download), `granted`. Reasons that deny: `no_grant`,
    `co_owner` (shares give income, not use), `exclusive_grant_live`, `right_not_granted`, `escrowed`, `refunded`,
    `disputed`, `not_started`, `expired`, `exhausted`, `field_denied`, `unknown_asset`, `unknown_right`.
    """

    allowed: bool
    reason: str
    clause: str
    """The field of the terms that decides, or empty."""
    grant: bytes | None
    """The grant that decides, if one does."""


_STATES = {
    "escrowed": ("escrowed", ""),
    "refunded": ("refunded", ""),
    "disputed": ("disputed", ""),
    "scheduled": ("not_started", "start_ms"),
    "expired": ("expired", "term_ms"),
    "exhausted": ("exhausted", "quota"),
}
_NEARNESS = (
    "refunded",
    "right_not_granted",
    "expired",
    "exhausted",
    "not_started",
    "disputed",
    "escrowed",
    "field_denied",
)
"""Of several grants that deny, the one that comes nearest to allowing explains."""


def check(
    view: Readable, account: bytes, asset: bytes, right: str, at_ms: int, field_of_use: str | None = None
) -> CheckResult:
    """Tell whether `account` may exercise `right` on `asset` at block time `at_ms`, in one field of use if given.

    A sole owner may do everything while no exclusive grant covers the right; public assets may be downloaded by anyone;
    everybody else needs a grant of its own.
    """
    record = ASSETS.get(view, asset)
    if record is None:
        return CheckResult(False, "unknown_asset", "", None)
    if right not in RIGHTS:
        return CheckResult(False, "unknown_right", "rights", None)
    if right == "download" and record.visibility == "public":
        return CheckResult(True, "public", "", None)
    owner = sole_owner(view, asset)
    if account == owner:
        exclusive = exclusive_grant_over(view, asset, right, at_ms)  # type: ignore[arg-type]  # a member of RIGHTS
        if exclusive is not None:
            return CheckResult(False, "exclusive_grant_live", "exclusivity", exclusive)
        return CheckResult(True, "owner", "", None)
    nearest = CheckResult(False, "no_grant" if owner is not None else _stranger_reason(view, asset, account), "", None)
    for grant_id, grant, terms in grants_of(view, account, asset):
        answer = _by_grant(grant_id, grant, terms, right, at_ms, field_of_use)
        if answer.allowed:
            return answer
        if nearest.grant is None or _NEARNESS.index(answer.reason) > _NEARNESS.index(nearest.reason):
            nearest = answer
    return nearest


def _by_grant(
    grant_id: bytes, grant: Grant, terms: Terms, right: str, at_ms: int, field_of_use: str | None
) -> CheckResult:
    if right not in terms.rights:
        return CheckResult(False, "right_not_granted", "rights", grant_id)
    state = state_at(grant, terms, at_ms)
    if state != "active":
        reason, clause = _STATES[state]
        return CheckResult(False, reason, clause, grant_id)
    if field_of_use is not None:
        if field_of_use in terms.field_deny:
            return CheckResult(False, "field_denied", "field_deny", grant_id)
        if terms.field_allow and field_of_use not in terms.field_allow:
            return CheckResult(False, "field_denied", "field_allow", grant_id)
    return CheckResult(True, "granted", "", grant_id)


def _stranger_reason(view: Readable, asset: bytes, account: bytes) -> str:
    shares = ownership(view, asset).shares
    return "co_owner" if any(share.account == account for share in shares) else "no_grant"
