"""Serving this node's snapshots to newcomers. Belongs to the deciding thread; files are read by another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.errors import LedgerError
from ledger.snapshot.reception import is_piece_name
from ledger.snapshot.shelf import SnapshotShelf
from node.ports import Jobs, Links
from node.snapshot_messages import (
    OFFERED_MAX,
    Offered,
    Offers,
    PieceAnswer,
    PieceRequest,
    SnapshotMessage,
    encode_snapshot_message,
)
from p2p.channels import Channel

SERVED_AT_ONCE_MAX: Final = 4
"""Pieces of one peer that are being read; who asks for more is told that there is none, and asks elsewhere."""
SERVED_TO_ALL_MAX: Final = 16


class SnapshotDesk:
    """Answers newcomers."""

    def __init__(self, links: Links, jobs: Jobs, shelf: SnapshotShelf) -> None:
        self._links = links
        self._jobs = jobs
        self._shelf = shelf
        self._serving: dict[str, int] = {}
        """Pieces under way, by peer; only registered nodes are connected."""
        self.served = 0
        """Pieces sent since the start."""

    def on_offers_request(self, peer: str) -> None:
        offered: list[Offered] = []

        def read() -> None:
            offered.extend(Offered(entry.height, entry.block_hash) for entry in self._shelf.entries()[-OFFERED_MAX:])

        self._read(peer, read, lambda: Offers(tuple(offered)))

    def on_piece_request(self, peer: str, request: PieceRequest) -> None:
        if not is_piece_name(request.name):
            self._links.misbehaved(peer, "asked for a piece that no snapshot has")
            return
        found: list[bytes | None] = []

        def read() -> None:
            kind, _, rest = request.name.partition("-")
            whole = self._shelf.read(request.height, request.name)
            found.append(self._shelf.chunk(bytes.fromhex(rest)) if whole is None and kind == "chunk" else whole)

        if not self._read(peer, read, lambda: PieceAnswer(request.request, found[0] if found else None)):
            self._send(peer, PieceAnswer(request.request, None))

    def _read(self, peer: str, read: Callable[[], None], answer: Callable[[], SnapshotMessage]) -> bool:
        """Read off the thread, then send; False when too much is under way."""
        if self._serving.get(peer, 0) >= SERVED_AT_ONCE_MAX or sum(self._serving.values()) >= SERVED_TO_ALL_MAX:
            return False
        self._serving[peer] = self._serving.get(peer, 0) + 1

        def done(error: BaseException | None) -> None:
            self._serving[peer] -= 1
            if not self._serving[peer]:
                del self._serving[peer]
            if error is not None and not isinstance(error, LedgerError):
                raise error
            self._send(peer, answer())
            self.served += 1

        self._jobs.run(read, done)
        return True

    def _send(self, peer: str, message: SnapshotMessage) -> None:
        self._links.send(peer, Channel.SNAPSHOTS, encode_snapshot_message(message))
