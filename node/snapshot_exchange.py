"""A node's snapshots as its peers and its operator see them: who speaks on the channel, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.metrics import Reading
from node.ports import Links
from node.snapshot_fetching import Phase, SnapshotFetcher
from node.snapshot_messages import Offers, OffersRequest, PieceAnswer, PieceRequest, decode_snapshot_message
from node.snapshot_serving import SnapshotDesk
from primitives.codec import CodecError

REASON_CHARACTERS_MAX: Final = 200


class SnapshotInstalled(Exception):
    """A chain that begins with a snapshot is ready: the node begins anew with it. No fault."""

    def __init__(self, height: int) -> None:
        super().__init__(f"the snapshot of block {height} is ready")
        self.height = height


class SnapshotExchange:
    """Both sides of it. Belongs to the deciding thread."""

    def __init__(self, links: Links, desk: SnapshotDesk, fetcher: SnapshotFetcher | None) -> None:
        """`fetcher` None: this node never begins with a snapshot."""
        self.fetcher = fetcher
        self._links = links
        self._desk = desk

    def on_payload(self, peer: str, payload: bytes) -> None:
        """Take what a peer sent on the channel."""
        try:
            message = decode_snapshot_message(payload)
        except CodecError as error:
            self._links.misbehaved(peer, f"malformed payload on snapshots: {error}"[:REASON_CHARACTERS_MAX])
            return
        match message:
            case OffersRequest():
                self._desk.on_offers_request(peer)
            case PieceRequest():
                self._desk.on_piece_request(peer, message)
            case Offers() if self.fetcher is not None:
                self.fetcher.on_offers(peer, message)
            case PieceAnswer() if self.fetcher is not None:
                self.fetcher.on_answer(peer, message)
            case _:
                pass  # an answer, and nothing was asked

    def on_peer_disconnected(self, peer: str) -> None:
        if self.fetcher is not None:
            self.fetcher.on_peer_disconnected(peer)

    def stop(self) -> None:
        if self.fetcher is not None:
            self.fetcher.stop()

    def sentence(self) -> str:
        """Say what is being fetched; empty while nothing is."""
        if self.fetcher is None or not self.fetcher.busy:
            return ""
        chosen, progress = self.fetcher.chosen, self.fetcher.progress()
        if chosen is None:
            return "asking for snapshots"
        if self.fetcher.phase is not Phase.FETCHING:
            return f"installing the snapshot of block {chosen.height}"
        fetched = progress.chunks - progress.chunks_left
        return f"fetching the snapshot of block {chosen.height}: {fetched} of {progress.chunks} chunks"

    def readings(self) -> Iterator[Reading]:
        yield Reading(
            "guildmark_snapshot_pieces_served", "Pieces of snapshots sent to peers", self._desk.served, kind="counter"
        )
        if self.fetcher is not None and self.fetcher.busy:
            progress = self.fetcher.progress()
            yield Reading("guildmark_snapshot_chunks", "Chunks of the snapshot that is being fetched", progress.chunks)
            yield Reading("guildmark_snapshot_chunks_left", "Those of them that are missing", progress.chunks_left)
            yield Reading("guildmark_snapshot_records", "Records written of it", progress.records)
