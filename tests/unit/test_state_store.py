"""One contract for both stores, and what only a disk can do wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.errors import StorageError
from ledger.state.store import LevelStore, MemoryStore, Store


@pytest.fixture(params=["memory", "level"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else LevelStore(tmp_path / "db")
    yield opened
    opened.close()


def test_a_batch_is_seen_by_reads_and_iteration_in_order_of_key(store: Store) -> None:
    store.write_batch({b"b2": b"2", b"a": b"0", b"b1": b"1", b"c": b""})
    store.write_batch({b"b2": b"two", b"a": None, b"absent": None}, sync=False)
    assert store.get(b"b2") == b"two"
    assert store.get(b"a") is None
    assert store.get(b"c") == b""
    assert list(store.iterate(b"b")) == [(b"b1", b"1"), (b"b2", b"two")]
    assert [key for key, _ in store.iterate(b"")] == [b"b1", b"b2", b"c"]


def test_an_iteration_begins_where_it_is_told(store: Store) -> None:
    """Keys at the ends of what bytes can say included: the end of a prefix is found by counting up its last byte."""
    keys = [b"a", b"a\xff", b"a\xff\xff", b"b", b"b/1", b"b/2", b"c", b"\xff", b"\xff\xff", b"\xff\xff1"]
    store.write_batch(dict.fromkeys(keys, b""))
    for prefix in (b"", b"a", b"a\xff", b"b", b"b/", b"d", b"\xff", b"\xff\xff"):
        for start in (b"", b"a", b"a\x00", b"a\xff\x00", b"b/1", b"b/11", b"c", b"\xff", b"\xff\xff0", b"\xff\xff\xff"):
            expected = sorted(key for key in keys if key.startswith(prefix) and key >= start)
            assert [key for key, _ in store.iterate(prefix, start)] == expected, (prefix, start)


def test_an_iteration_does_not_see_later_writes(store: Store) -> None:
    store.write_batch({b"a": b"1", b"b": b"2"})
    records = store.iterate(b"")
    first = next(records)
    store.write_batch({b"a": None, b"aa": b"3", b"b": b"9"})
    assert [first, *records] == [(b"a", b"1"), (b"b", b"2")]


def test_a_closed_store_refuses_everything(store: Store) -> None:
    store.close()
    store.close()
    for action in (lambda: store.get(b"a"), lambda: list(store.iterate(b"")), lambda: store.write_batch({b"a": b"1"})):
        with pytest.raises(StorageError, match="closed") as caught:
            action()
        assert caught.value.code == "storage.failed"


def test_records_survive_reopening(tmp_path: Path) -> None:
    first = LevelStore(tmp_path / "db")
    first.write_batch({b"a": b"1"})
    first.close()
    second = LevelStore(tmp_path / "db")
    assert second.get(b"a") == b"1"
    second.close()


def test_a_second_process_is_refused_by_our_own_lock(tmp_path: Path) -> None:
    """R8: the second process on one directory exits; a failed second open in this process does not drop the lock."""
    holder = LevelStore(tmp_path / "db")
    with pytest.raises(StorageError) as caught:
        LevelStore(tmp_path / "db")
    assert caught.value.code == "storage.locked"
    script = (
        "import sys; from pathlib import Path; from ledger.errors import StorageError\n"
        "from ledger.state.store import LevelStore\n"
        "try: LevelStore(Path(sys.argv[1]))\n"
        "except StorageError as error: print(error.code)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "db")],
        capture_output=True, text=True, check=True, timeout=60, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert result.stdout == "storage.locked\n"
    holder.close()
    LevelStore(tmp_path / "db").close()


def _fill(path: Path) -> dict[bytes, bytes]:
    """Write records and make LevelDB move them into a table file (it does so when it opens with a log to recover)."""
    records = {b"key/%04d" % number: b"value %d " % number * 20 for number in range(500)}
    store = LevelStore(path)
    store.write_batch(records)
    store.close()
    LevelStore(path).close()
    return records


def _read_all(path: Path, records: dict[bytes, bytes]) -> None:
    """Raise AssertionError on any wrong answer: another value, or a missing record, without a StorageError."""
    store = LevelStore(path)
    try:
        for key, value in records.items():
            assert store.get(key) == value
        assert dict(store.iterate(b"key/")) == records
    finally:
        store.close()


def test_a_flipped_bit_in_a_table_file_never_gives_a_wrong_answer(tmp_path: Path) -> None:
    """D1: a flipped bit in an .ldb file, data, filter, index or footer, is found or harmless; no read is wrong."""
    path = tmp_path / "db"
    records = _fill(path)
    table = min(path.glob("*.ldb"))
    intact = table.read_bytes()
    found: list[StorageError] = []
    for step in range(64):
        data = bytearray(intact)
        data[len(data) * step // 64] ^= 1 << step % 8
        table.write_bytes(data)
        try:
            _read_all(path, records)
        except StorageError as error:
            found.append(error)
    assert len(found) > 48, "only the footer's padding may be flipped without notice"
    assert {error.code for error in found} == {"storage.damaged"}
    assert all(str(path) in error.message for error in found), "each says which store"
    table.write_bytes(intact)
    _read_all(path, records)


def test_a_flipped_bit_in_the_log_makes_the_open_fail(tmp_path: Path) -> None:
    """D1: LevelDB drops damaged log records silently unless it is told to be paranoid."""
    path = tmp_path / "db"
    store = LevelStore(path)
    store.write_batch({b"key/%04d" % number: b"value" * 20 for number in range(100)})
    store.close()
    log = max(path.glob("*.log"), key=lambda file: file.stat().st_size)
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    with pytest.raises(StorageError) as caught:
        LevelStore(path)
    assert caught.value.code == "storage.damaged"


def test_a_value_moved_under_another_key_is_found(tmp_path: Path) -> None:
    """D1: the hash beside a value covers its key."""
    import plyvel

    path = tmp_path / "db"
    store = LevelStore(path)
    store.write_batch({b"a": b"1", b"b": b"2"})
    store.close()
    raw = plyvel.DB(str(path))
    raw.put(b"a", raw.get(b"b"))
    raw.close()
    damaged = LevelStore(path)
    reads: list[Callable[[], object]] = [lambda: damaged.get(b"a"), lambda: list(damaged.iterate(b""))]
    for read in reads:
        with pytest.raises(StorageError) as caught:
            read()
        assert caught.value.code == "storage.damaged"
    assert damaged.get(b"b") == b"2"
    damaged.close()


def test_a_path_that_cannot_be_a_directory_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError) as caught:
        LevelStore(tmp_path / "file" / "db")
    assert caught.value.code == "storage.failed"
