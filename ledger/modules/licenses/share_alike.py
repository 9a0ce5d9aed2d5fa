"""Share-alike: may a derivative be licensed under our terms, when the terms it was made under ask for their like?"""

from __future__ import annotations

from typing import Final

from ledger.modules.licenses.operations import Terms

IDENTICAL: Final = (
    "rights",
    "commercial",
    "exclusivity",
    "field_allow",
    "field_deny",
    "territory",
    "derivatives",
    "attribution",
    "legal_text_cid",
    "spdx_id",
    "share_alike",
)
"""Clauses that must be equal under `identical`: all but price, time, numbers, credentials and shares of revenue."""
_FREEDOM: Final = ("no", "on-approval", "yes")


def broken_clause(theirs: Terms, ours: Terms) -> str | None:
    """Return the first clause of `ours` that the share-alike of `theirs` does not allow; None where all are allowed.

    superset: whatever theirs permit, to whomever, ours permit too, and pass the demand on. identical: the same
    clauses. Superset is transitive, and so is identical: what holds from parent to child holds over generations.
    """
    if theirs.share_alike == "no":
        return None
    if theirs.share_alike == "identical":
        return next((name for name in IDENTICAL if getattr(theirs, name) != getattr(ours, name)), None)
    permits = (
        ("rights", set(theirs.rights) <= set(ours.rights)),
        ("commercial", ours.commercial or not theirs.commercial),
        ("exclusivity", ours.exclusivity == "none" or theirs.exclusivity != "none"),
        ("field_allow", _opens(theirs.field_allow, ours.field_allow)),
        ("field_deny", set(ours.field_deny) <= set(theirs.field_deny)),
        ("territory", _opens(theirs.territory, ours.territory)),
        ("credentials", _opens(theirs.credentials, ours.credentials)),
        ("derivatives", ours.derivatives != "no" and not _stricter(theirs, ours)),
        ("share_alike", ours.share_alike != "no"),
    )
    return next((name for name, holds in permits if not holds), None)


def _opens(theirs: tuple[str, ...], ours: tuple[str, ...]) -> bool:
    """Tell whether a list of what is covered covers another's; an empty one covers all."""
    return not ours or (bool(theirs) and set(theirs) <= set(ours))


def _stricter(theirs: Terms, ours: Terms) -> bool:
    return _FREEDOM.index(ours.derivatives) < _FREEDOM.index(theirs.derivatives)
