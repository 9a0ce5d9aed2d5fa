"""Snapshots on disk: whole or not there, whatever happens meanwhile; and what has decayed is not handed on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger_core_kit import REGISTRY
from snapshot_kit import Newcomer, head_certificate, make_toy, take

from ledger.chain import Chain
from ledger.errors import StorageError
from ledger.snapshot import buckets, shelf, subtrees
from ledger.snapshot.shelf import Draft, SnapshotShelf
from ledger.snapshot.store_building import StoreBuilder, begin_store, resume_switch, switch_stores, sync_store
from ledger.state.store import LevelStore


class Crash(Exception):
    """The process ended here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, holder: Any, name: str, number: int) -> None:
    """Let call `number` of a function be the last thing that happens."""
    genuine: Callable[..., Any] = getattr(holder, name)
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > number:
            raise Crash
        return genuine(*arguments, **options)

    monkeypatch.setattr(holder, name, call)


@pytest.mark.parametrize("call", ["write", "rename", "fsync"])
def test_a_crash_while_a_snapshot_is_taken_leaves_it_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """R4: at every step; the one before it stays as it was."""
    kit = make_toy()
    old = take(kit.chain, kit.store, head_certificate(kit.chain), SnapshotShelf(tmp_path))
    kit.execute()
    kit.chain.add_certificate(kit.certificate(kit.chain.height))
    holders: dict[str, Any] = {"write": Draft, "rename": Path, "fsync": shelf.os}
    outcomes = []
    for number in range(20):
        with monkeypatch.context() as patch:
            crash_at(patch, holders[call], call, number)
            try:
                take(kit.chain, kit.store, head_certificate(kit.chain), SnapshotShelf(tmp_path))
            except Crash:
                pass
            else:
                break
        entries = SnapshotShelf(tmp_path).entries()
        outcomes.append(len(entries))
        for entry in entries:
            newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
            newcomer.fetch(SnapshotShelf(tmp_path), entry.height)
            assert newcomer.reception.complete
    assert outcomes
    assert [entry.height for entry in SnapshotShelf(tmp_path).entries()] == [old, old + 1]


def test_the_newest_are_kept(tmp_path: Path) -> None:
    kit = make_toy(5)
    snapshots = SnapshotShelf(tmp_path, keep=2)
    for _ in range(3):
        kit.execute()
        kit.chain.add_certificate(kit.certificate(kit.chain.height))
        take(kit.chain, kit.store, head_certificate(kit.chain), snapshots)
    height = kit.chain.height
    assert [entry.height for entry in snapshots.entries()] == [height - 1, height]
    assert snapshots.entries()[1].block_hash == kit.chain.head_hash
    assert snapshots.size_bytes(height) > 0
    assert {path.name for path in tmp_path.iterdir()} == {str(height - 1), str(height)}


def test_a_decayed_piece_is_noticed_and_its_snapshot_put_away(tmp_path: Path) -> None:
    """D1: a peer that got a wrong piece would name this node as a liar."""
    kit = make_toy()
    for name in ("manifest", "chunk", "history"):
        snapshots = SnapshotShelf(tmp_path / name)
        height = take(kit.chain, kit.store, head_certificate(kit.chain), snapshots)
        path = next((tmp_path / name / str(height)).glob(f"{name}*"))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        reader = SnapshotShelf(tmp_path / name, reads_only=True)
        assert reader.read(height, path.name) is None
        reader.entries()
        assert path.read_bytes() == data, "who only reads removes nothing"
        assert snapshots.read(height, path.name) is None
        assert snapshots.entries() == []
        assert SnapshotShelf(tmp_path / name).entries() == []


def test_who_only_reads_makes_no_directory(tmp_path: Path) -> None:
    assert SnapshotShelf(tmp_path / "none", reads_only=True).entries() == []
    assert not (tmp_path / "none").exists()


def test_a_large_state_is_dealt_out_to_files_and_cut_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded memory changes nothing in what comes of it."""
    kit = make_toy(600, pad=3_000)
    for module in (buckets, subtrees):
        monkeypatch.setattr(module, "CHUNK_BYTES_TARGET", 5_000)
    simple = SnapshotShelf(tmp_path / "simple")
    height = take(kit.chain, kit.store, head_certificate(kit.chain), simple)
    monkeypatch.setattr(buckets, "HELD_BYTES_MAX", 50_000)
    monkeypatch.setattr(buckets, "BUCKET_BYTES_MAX", 8_000)
    spilled = SnapshotShelf(tmp_path / "spilled")
    take(kit.chain, kit.store, head_certificate(kit.chain), spilled)
    files = [
        {path.name: path.read_bytes() for path in (at / str(height)).iterdir()} for at in (simple.path, spilled.path)
    ]
    assert files[0] == files[1]
    manifest = simple.manifest(height)
    assert manifest is not None
    assert max(len(subtree.prefix) for subtree in manifest.subtrees) > 2


@pytest.mark.parametrize("number", range(6))
def test_a_crash_while_stores_are_switched_leaves_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """R4: old or new, never half; the next start goes on where this one ended."""
    kit = make_toy()
    snapshots = SnapshotShelf(tmp_path / "snapshots")
    height = take(kit.chain, kit.store, head_certificate(kit.chain), snapshots)
    current, fresh = tmp_path / "chain", tmp_path / "chain.new"
    old = LevelStore(current)
    Chain.open(old, kit.genesis, REGISTRY)
    old.close()
    store = begin_store(fresh)
    newcomer = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    newcomer.reception.builder = StoreBuilder(store, REGISTRY)
    newcomer.fetch(snapshots, height)
    newcomer.reception.finish()
    store.close()
    sync_store(fresh)
    with monkeypatch.context() as patch:
        crash_at(patch, Path, "rename", number)
        try:
            switch_stores(fresh, current)
        except Crash:
            assert number < 3
        else:
            assert number >= 3
    resume_switch(current)
    found = LevelStore(current)
    assert Chain.open(found, kit.genesis, REGISTRY).height == (0 if number == 0 else height)
    found.close()
    assert not resume_switch(current)


def test_a_full_disk_is_said_and_nothing_half_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D4: the chain goes on without a snapshot."""
    kit = make_toy()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shelf.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        take(kit.chain, kit.store, head_certificate(kit.chain), SnapshotShelf(tmp_path))
    assert SnapshotShelf(tmp_path).entries() == []
