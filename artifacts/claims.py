"""Which blocks were brought for which asset: equal blocks lie on disk once, but not everyone has shown to have them.

Whoever knows a CID can write a directory that links to it and register that as an own asset. If a block counted as
held because another asset's owner brought it, its bytes would go out under the terms of the asset that only names it.
So a block is held for an asset only when somebody brought its bytes for that asset: they prove that they had them.

    DIRECTORY/claims/ASSET      the CIDs, one a line; a line that a crash tore counts for nothing, and is brought again
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from artifacts import cid as cids
from artifacts.chunk_store import OUT_OF_SPACE, ChunkStore
from artifacts.errors import ChunkMissing, ChunkStoreFailure, ChunkStoreFull, InvalidCid

_LINE_BYTES: Final = cids.CID_TEXT_LENGTH + 1


class AssetBlocks:
    """The blocks brought for one asset; a `BlockStore` for its artifacts' walks. May be used by several threads."""

    def __init__(self, store: ChunkStore, path: Path) -> None:
        """Raises ChunkStoreFailure."""
        self._store = store
        self._path = path
        self._lock = threading.Lock()
        try:
            lines = path.read_bytes()
        except FileNotFoundError:
            lines = b""
        except OSError as error:
            raise ChunkStoreFailure(f"cannot read {path}: {error}") from error
        self._whole_bytes = len(lines) - len(lines) % _LINE_BYTES
        self._cids = {
            line.decode()
            for start in range(0, self._whole_bytes, _LINE_BYTES)
            if _is_cid(line := lines[start : start + _LINE_BYTES - 1])
        }

    def block_bytes(self, cid: str) -> int | None:
        """The size of a block that was brought for this asset and is held; raises `ChunkStoreFailure`."""
        return self._store.block_bytes(cid) if cid in self._cids else None

    def get(self, cid: str) -> bytes:
        """Return a block that was brought for this asset; raises as `ChunkStore.get`."""
        if cid not in self._cids:
            raise ChunkMissing(cid)
        return self._store.get(cid)

    def put(self, cid: str, data: bytes) -> None:
        """Store a block durably and as brought for this asset; raises as `ChunkStore.put`."""
        self._store.put(cid, data)
        with self._lock:
            if cid in self._cids:
                return
            try:
                self._append(cid)
            except OSError as error:
                if error.errno in OUT_OF_SPACE:
                    raise ChunkStoreFull(f"no space left to note block {cid}") from error
                raise ChunkStoreFailure(f"cannot write {self._path}: {error}") from error
            self._cids.add(cid)

    def cids(self) -> set[str]:
        """The blocks that were brought for this asset."""
        with self._lock:
            return set(self._cids)

    def add(self, brought: Set[str]) -> None:
        """Count stored blocks as brought for this asset. Raises `ChunkStoreFailure`."""
        self._replace(lambda own: own | brought)

    def drop(self, dropped: Set[str]) -> None:
        """Count blocks as brought for this asset no more; they stay stored. Raises `ChunkStoreFailure`."""
        self._replace(lambda own: own - dropped)

    def _replace(self, change: Callable[[set[str]], set[str]]) -> None:
        with self._lock:
            left = change(self._cids)
            temporary = self._path.with_name(f".{self._path.name}.new")
            try:
                with temporary.open("wb") as file:
                    file.writelines(cid.encode("ascii") + b"\n" for cid in sorted(left))
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self._path)
                _sync_directory(self._path.parent)
            except OSError as error:
                raise ChunkStoreFailure(f"cannot write {self._path}: {error}") from error
            self._cids = left
            self._whole_bytes = len(left) * _LINE_BYTES

    def _append(self, cid: str) -> None:
        created = not self._path.exists()
        with self._path.open("ab") as file:
            file.truncate(self._whole_bytes)  # what a crash or a full disk tore
            file.write(cid.encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._whole_bytes += _LINE_BYTES
        if created:
            _sync_directory(self._path.parent)


class Claims:
    """The lists of all assets of one store."""

    def __init__(self, store: ChunkStore) -> None:
        """Raises ChunkStoreFailure."""
        self._store = store
        self._directory = store.directory / "claims"
        self._lock = threading.Lock()
        self._open: WeakValueDictionary[str, AssetBlocks] = WeakValueDictionary()
        try:
            self._directory.mkdir(exist_ok=True)
        except OSError as error:
            raise ChunkStoreFailure(f"cannot open {self._directory}: {error}") from error

    def of(self, asset: str) -> AssetBlocks:
        """Return the blocks of an asset (hex), the same object to everyone who uses it now."""
        assert asset
        assert set(asset) <= set("0123456789abcdef")
        with self._lock:
            blocks = self._open.get(asset)
            if blocks is None:
                blocks = self._open[asset] = AssetBlocks(self._store, self._directory / asset)
            return blocks

    def assets(self) -> list[str]:
        """The assets (hex) for which anything was brought. Raises `ChunkStoreFailure`."""
        try:
            return sorted(path.name for path in self._directory.iterdir() if not path.name.startswith("."))
        except OSError as error:
            raise ChunkStoreFailure(f"cannot list {self._directory}: {error}") from error

    def adopt(self, asset: str, source: str) -> None:
        """Count what was brought for `source` as brought for `asset`, and forget the list of `source`. After a crash in
        between it is done again. Raises ChunkStoreFailure."""
        if not (self._directory / source).exists():
            return
        self.of(asset).add(self.of(source).cids())
        self.forget(source)

    def forget(self, asset: str) -> None:
        """Forget a list; the blocks stay stored. Raises ChunkStoreFailure."""
        self.of(asset).drop(self.of(asset).cids())
        try:
            (self._directory / asset).unlink(missing_ok=True)
            _sync_directory(self._directory)
        except OSError as error:
            raise ChunkStoreFailure(f"cannot forget {self._directory / asset}: {error}") from error

    def discard(self, cid: str) -> bool:
        """Delete a block that no asset's list names; tell whether it was there. Raises as `ChunkStore.delete`."""
        return self._store.delete(cid)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_cid(line: bytes) -> bool:
    try:
        cids.parse(line.decode("ascii"))
    except (InvalidCid, UnicodeDecodeError):
        return False
    return True
