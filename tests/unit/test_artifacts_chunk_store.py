"""Blocks on disk are whole, checked at every step, and never lead outside their tree."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from artifacts import chunk_store
from artifacts.chunk_store import BLOCK_BYTES_MAX, QUARANTINE_FILES_MAX, ChunkStore
from artifacts.cid import raw_cid
from artifacts.errors import (
    BlockMismatch,
    ChunkDamaged,
    ChunkMissing,
    ChunkStoreFailure,
    ChunkStoreFull,
    ChunkTooLarge,
    InvalidCid,
)

DATA = b"some block"
CID = raw_cid(DATA)


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(tmp_path / "chunks")


def file_of(store: ChunkStore, cid: str) -> Path:
    return store._path(cid)


def test_a_block_is_kept_across_openings(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path)
    assert store.put(CID, DATA) is True
    assert store.put(CID, DATA) is False
    again = ChunkStore(tmp_path)
    assert again.get(CID) == DATA
    assert (again.has(CID), again.block_bytes(CID), again.size_bytes) == (True, len(DATA), len(DATA))
    assert list(again.iterate()) == [CID]


def test_an_unknown_block_is_missing(store: ChunkStore) -> None:
    """A5: valid, but unknown."""
    assert not store.has(CID)
    assert store.block_bytes(CID) is None
    assert store.delete(CID) is False
    with pytest.raises(ChunkMissing) as caught:
        store.get(CID)
    assert caught.value.code == "chunk.missing"


def test_a_deleted_block_is_gone_and_its_bytes_are_free(store: ChunkStore) -> None:
    store.put(CID, DATA)
    assert store.delete(CID) is True
    assert (store.has(CID), store.size_bytes) == (False, 0)


def test_wrong_bytes_never_reach_the_disk(store: ChunkStore, tmp_path: Path) -> None:
    """M1: the hash is checked before disk."""
    with pytest.raises(BlockMismatch):
        store.put(CID, b"other bytes")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_oversize_block_is_refused_before_it_is_hashed(store: ChunkStore) -> None:
    with pytest.raises(ChunkTooLarge):
        store.put(CID, bytes(BLOCK_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", CID.upper(), CID + "\x00", "%2e%2e/" + CID[7:], ""]
)
def test_only_a_cid_is_a_name(store: ChunkStore, name: str) -> None:
    """A4, A5: never a path."""
    for act in (store.get, store.has, store.delete, store.block_bytes, lambda cid: store.put(cid, DATA)):
        with pytest.raises(InvalidCid):
            act(name)


@pytest.mark.parametrize("position", [0, 5, len(DATA) - 1])
def test_every_flipped_bit_is_noticed_and_quarantined(store: ChunkStore, position: int) -> None:
    """D1: never a wrong answer; a sound copy can take the place."""
    for bit in range(8):
        store.put(CID, DATA)
        damaged = bytearray(DATA)
        damaged[position] ^= 1 << bit
        file_of(store, CID).write_bytes(damaged)
        with pytest.raises(ChunkDamaged):
            store.get(CID)
        assert (store.has(CID), store.size_bytes) == (False, 0)
    assert store.put(CID, DATA) is True
    assert store.get(CID) == DATA


@pytest.mark.parametrize("damaged", [b"", DATA[:-1], DATA + b"x", bytes(BLOCK_BYTES_MAX + 1)])
def test_a_block_of_another_length_is_damaged(store: ChunkStore, damaged: bytes) -> None:
    """D1: truncated, extended or absurdly large files."""
    store.put(CID, DATA)
    file_of(store, CID).write_bytes(damaged)
    with pytest.raises(ChunkDamaged):
        store.get(CID)
    assert store.size_bytes == 0


def test_a_symbolic_link_or_directory_in_a_blocks_place_is_not_followed(store: ChunkStore, tmp_path: Path) -> None:
    """A4: symlink in the chunk directory."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(DATA)
    path = file_of(store, CID)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(elsewhere)
    assert not store.has(CID)
    with pytest.raises(ChunkDamaged):
        store.get(CID)
    for make in (path.mkdir, lambda: os.mkfifo(path)):
        make()
        with pytest.raises(ChunkDamaged):
            store.get(CID)
    assert elsewhere.read_bytes() == DATA


def test_the_scrub_finds_a_cold_flip(store: ChunkStore) -> None:
    """D7: in blocks that nobody reads."""
    blocks = {raw_cid(data): data for data in (b"%d" % i for i in range(20))}
    for cid, data in blocks.items():
        store.put(cid, data)
    bad = sorted(blocks)[7]
    file_of(store, bad).write_bytes(b"rot")
    found = dict(store.scrub())
    assert [cid for cid, sound in found.items() if not sound] == [bad]
    assert len(found) == 20
    assert dict(store.scrub()).keys() == blocks.keys() - {bad}


def test_quarantine_is_bounded(store: ChunkStore, tmp_path: Path) -> None:
    for i in range(QUARANTINE_FILES_MAX + 3):
        data = b"%d" % i
        store.put(raw_cid(data), data)
        file_of(store, raw_cid(data)).write_bytes(b"rot")
        with pytest.raises(ChunkDamaged):
            store.get(raw_cid(data))
    assert len(list((tmp_path / "chunks" / "damaged").iterdir())) == QUARANTINE_FILES_MAX


def test_an_unfinished_write_is_gone_after_a_restart(tmp_path: Path) -> None:
    ChunkStore(tmp_path)
    (tmp_path / "incoming" / "half").write_bytes(DATA[:3])
    store = ChunkStore(tmp_path)
    assert list((tmp_path / "incoming").iterdir()) == []
    assert list(store.iterate()) == []


def test_a_write_syncs_the_file_then_renames_then_syncs_the_directory(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D8: the order that survives a power cut."""
    path = file_of(store, CID)
    log: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def logged_fsync(descriptor: int) -> None:
        log.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).relative_to(tmp_path / 'chunks').parts[0]}")
        fsync(descriptor)

    def logged_rename(source: Path, target: Path) -> Path:
        log.append("rename")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "rename", logged_rename)
    store.put(CID, DATA)
    assert path.is_file()
    assert log == ["sync incoming", "sync blocks", "rename", "sync blocks"]


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, ChunkStoreFull), (errno.EIO, ChunkStoreFailure)])
def test_a_refusing_disk_is_a_typed_error_and_leaves_nothing(
    store: ChunkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    """D4, D5."""

    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(error):
            store.put(CID, DATA)
    assert (store.has(CID), store.size_bytes) == (False, 0)
    assert list((tmp_path / "chunks" / "incoming").iterdir()) == []
    assert store.put(CID, DATA) is True


def test_the_capacity_is_a_bound(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, capacity_bytes=len(DATA) + 3)
    store.put(CID, DATA)
    with pytest.raises(ChunkStoreFull):
        store.put(raw_cid(b"four"), b"four")
    assert store.put(raw_cid(b"thr"), b"thr") is True


def test_many_threads_may_write_one_block(store: ChunkStore) -> None:
    new: list[bool] = []
    threads = [threading.Thread(target=lambda: new.append(store.put(CID, DATA))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 1
    assert store.size_bytes == len(DATA)


def test_an_unusable_directory_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ChunkStoreFailure):
        ChunkStore(tmp_path / "file")


def test_the_bound_on_blocks_admits_every_block_of_the_profile() -> None:
    assert chunk_store.BLOCK_BYTES_MAX >= 1 << 20
