"""What may be asked about transfers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.modules import pages, texts
from ledger.modules.fields import Result
from ledger.modules.transfers.records import BY_PARTY, TRANSFERS, PendingTransfer
from ledger.state.view import Readable
from primitives.identifiers import account_to_text


class TransferResult(Result, frozen=True):
    transfer: str
    kind: str
    """asset, share or grant."""
    id: str
    """Of the asset, or of the grant."""
    bps: int
    """Of a share; otherwise 0."""
    asset: str
    giver: str
    recipient: str
    price: int
    """0 is a gift."""
    royalty_held: int
    """What the giver of a gift has put into escrow."""
    offered_at_ms: int
    expires_at_ms: int


def get_transfer(view: Readable, _network_id: bytes, _block_time_ms: int, *, transfer: str) -> TransferResult:
    """A transfer or gift that waits for acceptance."""
    identifier = texts.identifier(transfer)
    return _transfer(identifier, pages.found(view, TRANSFERS, identifier, "transfer"))


def list_transfers(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    account: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[TransferResult]:
    """What waits for acceptance by an account or was offered by it, in order of id, beginning behind the transfer
    `after`."""
    keys = pages.behind(view, BY_PARTY, texts.account(account), after=after)
    return [_transfer(*row) for row in pages.page(view, TRANSFERS, keys, limit)]


def _transfer(identifier: bytes, record: PendingTransfer) -> TransferResult:
    return TransferResult(
        transfer=identifier.hex(),
        kind=record.thing.kind,
        id=record.thing.id.hex(),
        bps=record.thing.bps,
        asset=record.asset.hex(),
        giver=account_to_text(record.giver),
        recipient=account_to_text(record.recipient),
        price=record.price,
        royalty_held=record.royalty_held,
        offered_at_ms=record.offered_at_ms,
        expires_at_ms=record.expires_at_ms,
    )


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "transfers.get": get_transfer,
    "transfers.list": list_transfers,
}
