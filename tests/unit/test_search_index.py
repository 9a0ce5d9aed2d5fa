"""The search database follows the chain, and is made anew whenever it is not where the chain is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.chain import Chain
from ledger.errors import LedgerError
from ledger.execution import DecidedProposal
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Terms, WithdrawOffer
from ledger.modules.licenses.records import OFFERS
from ledger.search import index as module
from ledger.search import request
from ledger.search.index import SUM_SUFFIX, SearchIndex
from ledger.search.reader import SearchReader
from ledger.search.schema import FORMAT
from ledger.search.sources import SOURCES
from ledger.state.store import MemoryStore
from primitives.codec import encode
from simulation.cluster import make_genesis
from simulation.world import START_MS
from tests.unit.modules_kit import World
from tests.unit.modules_kit import make_genesis as modules_genesis
from tests.unit.search_kit import Searched, block_hash, header, rebuilt

TERMS = Terms(rights=("download",), price=5)


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[Searched]:
    """Three works, an offer, and some blocks without anything."""
    made = Searched(World(), tmp_path / "search" / "assets.sqlite")
    for number in range(3):
        made.world.register("alice", f"work {number}", tags=("one", "two"))
        made.follow()
    asset = made.world.register("bob", "offered")
    made.world.offer("bob", asset, TERMS)
    for _ in range(3):
        made.follow()
    yield made
    made.close()


def test_every_block_moves_the_height_and_only_what_it_touched_is_written(searched: Searched) -> None:
    database = sqlite3.connect(searched.path)
    before = list(database.execute("SELECT row, asset FROM assets ORDER BY row"))
    searched.world.do("alice", Transfer(searched.world.accounts["bob"], 5))
    searched.follow()
    assert database.execute("SELECT height, block_hash FROM meta").fetchone() == (
        searched.height,
        block_hash(searched.height),
    )
    searched.world.register("carol", "new")
    searched.follow()
    after = list(database.execute("SELECT row, asset FROM assets ORDER BY row"))
    assert after[:-1] == before
    assert len(after) == len(before) + 1
    database.close()


def test_a_start_at_the_head_changes_nothing(searched: Searched) -> None:
    before = searched.content()
    searched.restart()
    assert searched.content() == before
    assert searched.reports == []


def test_a_kill_between_the_chains_write_and_the_searchs_is_made_good(searched: Searched) -> None:
    """The chain is ahead, as after a crash between the two writes, or a power failure that took unsynced ones: what
    the blocks have noted is caught up, and nothing else is written."""
    database = sqlite3.connect(searched.path)
    before = list(database.execute("SELECT row, asset FROM assets ORDER BY row"))
    database.close()
    for number in range(2):
        searched.world.register("dave", f"lost {number}")
        searched.miss()
    (offer,) = (key for key, _ in OFFERS.items(searched.world.view))
    searched.world.do("bob", WithdrawOffer(offer))
    searched.miss()
    searched.miss()
    searched.restart()
    assert searched.reports == []
    assert searched.content() == rebuilt(searched.world.view)
    database = sqlite3.connect(searched.path)
    assert list(database.execute("SELECT row, asset FROM assets ORDER BY row"))[: len(before)] == before
    database.close()
    assert set(searched.names(text="lost")) == {"lost 0", "lost 1"}
    assert searched.names(offered="true") == []


def _forget(searched: Searched) -> None:
    del searched.notes[8]


def _foul(searched: Searched) -> None:
    searched.notes[8] = searched.notes[8][:-1]


def _another_format(searched: Searched) -> None:
    searched.notes[8] = encode((FORMAT + 1, ()))


def _unknown_source(searched: Searched) -> None:
    searched.notes[8] = encode((FORMAT, ((len(SOURCES), bytes(32)),)))


@pytest.mark.parametrize("harm", [_forget, _foul, _another_format, _unknown_source])
def test_a_note_that_is_not_there_or_not_ours_is_no_ground_to_catch_up_from(
    harm: Callable[[Searched], None], searched: Searched
) -> None:
    """A block of a program without a search, or with another: everything is made anew."""
    for number in range(3):
        searched.world.register("dave", f"lost {number}")
        searched.miss()
    harm(searched)
    searched.restart()
    assert "nothing leads from there to block 9" in searched.reports[-1]
    assert searched.content() == rebuilt(searched.world.view)


@pytest.mark.parametrize(("bound", "value"), [("CATCH_UP_MAX", 2), ("PENDING_MAX", 3)])
def test_too_much_to_catch_up_is_made_anew(
    bound: str, value: int, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        searched.world.register("dave", f"lost {number}")
        searched.world.register("dave", f"gone {number}")
        searched.miss()
    monkeypatch.setattr(module, bound, value)
    searched.restart()
    assert "nothing leads from there" in searched.reports[-1]
    assert searched.content() == rebuilt(searched.world.view)


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * 4_096 + 100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foul_header(path: Path) -> None:
    path.write_bytes(b"\x00" * 4_096 + path.read_bytes()[4_096:])


def _foul_pages(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4_096] + b"\xa5" * (path.stat().st_size - 4_096))


def _foul_schema(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"CREATE TABLE assets", b"CREATE TABLE \xff\xff\xff\xff\xff\xff"))


def _other_table(path: Path) -> None:
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE meta (height)")
    database.commit()
    database.close()


def _sql(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.with_name(path.name + SUM_SUFFIX).unlink()  # as after a crash
        database = sqlite3.connect(path)
        database.execute(statement)
        database.commit()
        database.close()

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_delete, "there is none"),
        (_truncate, ""),
        (_empty, "cannot be read"),
        (_foul_header, "cannot be read"),
        (_foul_pages, ""),
        (_foul_schema, ""),
        (_other_table, "cannot be read"),
        (_sql("DROP TABLE meta"), "cannot be read"),
        (_sql("DELETE FROM meta"), "was not completed"),
        (_sql(f"UPDATE meta SET format = {FORMAT + 1}"), "another format"),
        (_sql("UPDATE meta SET height = height + 1000"), "at block 1006, and nothing leads from there to block 6"),
        (_sql("UPDATE meta SET height = -1"), "at block -1"),
        (_sql("UPDATE meta SET height = 0"), "at block 0"),
        (_sql("UPDATE meta SET block_hash = zeroblob(32)"), "at block 6"),
        (_sql("UPDATE meta SET network = zeroblob(32)"), "another network"),
    ],
)
def test_whatever_became_of_the_file_the_node_starts_and_finds_everything(
    damage: Callable[[Path], None], reason: str, searched: Searched
) -> None:
    expected = searched.content()
    searched.close()
    damage(searched.path)
    searched.restart()
    assert reason in searched.reports[-1]
    assert len(searched.reports) == 1
    assert searched.content() == expected == rebuilt(searched.world.view)
    assert searched.names(sort="name") == ["offered", "work 0", "work 1", "work 2"]


def test_a_byte_that_changed_while_it_was_stopped_is_noticed(searched: Searched) -> None:
    """D1: SQLite reads what is there, and has no checksums."""
    expected = searched.content()
    searched.close()
    data = bytearray(searched.path.read_bytes())
    at = data.index(b"work 1")
    data[at] ^= 1
    searched.path.write_bytes(data)
    searched.restart()
    assert searched.reports == ["the search database is made anew: its file is not as it was left"]
    assert searched.content() == expected
    searched.close()
    searched.restart()
    assert len(searched.reports) == 1, "a file as it was left is taken as it is"


@pytest.mark.parametrize("notes", [True, False])
def test_an_older_copy_is_brought_to_the_head(notes: bool, searched: Searched, tmp_path: Path) -> None:
    """Restored beside a chain that went on: the same network, an earlier height."""
    searched.close()
    shutil.copytree(searched.path.parent, tmp_path / "copy")
    searched.restart()
    searched.world.register("carol", "later")
    searched.follow()
    searched.close()
    shutil.rmtree(searched.path.parent)
    shutil.copytree(tmp_path / "copy", searched.path.parent)
    if not notes:
        searched.notes.clear()
    searched.restart()
    assert (searched.reports == []) is notes
    assert searched.content() == rebuilt(searched.world.view)
    assert "later" in searched.names()


def test_the_database_of_another_network_is_not_believed(searched: Searched, tmp_path: Path) -> None:
    other = Searched(World(modules_genesis(fee_bps=1)), tmp_path / "other" / "assets.sqlite")
    for number in range(6):
        other.world.register("dave", f"foreign {number}")
        other.follow()
    other.close()
    searched.close()
    shutil.copytree(other.path.parent, searched.path.parent, dirs_exist_ok=True)
    searched.restart()
    assert "another network" in searched.reports[-1]
    assert searched.names(sort="name") == ["offered", "work 0", "work 1", "work 2"]


@pytest.mark.parametrize("number", [0, 2])
def test_a_kill_while_it_is_made_leaves_nothing_that_is_believed(
    number: int, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among the assets, and among the offers: the rows and the height are one transaction."""
    searched.close()
    searched.path.unlink()

    class Killed(BaseException):
        pass

    def end(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        broken = [*SOURCES]
        broken[number] = msgspec.structs.replace(broken[number], write=end)
        patch.setattr(module, "SOURCES", tuple(broken))
        killed = SearchIndex(searched.path, searched.reports.append)
        head = header(searched.world, searched.height), block_hash(searched.height)
        with pytest.raises(Killed):
            killed.begin(*head, searched.world.view, searched.past)
        killed.close()
    searched.restart()
    assert searched.content() == rebuilt(searched.world.view)


def test_a_directory_that_cannot_be_used_costs_the_search_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "search").write_bytes(b"a file where the directory should be")
    searched = Searched(World(), tmp_path / "search" / "assets.sqlite")
    assert "no search until the node is started again" in searched.reports[-1]
    searched.world.register("alice", "work")
    searched.follow()
    with pytest.raises(LedgerError) as caught:
        searched.reader.search(request.read({}))
    assert caught.value.code == "search.unavailable"
    searched.close()


