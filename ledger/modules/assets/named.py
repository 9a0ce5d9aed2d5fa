"""The asset that a query names. One that was never registered is refused, and not answered with an empty list: whoever
has mistyped an id would take it for the truth."""

from __future__ import annotations

from ledger.modules import pages, texts
from ledger.modules.assets.records import ASSETS, Asset
from ledger.state.view import Readable


def named_asset(view: Readable, text: str) -> tuple[bytes, Asset]:
    """Return the id and the record of an asset, for one read.

    Raises:
        LedgerError: `query.argument`, `query.not_found`.
    """
    asset = texts.identifier(text)
    return asset, pages.found(view, ASSETS, asset, "asset")
