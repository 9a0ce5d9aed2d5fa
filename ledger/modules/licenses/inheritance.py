"""What an asset's ancestors demand of the licenses on it: denied fields, no commerce, share-alike."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import links
from ledger.modules.assets.records import Asset
from ledger.modules.licenses.grants import require_terms
from ledger.modules.licenses.operations import Terms
from ledger.state.view import Readable


def check_inherited(view: Readable, asset_id: bytes, asset: Asset, terms: Terms) -> None:
    """Refuse terms for a derivative that its ancestors' terms do not allow.

    Raises:
        OperationError: `licenses.denied_field_dropped`, `licenses.non_commercial_parent`, `licenses.share_alike`.
    """
    missing = set(asset.denied_uses) - set(terms.field_deny)
    if missing:
        raise OperationError("licenses.denied_field_dropped", f"ancestors deny {sorted(missing)}: field_deny must too")
    if not asset.commercial and (terms.commercial or terms.price):
        raise OperationError("licenses.non_commercial_parent", "an ancestor's license is not commercial")
    for parent, link in links(view, asset_id).items():
        for digest in link.terms:
            _check_share_alike(parent, require_terms(view, digest), terms)


def _check_share_alike(parent: bytes, theirs: Terms, ours: Terms) -> None:
    """superset: at least the parent's rights and as free; identical: the same clauses. Both are passed on."""
    if theirs.share_alike == "no":
        return
    if theirs.share_alike == "superset":
        holds = (
            set(theirs.rights) <= set(ours.rights)
            and (ours.commercial or not theirs.commercial)
            and ours.derivatives != "no"
            and ours.share_alike != "no"
        )
    else:
        holds = _clauses(theirs) == _clauses(ours)
    if not holds:
        raise OperationError(
            "licenses.share_alike", f"the license on parent {parent.hex()} demands {theirs.share_alike}"
        )


def _clauses(terms: Terms) -> tuple[object, ...]:
    """What of terms must be equal under `identical`: all but price, time, numbers and shares of revenue."""
    return (
        terms.rights,
        terms.commercial,
        terms.exclusivity,
        terms.field_allow,
        terms.field_deny,
        terms.territory,
        terms.derivatives,
        terms.share_alike,
        terms.attribution,
        terms.legal_text_cid,
        terms.spdx_id,
    )