def test_a_write_that_fails_is_made_up_for_with_the_next_block(searched: Searched) -> None:
    """Somebody else holds the file: the answer stays at the height that it names, and then nothing is missing."""
    height = searched.height
    other = sqlite3.connect(searched.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(2):
        searched.world.register("carol", f"meanwhile {number}")
        searched.follow()
    assert len(searched.reports) == 1, "said once"
    behind = searched.reader.search(request.read({"owner": ""}))
    assert (behind.height, len(behind.items)) == (height, 4)
    other.execute("ROLLBACK")
    other.close()
    searched.follow()
    assert "follows again, at block" in searched.reports[-1]
    assert searched.content() == rebuilt(searched.world.view)
    assert set(searched.names(text="meanwhile")) == {"meanwhile 0", "meanwhile 1"}


def test_a_database_made_anew_is_not_on_the_disk_twice(searched: Searched) -> None:
    for number in range(40):
        searched.world.register("carol", f"large {number}", description="words " * 600)
    searched.follow()
    searched.close()
    searched.path.unlink()
    searched.index = SearchIndex(searched.path, searched.reports.append)
    searched.begin()
    journal = searched.path.with_name(searched.path.name + "-wal")
    assert journal.stat().st_size < searched.path.stat().st_size // 10


def test_what_waits_is_bounded_and_what_was_given_up_is_made_anew(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING_MAX", 2)  # a new asset has two
    other = sqlite3.connect(searched.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(3):
        searched.world.register("carol", f"meanwhile {number}")
        searched.follow()
    assert "given up at block 8, until the node is started again" in searched.reports[-1]
    other.execute("ROLLBACK")
    other.close()
    searched.follow()
    assert searched.reader.search(request.read({})).height == 6
    monkeypatch.undo()
    searched.restart()
    assert searched.content() == rebuilt(searched.world.view)


def test_a_full_disk_costs_no_block_and_no_row(searched: Searched) -> None:
    """What did not fit is taken back as a whole, and written once there is room."""
    database = searched.index._database
    assert database is not None
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(5):
        searched.world.register("carol", f"large {number}", description="words " * 600)
        searched.follow()
    assert any("full" in report for report in searched.reports)
    answer = searched.reader.search(request.read({"retired": "any"}))
    assert answer.height < searched.height
    database.execute("PRAGMA max_page_count = 1000000")
    searched.follow()
    assert "follows again" in searched.reports[-1]
    assert searched.content() == rebuilt(searched.world.view)


def test_a_chain_tells_its_follower_of_every_block_before_anybody_else_hears(tmp_path: Path) -> None:
    """Whoever learns of a block from the chain finds the search at its height: also after blocks without anything, and
    with a chain that was opened before."""
    genesis, store = make_genesis(4), MemoryStore()
    path = tmp_path / "assets.sqlite"
    for start in (0, 3):
        reports: list[str] = []
        search, reader = SearchIndex(path, reports.append), SearchReader(path)
        chain = Chain.open(store, genesis, follower=search)
        assert reports == []
        for height in range(start + 1, start + 4):
            assert reader.search(request.read({})).height == height - 1
            block = chain.execute(height, DecidedProposal(0, START_MS + height), [])
            answer = reader.search(request.read({}))
            assert (answer.height, answer.block_time_ms) == (height, block.header.timestamp_ms)
        reader.close()
        search.close()


def test_a_chain_keeps_what_a_start_catches_up_from(tmp_path: Path) -> None:
    """A copy of the search from an earlier block, beside the chain as it is: nothing is made anew. Blocks that a
    program without a search has executed are what a start cannot catch up over."""
    genesis, store = make_genesis(4), MemoryStore()
    path, copy = tmp_path / "assets.sqlite", tmp_path / "copy.sqlite"
    search = SearchIndex(path, pytest.fail)
    chain = Chain.open(store, genesis, follower=search)
    for height in range(1, 6):
        chain.execute(height, DecidedProposal(0, START_MS + height), [])
        if height == 2:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
    search.close()
    path.write_bytes(copy.read_bytes())
    path.with_name(path.name + SUM_SUFFIX).unlink()
    search = SearchIndex(path, pytest.fail)
    chain = Chain.open(store, genesis, follower=search)
    reader = SearchReader(path)
    assert reader.search(request.read({})).height == 5
    search.close()
    chain = Chain.open(store, genesis)
    chain.execute(6, DecidedProposal(0, START_MS + 6), [])
    reports: list[str] = []
    search = SearchIndex(path, reports.append)
    Chain.open(store, genesis, follower=search)
    assert "at block 5, and nothing leads from there to block 6" in reports[0]
    assert reader.search(request.read({})).height == 5, "a connection to a file that is no longer there"
    reader.close()
    assert reader.search(request.read({})).height == 6
    reader.close()
    search.close()
