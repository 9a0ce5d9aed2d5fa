"""What an asset's ancestors demand of the licenses on it: denied fields, no commerce, share-alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.reads import links
from ledger.modules.assets.records import Asset
from ledger.modules.licenses.grants import require_terms
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.share_alike import broken_clause
from ledger.state.view import Readable

ANCESTORS_MAX: Final = 4_096
"""Ancestors whose terms are read for one offer or purchase. A registration allows 1,024, later versions of ancestors
may add some."""


def check_inherited(view: Readable, asset_id: bytes, asset: Asset, terms: Terms) -> None:
    """Refuse terms for a derivative that its ancestors' terms do not allow.

    Raises:
        OperationError: `licenses.denied_field_dropped`, `licenses.non_commercial_parent`, `licenses.share_alike`,
            `licenses.lineage_too_large`.
    """
    missing = set(asset.denied_uses) - set(terms.field_deny)
    if missing:
        raise OperationError("licenses.denied_field_dropped", f"ancestors deny {sorted(missing)}: field_deny must too")
    if not asset.commercial and (terms.commercial or terms.price or terms.usage_price):
        raise OperationError("licenses.non_commercial_parent", "an ancestor's license is not commercial")
    checked: set[bytes] = set()
    for ancestor, digest in _terms_above(view, asset_id):
        if digest in checked:
            continue
        checked.add(digest)
        theirs = require_terms(view, digest)
        clause = broken_clause(theirs, terms)
        if clause is not None:
            raise OperationError(
                "licenses.share_alike",
                f"the license on ancestor {ancestor.hex()} demands {theirs.share_alike} terms: {clause} differs",
            )


def _terms_above(view: Readable, asset_id: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (ancestor, digest) of all terms under which an asset and its ancestors derive from theirs.

    All generations count: between two assets of one owner there is a link without terms, which must not wash off what
    stands above it.
    """
    seen = {asset_id}
    waiting = [asset_id]
    while waiting:
        for parent, link in links(view, waiting.pop()).items():
            for digest in link.terms:
                yield parent, digest
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
        if len(seen) > ANCESTORS_MAX:
            raise OperationError("licenses.lineage_too_large", f"more than {ANCESTORS_MAX} ancestors")
