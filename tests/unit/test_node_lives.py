"""What the node does about an end: wait for room, move a damaged ledger aside, or end with a code that says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plyvel
import pytest

import node.lives
from ledger.errors import LedgerError, StorageError
from ledger.state.store import LevelStore
from node import disk_space
from node.configuration import Configuration, Storage
from node.data_directory import DataDirectory
from node.disk_space import ROOM_BYTES_MIN, DiskSpace, is_full
from node.failures import DirectoryUnusable, ExitCode, LedgerDamaged
from node.journal import JournalFailed, JournalFull
from node.lives import RESYNCS_MAX, Lives
from node.node_files import NodeFiles

FULL = StorageError("storage.full", "No space left on device")
DAMAGED = StorageError("storage.damaged", "a record does not match its hash")
Life = Callable[["FakeNode"], None]


class FakeNode:
    """A node whose life is told in advance: what its start raises, or what ends it."""

    def __init__(self, files: NodeFiles, on_fatal: Callable[[BaseException], None], world: World) -> None:
        self.listen = (files.configuration.api.listen, files.configuration.p2p.listen)
        self.space = DiskSpace(files.directory.path, 0, world.free)
        self._on_fatal = on_fatal
        self._world = world
        world.nodes.append(self)

    async def start(self) -> dict[str, str]:
        assert self._world.running == 0, "one after the other"
        self._world.running += 1
        end = self._world.ends.pop(0)
        if isinstance(end, tuple):
            raise end[0]
        asyncio.get_running_loop().call_soon(self._end, end)
        return {"api": "http://127.0.0.1:4711", "p2p": "127.0.0.1:4712", "node_id": "x"}

    def _end(self, end: BaseException | None) -> None:
        if end is None:
            self._world.lives.stop()
        else:
            self._on_fatal(end)

    async def stop(self) -> None:
        self._world.running -= 1


class World:
    """The lives to come, and the free space that each look finds."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, on_damage: Any = "stop") -> None:
        self.ends: list[Any] = []
        self.spaces: list[int] = []
        self.nodes: list[FakeNode] = []
        self.announced: list[dict[str, str]] = []
        self.running = 0
        self.lives: Lives
        self.directory = DataDirectory(tmp_path)
        configuration = Configuration(storage=Storage(on_damage=on_damage))
        files: Any = {"directory": self.directory, "configuration": configuration}
        self.files = NodeFiles(**files, keys=None, genesis=None, genesis_bytes=b"")  # type: ignore[arg-type]
        monkeypatch.setattr(node.lives, "Node", lambda files, on_fatal: FakeNode(files, on_fatal, self))
        monkeypatch.setattr(node.lives, "POLL_PERIOD_S", 0.001)

    def free(self, _path: Path) -> int:
        return self.spaces.pop(0) if self.spaces else 2 * ROOM_BYTES_MIN

    def run(self) -> BaseException | None:
        async def run() -> BaseException | None:
            self.lives = Lives(self.files, self.announced.append)
            return await self.lives.run()

        return asyncio.run(run())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_full_disk_is_waited_for_and_the_node_begins_anew_where_it_listened(world: World) -> None:
    """D4"""
    world.ends = [FULL, JournalFull("no room"), None]
    world.spaces = [0, 0, ROOM_BYTES_MIN - 1]
    assert world.run() is None
    assert [each.listen for each in world.nodes[1:]] == [("127.0.0.1:4711", "127.0.0.1:4712")] * 2
    assert "goes on by itself" in world.nodes[0].space.suspended
    assert len(world.announced) == 1
    assert world.spaces == []


def test_a_later_life_that_finds_no_room_waits_again_and_a_first_one_says_so(world: World) -> None:
    """D4: who starts a node on a full disk reads why it ends."""
    world.ends = [FULL, (FULL,), None]
    assert world.run() is None
    assert len(world.nodes) == 3
    world.ends = [(FULL,)]
    with pytest.raises(DirectoryUnusable, match="No space left"):
        world.run()


def test_what_fails_while_it_waits_for_room_ends_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """D5"""
    failure = JournalFailed("Input/output error")

    def look(self: DiskSpace) -> None:
        self.free_bytes = 0
        if world.running:
            world.nodes[-1]._on_fatal(failure)

    world.ends = [FULL]
    monkeypatch.setattr(DiskSpace, "poll", look)
    assert world.run() is failure
    assert len(world.nodes) == 1


