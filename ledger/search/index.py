"""Keeps the search database at the chain's head. Belongs to the chain's owner.

With every block (or group of them, where the chain writes several at once) the rows of what it changed, and its height,
are written in one transaction of SQLite, after the chain's own batch is durable and before anybody hears of the block.
SQLite does not sync it. What a crash takes of it is caught up from the notes that the chain keeps of its blocks: each
names the subjects whose rows may have changed, and rows follow from the state at the head, whatever happened in
between. Any other database that is not at the chain's head when the chain opens (lost, damaged, of another network,
ahead) is thrown away and made from the state in one pass.

Nothing that goes wrong here stops the chain. A write that fails is tried again with the next block, together with what
that changes; meanwhile the database stays at the height that it names.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from ledger.block import Header
from ledger.ports import Past
from ledger.search.schema import FORMAT, STATEMENTS, TABLES
from ledger.search.sources import SOURCES
from ledger.state.view import Readable, table_of
from primitives.codec import CodecError, decode, encode

PENDING_MAX: Final = 100_000
"""Subjects whose rows wait for a database that cannot be written, or that a start catches up. Beyond it the database is
left as it is until the next start, and a start makes it anew."""
CATCH_UP_MAX: Final = 100_000
"""Blocks that a start catches up from notes; further behind, the database is made anew."""
JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
"""To which SQLite's journal is cut when a large step has made it longer."""
SUM_SUFFIX: Final = ".sum"
"""Of the file with the hash of what a clean stop left; about a second a GB when a node stops and starts."""
AT_ONCE_MAX: Final = 1_000
"""Works, and other subjects of rows, that a start makes rows of before it goes on; more follow in steps."""
STEP_MAX: Final = 16
"""Subjects in a step, of 0.2 to 0.3 ms each."""
LOCK_WAIT_MS: Final = 100
"""How long a block's rows wait for somebody else who writes into the database, which nobody should."""

_WATCHED: Final[dict[bytes, list[tuple[int, int, int]]]] = {}
"""Table of the state -> its sources, and where in a key the subject of each stands."""
for _number, _source in enumerate(SOURCES):
    for _table in (_source.subjects, *_source.watched):
        _start = len(_table.prefix)
        _WATCHED.setdefault(_table.prefix, []).append((_number, _start, _start + _source.key_bytes))

_Subject = tuple[int, bytes]
"""(number of the source, subject)"""


