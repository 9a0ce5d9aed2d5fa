"""Making a chain of a snapshot's pieces, beside the one that the node has. Blocking: for a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ledger.errors import LedgerError
from ledger.genesis import Genesis, network_id
from ledger.operations import Registry, default_registry
from ledger.snapshot.reception import Reception
from ledger.snapshot.shelf import Draft, SnapshotShelf
from ledger.snapshot.store_building import StoreBuilder, begin_store, sync_store
from ledger.state.store import LevelStore

DRAFT: Final = "restore"
"""The draft that pieces are kept in until all are there, whatever snapshot they are of: what several have in common is
fetched once."""


class RestoreProgress(msgspec.Struct, frozen=True):
    """How far it is. Read from any thread."""

    chunks: int
    """Of the snapshot; 0 until its manifest is proven."""
    chunks_left: int
    records: int
    resumed: int
    """Pieces that were there from an earlier life."""


class Workshop:
    """One snapshot on its way in. The draft is kept when it is given up, and used again."""

    def __init__(self, shelf: SnapshotShelf, fresh: Path, genesis: Genesis, registry: Registry | None = None) -> None:
        """`fresh` is where the store is made."""
        self._shelf = shelf
        self._fresh = fresh
        self._genesis = genesis
        self._network_id = network_id(genesis)
        self._registry = registry or default_registry()
        self._store: LevelStore | None = None
        self._draft: Draft | None = None
        self._reception: Reception | None = None

    def begin(self, block_hash: bytes | None) -> list[str]:
        """Begin anew with the snapshot of that block; return the pieces that are to be fetched. Raises StorageError."""
        self.close()
        self._store = begin_store(self._fresh)
        self._draft = self._shelf.draft(DRAFT, resume=True)
        builder = StoreBuilder(self._store, self._registry)
        reception = Reception(self._network_id, self._genesis, self._draft, builder, block_hash)
        self._reception = reception
        return reception.resume(reception.begin())

    def take(self, name: str, data: bytes) -> list[str]:
        """Take a piece; return what is wanted thanks to it. Raises InvalidSnapshot, StorageError."""
        assert self._reception is not None
        return self._reception.resume(self._reception.take(name, data))

    def discard(self, name: str) -> None:
        """A piece that was kept has turned out to be wrong."""
        assert self._draft is not None
        self._draft.remove(name)

    @property
    def complete(self) -> bool:
        return self._reception is not None and self._reception.complete

    def finish(self) -> int:
        """Make the store whole and durable, put the snapshot on this node's own shelf; return its height.

        Raises:
            StorageError: nothing has changed then, and the pieces are kept.
        """
        assert self._reception is not None
        assert self._reception.manifest is not None
        assert self._draft is not None
        height = self._reception.manifest.header.height
        self._reception.finish()
        self.close()
        sync_store(self._fresh)
        self._reception.tidy()
        self._shelf.finish(self._draft, height)
        return height

    def progress(self) -> RestoreProgress:
        reception = self._reception
        if reception is None or reception.manifest is None or not reception.proven:
            return RestoreProgress(0, 0, 0, 0 if reception is None else reception.resumed)
        chunks = len(reception.manifest.subtrees)
        return RestoreProgress(chunks, reception.chunks_left, reception.builder.records, reception.resumed)

    def close(self) -> None:
        """Let go of the store."""
        if self._store is not None:
            self._store.close()
            self._store = None


def restore_from_shelf(
    source: SnapshotShelf, height: int, workshop: Workshop, report: Callable[[], None] = lambda: None
) -> int:
    """Make a chain of a snapshot in a directory; return its height. `report` is called after each piece.

    Raises:
        InvalidSnapshot: it does not hold. StorageError.
        LedgerError: `snapshot.missing` when a piece is not there, or has decayed.
    """
    manifest = source.manifest(height)
    if manifest is None:
        raise LedgerError("snapshot.missing", "it has no manifest, or that has decayed: take another copy")
    wanted = workshop.begin(manifest.finality.block_hash)
    try:
        while wanted:
            name = wanted.pop()
            data = source.read(height, name)
            if data is None:
                raise LedgerError("snapshot.missing", f"its piece {name} is missing, or has decayed: take another copy")
            wanted += workshop.take(name, data)
            report()
        return workshop.finish()
    finally:
        workshop.close()
