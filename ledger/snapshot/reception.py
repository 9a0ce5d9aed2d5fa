"""Receiving a snapshot: which pieces are wanted next, and what becomes of each.

Pure but for the draft that keeps the pieces and the builder that makes a store of them. Where pieces come from, a
directory or several peers, is the caller's business, and so is asking again after a wrong one.
"""

from __future__ import annotations

from typing import Final

from ledger.block import block_hash
from ledger.genesis import Genesis
from ledger.snapshot.format import InvalidSnapshot, Manifest, Subtree, decode_manifest
from ledger.snapshot.shelf import MANIFEST, Draft, chunk_name, handoffs_name, history_name
from ledger.snapshot.store_building import StoreBuilder
from ledger.snapshot.subtrees import open_chunk
from ledger.snapshot.verification import Handoffs, History, check_manifest

EPOCHS_MAX: Final = 1_000_000
"""Epochs that hand-offs may have to cross; a manifest that names a later one is refused."""


class Reception:
    """One snapshot on its way in."""

    def __init__(
        self,
        network_id: bytes,
        genesis: Genesis,
        draft: Draft,
        builder: StoreBuilder,
        block_hash: bytes | None = None,
    ) -> None:
        """`block_hash` says of which block the snapshot must be; None takes that of any."""
        self.draft = draft
        self.builder = builder
        self.manifest: Manifest | None = None
        """Of what was sent: proven when `proven` says so."""
        self.proven = False
        """The manifest is, by hand-offs, certificate and state root."""
        self._network_id = network_id
        self._block_hash = block_hash
        self._handoffs = Handoffs(network_id, genesis)
        self._history: History | None = None
        self.resumed = 0
        """Pieces that were there from an earlier life."""
        self._taken: set[str] = set()
        self._missing: dict[str, Subtree] = {}
        """Chunks not yet received, by name."""

    @property
    def chunks_left(self) -> int:
        return len(self._missing)

    @property
    def complete(self) -> bool:
        return self.proven and not self._missing and self._history is not None and self._history.complete

    def begin(self) -> list[str]:
        """Return the names of the pieces that are wanted first."""
        return [MANIFEST]

    def take(self, name: str, data: bytes, *, kept: bool = False) -> list[str]:
        """Check a wanted piece, keep it unless it is `kept` already, and return the names that are wanted thanks to it.

        Raises:
            InvalidSnapshot: the piece is wrong, and still wanted. With `snapshot.manifest` it is the manifest that came
                before which has turned out to be wrong, and nothing that came since.
            StorageError: it cannot be kept.
        """
        if name == MANIFEST:
            wanted = self._take_manifest(data)
        elif name.startswith("handoffs-"):
            wanted = self._take_handoffs(data)
            if self.manifest is None:
                self._keep(name, data, kept=kept)
                raise InvalidSnapshot("snapshot.manifest", "the hand-offs do not lead to the manifest's block")
        elif name.startswith("history-"):
            wanted = self._take_history(data)
        else:
            wanted = self._take_chunk(name, data)
        self._keep(name, data, kept=kept)
        return wanted

    def _keep(self, name: str, data: bytes, *, kept: bool) -> None:
        if not kept:
            self.draft.write(name, data)
        self._taken.add(name)

    def finish(self) -> None:
        """All pieces are there: make the store a chain. Raises StorageError."""
        assert self.complete
        assert self.manifest is not None
        self.builder.finish(self._network_id, self.manifest)

    def resume(self, names: list[str]) -> list[str]:
        """Take wanted pieces that the draft has from an earlier life, and return the names that are wanted then.

        Raises:
            StorageError: it cannot be read.
        """
        left, names = [], names.copy()
        while names:
            name = names.pop()
            data = self.draft.read(name)
            try:
                more = None if data is None else self.take(name, data, kept=True)
            except InvalidSnapshot:  # of another snapshot
                self.draft.remove(name)
                more = None
            if more is None:
                left.append(name)
            else:
                self.resumed += 1
                names += more
        return left

    def tidy(self) -> None:
        """Take away pieces of the draft that are no part of this snapshot."""
        for path in list(self.draft.path.iterdir()):
            if path.name not in self._taken:
                path.unlink()

    def _take_manifest(self, data: bytes) -> list[str]:
        manifest = decode_manifest(data)
        hashed = block_hash(manifest.header)
        if manifest.finality.block_hash != hashed or manifest.header.epoch > EPOCHS_MAX:
            raise InvalidSnapshot("snapshot.malformed", "the manifest's certificate is not that of its block")
        if self._block_hash not in (None, hashed):
            raise InvalidSnapshot("snapshot.malformed", f"the manifest is of another block {manifest.header.height}")
        self.manifest = manifest
        return self._proceed()

    def _take_handoffs(self, data: bytes) -> list[str]:
        assert self.manifest is not None
        self.builder.add_handoffs(self._handoffs.take(data, self.manifest.header.epoch))
        try:
            return self._proceed()
        except InvalidSnapshot:
            return []

    def _proceed(self) -> list[str]:
        """Go on behind the hand-offs that are there."""
        assert self.manifest is not None
        manifest = self.manifest
        if self._handoffs.epoch < manifest.header.epoch:
            return [handoffs_name(self._handoffs.piece)]
        try:
            check_manifest(manifest, self._network_id, self._handoffs)
        except InvalidSnapshot as error:
            self.manifest = None
            raise InvalidSnapshot("snapshot.manifest", error.message) from error
        self.proven = True
        self._history = History(manifest.header)
        self._missing = {chunk_name(subtree.hash): subtree for subtree in manifest.subtrees}
        return [history_name(manifest.header.height), *self._missing]

    def _take_history(self, data: bytes) -> list[str]:
        assert self._history is not None
        self.builder.add_history(self._history.take(data))
        return [] if self._history.complete else [history_name(self._history.next_height)]

    def _take_chunk(self, name: str, data: bytes) -> list[str]:
        keys, values = open_chunk(self._missing[name], data)
        self.builder.add_records(keys, values)
        del self._missing[name]
        return []


def is_piece_name(name: str) -> bool:
    """Tell whether a snapshot may have a piece of this name: nothing else is looked for on a disk."""
    kind, _, rest = name.partition("-")
    if kind == "chunk":
        return len(rest) == 64 and not set(rest) - set("0123456789abcdef")
    if kind in ("handoffs", "history"):
        return rest.isascii() and rest.isdecimal() and len(rest) < 20 and str(int(rest)) == rest
    return name == MANIFEST