class _Note(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a block changed, as the chain keeps it."""

    format: int
    subjects: tuple[tuple[Annotated[int, msgspec.Meta(ge=0, lt=len(SOURCES))], bytes], ...]
    """In order."""


_NOTHING: Final = encode(_Note(FORMAT, ()))

Report = Callable[[str], None]
"""Hears in a sentence what an operator may want to know."""


class SearchIndex:
    """`ledger.ports.StateFollower` over a database file."""

    def __init__(self, path: Path, report: Report) -> None:
        """`path` is the file; SQLite puts two more beside it. Nothing is opened before `begin`."""
        self._path = path
        self._report = report
        self._database: sqlite3.Connection | None = None
        self._pending: set[_Subject] = set()
        """Whose rows the database does not have yet."""
        self._failing = False
        self._made: tuple[int, bytes] | None = None
        """How far a database that is made anew has got: (number of the source, its last subject); None when it is
        complete. Until then it names no height, and nobody reads it."""

    def begin(self, header: Header, block_hash: bytes, state: Readable, past: Past) -> None:
        """Bring the database to the chain's head: as it is, by catching up, or by making it anew from `state`."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (why := self._resume(header, block_hash, state, past)) is not None:
                if header.height > 0 or self._path.exists():  # else both begin
                    self._report(f"the search database is made anew: {why}")
                self._rebuild(header, block_hash, state)
        except (OSError, sqlite3.Error) as error:
            self.close()
            self._report(f"{self._path}: {error}; there is no search until the node is started again")

    def note(self, changes: Iterable[bytes]) -> bytes:
        """Return the subjects that `changes`, keys of the state, are records of."""
        found: set[tuple[int, bytes]] = set()
        # `table_of` written out: of a block of transfers this is most of what search costs.
        for key in [key for key in changes if key[: key.find(b"/") + 1] in _WATCHED]:
            for number, start, end in _WATCHED[table_of(key)]:
                found.add((number, key[start:end]))
        return encode(_Note(FORMAT, tuple(sorted(found)))) if found else _NOTHING

    def executed(self, header: Header, block_hash: bytes, notes: Sequence[bytes], state: Readable) -> None:
        """Follow a block, or several."""
        if self._database is None:
            return
        for note in notes:
            if note != _NOTHING:
                self._pending.update(decode(note, _Note).subjects)
        try:
            self._write(header, block_hash, state)
        except sqlite3.Error as error:
            self._on_failure(header.height, error)
            return
        if self._failing:
            self._failing = False
            self._report(f"the search database follows again, at block {header.height}")

    def _write(self, header: Header, block_hash: bytes, state: Readable) -> None:
        assert self._database is not None
        with _transaction(self._database):
            for number, subject in sorted(self._pending):
                SOURCES[number].write(self._database, state, subject)
            self._database.execute(
                "UPDATE meta SET height = ?, block_hash = ?, block_time_ms = ?",
                (header.height, block_hash, header.timestamp_ms),
            )
        self._pending.clear()

    def close(self) -> None:
        """Close the database, and note what its file holds; closing twice is harmless.

        SQLite does not notice most of what a disk may do to its file, and reads whatever is there. After a crash there
        is no such note: then the file has just been written, and its structure is checked.
        """
        if self._database is None:
            return
        self._database.close()
        self._database = None
        try:
            if not self._beside("-wal").exists():  # else somebody else has it open, and not all of it is in the file
                self._beside(SUM_SUFFIX).write_text(_digest(self._path))
        except OSError as error:
            self._report(f"{self._path}: {error}; the next start cannot tell whether it is damaged")

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _as_left(self) -> bool:
        """Whether the file is as a clean stop left it, if that is known; it is about to be written."""
        noted = self._beside(SUM_SUFFIX)
        if not noted.exists():
            return True
        same = noted.read_text(errors="replace") == _digest(self._path)
        noted.unlink()
        return same

    def _resume(self, header: Header, block_hash: bytes, state: Readable, past: Past) -> str | None:
        """Open the database that is there and catch up; say why it cannot be used, or None."""
        if not self._path.exists():
            return "there is none"
        as_left = self._as_left()
        try:
            self._database = _connect(self._path)
            (verdict,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
            found = self._database.execute("SELECT format, network, height, block_hash FROM meta").fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter while SQLite's own words are read
            return f"it cannot be read ({error})"
        if verdict != "ok":
            return f"it is damaged ({verdict})"
        if found is None:
            return "it was not completed"
        if found[0] != FORMAT:
            return "it has another format"
        if found[1] != header.network_id:
            return "it belongs to another network"
        if not as_left:
            return "its file is not as it was left"
        _, _, height, hashed = found
        if (height, hashed) == (header.height, block_hash):
            return None
        missed = _missed(height, hashed, header.height, past)
        if missed is None:
            return f"it is at block {height}, and nothing leads from there to block {header.height}"
        self._pending = missed
        try:
            self._write(header, block_hash, state)
        except sqlite3.Error as error:
            return f"it cannot be written ({error})"
        return None

    def _rebuild(self, header: Header, block_hash: bytes, state: Readable) -> None:
        self.close()
        self._pending.clear()
        for suffix in ("", "-wal", "-shm", "-journal", SUM_SUFFIX):
            self._beside(suffix).unlink(missing_ok=True)
        self._database = _connect(self._path)
        with _transaction(self._database):
            for statement in STATEMENTS:
                self._database.execute(statement)
        self._made = (0, b"")
        if self._step(header, block_hash, state, AT_ONCE_MAX):
            self._report(f"the search database is made beside the work: it has more than {AT_ONCE_MAX} works")

    def step(self, header: Header, block_hash: bytes, state: Readable) -> bool:
        """Go on with a database that is made anew, at whatever head the chain is now; tell whether there is more.

        Rows follow from the state alone, so it does not matter what has happened between two steps: blocks write the
        rows that they change, and what they changed before its turn came is read as it is then.
        """
        try:
            return self._step(header, block_hash, state, STEP_MAX)
        except (OSError, sqlite3.Error) as error:
            self.close()
            self._made = None
            self._report(f"{self._path}: {error}; there is no search until the node is started again")
            return False

    def _step(self, header: Header, block_hash: bytes, state: Readable, count: int) -> bool:
        if self._database is None or self._made is None:
            return False
        with _transaction(self._database):
            self._made = _make_some(self._database, state, self._made, count)
            if self._made is None:
                self._database.execute(
                    "INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?)",
                    (FORMAT, header.network_id, header.height, block_hash, header.timestamp_ms),
                )
        if self._made is None:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the journal has all of it once more
        return self._made is not None

    def _on_failure(self, height: int, error: sqlite3.Error) -> None:
        if len(self._pending) > PENDING_MAX:
            self.close()
            self._pending.clear()
            self._report(f"the search database is given up at block {height}, until the node is started again")
        elif not self._failing:
            self._failing = True
            self._report(f"the search database cannot follow block {height} ({error}); it is tried with every block")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missed(height: int, block_hash: bytes, head: int, past: Past) -> set[_Subject] | None:
    """Return the subjects that blocks above `height` name; None where there are too many of either, a block without a
    note of this format, or another chain."""
    known = past(height) if 0 <= height <= head <= height + CATCH_UP_MAX else None
    if known is None or known[0] != block_hash:
        return None
    missed: set[_Subject] = set()
    for following in range(height + 1, head + 1):
        found = past(following)
        if found is None or found[1] is None:
            return None
        try:
            note = decode(found[1], _Note)
        except CodecError:
            return None
        if note.format != FORMAT:
            return None
        missed.update(note.subjects)
        if len(missed) > PENDING_MAX:
            return None
    return missed


def _make_some(
    database: sqlite3.Connection, state: Readable, made: tuple[int, bytes], count: int
) -> tuple[int, bytes] | None:
    """Write the rows of the next subjects behind `made`; return how far that is, None where it is all."""
    number, after = made
    for source in SOURCES[number:]:
        prefix = source.subjects.prefix
        for key, _ in islice(state.iterate(prefix, prefix + after + b"\x00" if after else b""), count):
            after = key[len(prefix) :]
            source.write(database, state, after)
            count -= 1
        if not count:
            return number, after
        number, after = number + 1, b""
    return None


def make(database: sqlite3.Connection, state: Readable) -> None:
    """Write the tables, and the rows of a whole state."""
    for statement in STATEMENTS:
        database.execute(statement)
    for source in SOURCES:
        cut = len(source.subjects.prefix)
        for key, _ in state.iterate(source.subjects.prefix):
            source.write(database, state, key[cut:])


def content(database: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a database says, by table, in an order of its own: equal for equal states. For tests and tools.

    Raises:
        sqlite3.DatabaseError: the full text is not that of the table `assets`.
    """
    database.execute("INSERT INTO texts (texts, rank) VALUES ('integrity-check', 1)")
    found = {}
    for table in TABLES:
        columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})") if name != "row"]
        found[table] = sorted(database.execute(f"SELECT {', '.join(columns)} FROM {table}"), key=repr)
    return found


def _connect(path: Path) -> sqlite3.Connection:
    # One thread at a time uses it, but the one that closes it may be another.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MS}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
    except sqlite3.Error:
        database.close()
        raise
    return database


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
