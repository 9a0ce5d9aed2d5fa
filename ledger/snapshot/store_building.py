"""A store made of proven pieces, beside the one that it will replace."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ledger.archive import Changes, bodiless_records, ended_epoch_records, snapshot_records
from ledger.operations import Registry
from ledger.parameters import LIFETIME_MS_MAX
from ledger.snapshot.format import Handoff, Manifest, PastBlock
from ledger.snapshot.shelf import disk_error, sync_directory
from ledger.snapshot.verification import split_ids
from ledger.state.indexes import Index
from ledger.state.records import STATE_PREFIX
from ledger.state.store import LevelStore, Store
from ledger.state.view import table_of


class StoreBuilder:
    """Writes what it is given, unsynced; `finish` makes a chain of it. Indexes are made from the records: no peer is
    believed what the tree does not commit to."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._indexes: dict[bytes, list[Index[Any]]] = {}
        for index in registry.indexes:
            self._indexes.setdefault(index.source.prefix, []).append(index)
        self.records = 0
        """Written so far."""

    def add_records(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Write records of the state, and their entries in indexes. Raises StorageError."""
        changes: Changes = {STATE_PREFIX + key: value for key, value in zip(keys, values, strict=True)}
        indexes = self._indexes
        for key, value in zip(keys, values, strict=True):
            table = table_of(key)
            for index in indexes.get(table, ()):
                for parts in index.entries(key[len(table) :], index.source.read(value)):
                    changes[STATE_PREFIX + index.table.key(*parts)] = index.value
        self._store.write_batch(changes, sync=False)
        self.records += len(keys)

    def add_history(self, blocks: Iterable[PastBlock]) -> None:
        """Write what is known of blocks whose bodies are not there.

        Until when ids are held is nowhere proven; none of a block's can be valid longer than the longest lifetime.
        """
        changes: Changes = {}
        for block in blocks:
            expire_at_ms = block.header.timestamp_ms + LIFETIME_MS_MAX
            changes |= bodiless_records(block.header, split_ids(block.ids), expire_at_ms, block.rest_root)
        self._store.write_batch(changes, sync=False)

    def add_handoffs(self, handoffs: Iterable[Handoff]) -> None:
        changes: Changes = {}
        for handoff in handoffs:
            changes |= ended_epoch_records(handoff.header, handoff.finality)
        self._store.write_batch(changes, sync=False)

    def finish(self, network_id: bytes, manifest: Manifest) -> None:
        """Name the head: only now is it a chain."""
        self._store.write_batch(snapshot_records(network_id, manifest.header, manifest.finality), sync=True)


def begin_store(path: Path) -> LevelStore:
    """Open an empty store at `path`; what is there goes. Raises StorageError."""
    shutil.rmtree(path, ignore_errors=True)
    return LevelStore(path)


def sync_store(path: Path) -> None:
    """Make the files of a closed store durable, whatever LevelDB has left to its log. Raises StorageError."""
    try:
        for entry in os.scandir(path):
            descriptor = os.open(entry.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(path)
    except OSError as error:
        raise disk_error(path, error) from error


def switch_stores(fresh: Path, current: Path) -> None:
    """Put the finished store at `fresh` in the place of the one at `current`, of which neither may be open.

    A crash leaves the old one, the new one, or none beside a finished `fresh`, which `resume_switch` puts there.

    Raises:
        StorageError: `storage.full`, `storage.failed`.
    """
    old = current.with_name(current.name + ".old")
    ready = current.with_name(current.name + ".ready")
    try:
        shutil.rmtree(old, ignore_errors=True)
        fresh.rename(ready)  # from here on it is known to be whole
        sync_directory(current.parent)
        resume_switch(current)
    except OSError as error:
        raise disk_error(current, error) from error


def resume_switch(current: Path) -> bool:
    """Finish a switch that a crash has interrupted; tell whether there was one. Before the store is opened.

    Raises:
        StorageError: `storage.full`, `storage.failed`.
    """
    old = current.with_name(current.name + ".old")
    ready = current.with_name(current.name + ".ready")
    try:
        if not ready.exists():
            shutil.rmtree(old, ignore_errors=True)
            return False
        if current.exists():
            shutil.rmtree(old, ignore_errors=True)
            current.rename(old)
        ready.rename(current)
        sync_directory(current.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise disk_error(current, error) from error
    return True