def test_damage_ends_the_process_with_the_command_that_helps(world: World) -> None:
    """D3: on its way, and at the start."""
    for end in (DAMAGED, (DAMAGED,)):
        world.ends = [end]
        error = world.run()
        assert isinstance(error, LedgerDamaged)
        assert error.exit_code == ExitCode.DAMAGED
        assert f"guildmark node resync --directory {world.directory.path}" in str(error)


def test_a_damaged_ledger_is_moved_aside_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D3: twice in the life of a process; a disk that goes on damaging what is fetched is a disk to replace."""
    world = World(tmp_path, monkeypatch, on_damage="resync")
    for name in (b"first", b"second"):
        world.directory.chain.mkdir(exist_ok=True)
        (world.directory.chain / "CURRENT").write_bytes(name)
    world.ends = [(DAMAGED,), DAMAGED, DAMAGED]
    assert isinstance(world.run(), LedgerDamaged)
    assert len(world.nodes) == RESYNCS_MAX + 1
    assert (tmp_path / "chain.damaged" / "CURRENT").read_bytes() == b"second"
    assert not (world.directory.chain / "CURRENT").exists()


def test_a_store_is_written_anew_once_for_each_life_that_it_leads_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1: where the new one cannot be opened either, another copy of it would not help."""
    rewritten: list[Path] = []
    monkeypatch.setattr(node.lives, "rewrite_store", lambda path, _kept: rewritten.append(path) or 1)
    world.ends = [DAMAGED, StorageError("storage.rewrite", "mended"), (DAMAGED,)]
    error = world.run()
    assert isinstance(error, LedgerDamaged)
    assert rewritten == [world.directory.chain] * 2
    assert len(world.nodes) == 3


def test_anything_else_ends_the_process(world: World) -> None:
    """D5"""
    for failure in (JournalFailed("Input/output error"), StorageError("storage.failed", "Input/output error")):
        world.ends = [failure]
        assert world.run() is failure
    assert len(world.nodes) == 2


def test_what_counts_as_a_full_disk() -> None:
    assert is_full(FULL)
    assert is_full(JournalFull("x"))
    assert not is_full(JournalFailed("x"))
    assert not is_full(DAMAGED)
    assert not is_full(None)


def test_the_reserve_refuses_transactions_before_the_disk_is_full(tmp_path: Path) -> None:
    """D4"""
    free = [100, 50, 100]
    space = DiskSpace(tmp_path, 80, lambda _: free.pop(0))
    assert (space.refusal, space.free_bytes) == ("", 100)
    space.poll()
    assert "50 bytes are free" in space.refusal
    space.poll()
    assert space.refusal == ""
    assert not space.room, "a node that ran out of space needs more to begin anew"


def test_a_disk_that_cannot_be_asked_takes_no_transactions(tmp_path: Path) -> None:
    space = DiskSpace(tmp_path / "absent", 0)
    assert "is unknown" in space.refusal
    assert not space.room
    assert DiskSpace(tmp_path, 0).free_bytes > 0
    assert disk_space.POLL_PERIOD_S > 0


def test_a_store_without_room_takes_no_writes_and_answers_reads(tmp_path: Path) -> None:
    """D4: LevelDB takes no write after a failed one until it is opened again; what it reads is as of before."""
    store = LevelStore(tmp_path / "db")
    store.write_batch({b"a": b"1"})
    opened, real = store, store._db
    for words, code in (
        (b"IO error: x.log: No space left on device", "storage.full"),
        (b"IO error: x", "storage.failed"),
    ):

        class Refusing:
            def __init__(self, words: bytes) -> None:
                self.words = words

            def write_batch(self, **_: Any) -> Any:
                raise plyvel.IOError(self.words)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        store._db = Refusing(words)
        store._failure = None
        with pytest.raises(StorageError) as caught:
            store.write_batch({b"a": b"2"})
        assert (caught.value.code, "b'" in caught.value.message) == (code, False)
        store._db = real
        with pytest.raises(StorageError) as again:
            store.write_batch({b"a": b"2"})
        assert again.value.code == code
        if code == "storage.full":
            assert opened.get(b"a") == b"1"
            assert list(opened.iterate(b"")) == [(b"a", b"1")]
        else:
            with pytest.raises(LedgerError, match="earlier write failed"):
                opened.get(b"a")
    store.close()
    reopened = LevelStore(tmp_path / "db")
    reopened.write_batch({b"a": b"2"})
    assert reopened.get(b"a") == b"2"
    reopened.close()
