"""Whether the charter of an asset leaves something to a vote. Handlers of managers' operations ask here."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.charter import Guarded
from ledger.modules.charters.adopted import CHARTERS, SALES
from ledger.state.view import Readable


def require_unguarded(view: Readable, asset: bytes, what: Guarded) -> None:
    """Refuse outside of a vote what the asset's charter leaves to one.

    Raises:
        OperationError: `charters.vote_required`.
    """
    adopted = CHARTERS.get(view, asset)
    if adopted is not None and what in adopted.rules.voted:
        raise OperationError("charters.vote_required", f"the asset's charter leaves {what} to a vote of its owners")


def require_no_sale(view: Readable, asset: bytes) -> None:
    """Refuse to put anything of an asset up that its owners have decided to sell, and that waits only for what is
    locked already.

    Raises:
        OperationError: `charters.sale_pending`.
    """
    if SALES.get(view, asset) is not None:
        raise OperationError(
            "charters.sale_pending", "the owners have sold the whole: nothing of it is put up meanwhile"
        )


def require_alias_unguarded(view: Readable, asset: bytes, alias: str) -> None:
    """Refuse outside of a vote to move an alias that the asset's charter leaves to one.

    Raises:
        OperationError: `charters.vote_required`.
    """
    adopted = CHARTERS.get(view, asset)
    if adopted is not None and alias in adopted.rules.voted_aliases:
        raise OperationError("charters.vote_required", f"only a vote of the asset's owners moves {alias!r}")
