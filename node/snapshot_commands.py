"""What is done about snapshots on the command line: taken of a node's directory beside the node or while none runs,
listed, and restored into the directory of a stopped node."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ledger.archive import Archive
from ledger.errors import LedgerError, StorageError
from ledger.genesis import Genesis
from ledger.snapshot.shelf import KEEP_DEFAULT, SnapshotShelf
from ledger.snapshot.store_building import switch_stores
from ledger.snapshot.taking import HeldState, Taking
from ledger.state.store import LevelStore
from node import configuration
from node.data_directory import DataDirectory
from node.failures import DirectoryUnusable, ExitCode
from node.offline import read_genesis, store_copy
from node.snapshot_assembly import finish_switch
from node.snapshot_workshop import Workshop, restore_from_shelf

CERTIFIED_WITHIN_S: Final = 10.0
"""How long a running node's copy may be taken anew until its head has its certificate."""
AGAIN_S: Final = 0.2
PROGRESS_PERIOD_S: Final = 0.2
DRAFT: Final = "command"

Answer = Callable[[Mapping[str, object]], None]


class _Progress:
    """Says now and then how far something is."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._said_at = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._said_at >= PROGRESS_PERIOD_S:
            self._said_at = now
            self._answer({"event": "progress", "done": done, "total": total})


def create(data: DataDirectory, scratch: Path | None, answer: Answer) -> ExitCode:
    """Take a snapshot of the directory's head, from a copy of its ledger, so that the node may run.

    Raises:
        DirectoryUnusable: the directory cannot be read or written, or its head is not certified.
    """
    shelf = _shelf(data)
    deadline = time.monotonic() + CERTIFIED_WITHIN_S
    try:
        while True:
            with store_copy(data, scratch) as (_, store):
                height = _take(store, shelf, _Progress(answer))
            if height is not None:
                break
            if time.monotonic() > deadline:
                raise DirectoryUnusable("the head has no certificate: start the node, and try again when it is idle")
            time.sleep(AGAIN_S)
    except LedgerError as error:
        raise DirectoryUnusable(f"no snapshot was taken: {error.message}") from error
    answer({"event": "created", "height": height, "directory": str(shelf.path / str(height))})
    return ExitCode.STOPPED


def _take(store: LevelStore, shelf: SnapshotShelf, progress: _Progress) -> int | None:
    archive = Archive(store)
    height = archive.height()
    header, finality = archive.header(height), archive.certificate(height)
    if header is None or finality is None:
        return None
    held, draft = HeldState(header, store), shelf.draft(DRAFT)
    try:
        taking = Taking(held, finality, draft)
        for _ in taking.steps():
            progress(taking.records, None)
        shelf.finish(draft, height)
    finally:
        held.close()
        shelf.discard(draft)
    return height


def show(data: DataDirectory, answer: Answer) -> ExitCode:
    """List the snapshots of a directory, and check nothing but their manifests' form."""
    shelf = SnapshotShelf(data.snapshots, reads_only=True)
    try:
        snapshots = [
            {
                "height": entry.height,
                "block_hash": entry.block_hash.hex(),
                "chunks": entry.chunks,
                "bytes": shelf.size_bytes(entry.height),
                "directory": str(shelf.path / str(entry.height)),
            }
            for entry in shelf.entries()
        ]
    except LedgerError as error:
        raise DirectoryUnusable(error.message) from error
    answer({"event": "snapshots", "snapshots": snapshots})
    return ExitCode.STOPPED


def restore(data: DataDirectory, source: Path, answer: Answer) -> ExitCode:
    """Put a chain that is made of a snapshot in the place of a stopped node's. All of it is proven first, from the
    directory's genesis file on; the vote log stays.

    Raises:
        DirectoryInUse: the node runs.
        DirectoryUnusable: the directory cannot be read or written, or the snapshot does not hold.
    """
    if not source.name.isdecimal():
        raise DirectoryUnusable(f"{source}: a snapshot is a directory named by its height, as `list` shows them")
    genesis = read_genesis(data)
    with data:
        try:
            height = _restore(data, source, genesis, _Progress(answer))
        except LedgerError as error:
            raise DirectoryUnusable(f"{source}: {error.message}") from error
    answer({"event": "restored", "height": height})
    return ExitCode.STOPPED


def _restore(data: DataDirectory, source: Path, genesis: Genesis, progress: _Progress) -> int:
    finish_switch(data)
    workshop = Workshop(SnapshotShelf(data.snapshots, _keep(data)), data.fresh_chain, genesis)

    def report() -> None:
        said = workshop.progress()
        progress(said.chunks - said.chunks_left, said.chunks or None)

    shelf = SnapshotShelf(source.parent, reads_only=True)  # the operator's copy, perhaps the only one
    height = restore_from_shelf(shelf, int(source.name), workshop, report)
    switch_stores(data.fresh_chain, data.chain)
    return height


def _shelf(data: DataDirectory) -> SnapshotShelf:
    try:
        return SnapshotShelf(data.snapshots, _keep(data))
    except StorageError as error:
        raise DirectoryUnusable(error.message) from error


def _keep(data: DataDirectory) -> int:
    return configuration.load(data.configuration).snapshots.keep if data.configuration.exists() else KEEP_DEFAULT
