"""The vote log: what this validator promised, in an append-only file of its own.

    file   = magic (21 bytes) mark (8) checksum (8) epoch (8) ledger height (8) incarnation (8) first position (8)
             durable (8), then records
    record = mark (8) length (4, of the payload) checksum (8) position (8) durable (8) payload

Positions rise by one. `durable` is the highest position known to be synced when the bytes were written. A log holds the
votes of one epoch. The ledger height is what the ledger held when the log was last truncated: a ledger below it was
lost. The incarnation is 0, or the number with which this directory has asked to rejoin since it lost votes: it may vote
in epochs whose validator set says the same number, and in no other. A checksum is the beginning
of SHA-256 over all the rest and a secret, and the mark follows from the secret alone: records hold what strangers
wrote, and nobody must be able to write something that looks like a record where a crash tore one, or that takes long to
tell from one. LevelDB cannot keep votes: a truncated log of it is silently accepted.

A crash tears what was written and not yet synced, in any part of it. Nothing that waits for those records was sent, so
the tail is cut from the first damaged record on, unless a later record shows that the damaged one had been durable.
Damage to the very last sync cannot be told from a tear; the engine notices from its peers what it forgot.
"""

from __future__ import annotations

import errno
import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from node.failures import ExitCode, NodeFailure
from node.ports import AppendFile, Files, Jobs

FILE_NAME: Final = "votes.log"
DAMAGED_FILE_NAME: Final = "votes.damaged"
"""Where a damaged log is kept for examination; the next one takes its place."""
RECORD_BYTES_MAX: Final = 1024 * 1024 * 1024
"""A view that was entered is the largest: the ViewChanges of a quorum of up to 128, each as large as its channel lets
it be (4 MiB). What is longer is taken for damage when the log is read, so it must never be written."""
REWRITE_BYTES_MIN: Final = 8 * 1024 * 1024
"""The log is rewritten when it has grown by so much, and to twice its size, since the last time."""

_HEAD: Final = struct.Struct(">8sI8sQQ")
_FILE_HEAD: Final = struct.Struct(">8s8sQQQQQ")
_FILE_NUMBERS: Final = struct.Struct(">QQQQQ")
_OUT_OF_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAGIC: Final = b"guildmark vote log 1\n"
_FILE_HEAD_BYTES: Final = len(_MAGIC) + _FILE_HEAD.size


class JournalDamaged(NodeFailure):
    """The vote log lost what it promised: this validator cannot know how it voted, and must not vote in the epoch."""

    exit_code = ExitCode.STORAGE


class JournalForeign(NodeFailure):
    """There is a file in the vote log's place that this validator did not write."""

    exit_code = ExitCode.STORAGE


class JournalFailed(NodeFailure):
    """The disk refused a write or an fsync. What is on it is unknown now; the process must end and start again."""

    exit_code = ExitCode.STORAGE


class JournalFull(JournalFailed):
    """There is no room for what was appended. A part of it may be there, as after a crash: nothing waits for it. The
    process need not end, but the log must be opened anew."""


class LogRecord(NamedTuple):
    """One whole record, as it was read."""

    position: int
    durable: int
    payload: bytes
    end: int
    """Where the next record begins."""


class LogHead(NamedTuple):
    """What a log says of itself."""

    epoch: int = 0
    ledger_height: int = 0
    incarnation: int = 0
    first: int = 1
    """Position of the first record."""
    durable: int = 0


class ParsedLog(NamedTuple):
    """A log's good part."""

    head: LogHead
    records: list[LogRecord]
    last_position: int
    size_bytes: int


def file_head(secret: bytes, head: LogHead = LogHead()) -> bytes:  # noqa: B008 - an immutable value
    """Return the bytes that a log begins with."""
    return _MAGIC + _FILE_HEAD.pack(_mark(secret), _head_checksum(secret, head), *head)


def frame(secret: bytes, position: int, durable: int, payload: bytes) -> bytes:
    """Return the bytes of one record."""
    checksum = _checksum(secret, position, durable, payload)
    return _HEAD.pack(_mark(secret), len(payload), checksum, position, durable) + payload


def parse(secret: bytes, data: bytes) -> ParsedLog:
    """Read a log; what a crash tore off is left out.

    Raises:
        JournalForeign: not a log of this validator's.
        JournalDamaged: damaged where it had been durable.
    """
    if len(data) < _FILE_HEAD_BYTES:
        raise JournalDamaged(f"{FILE_NAME} has lost its beginning")
    _, checksum, *numbers = _FILE_HEAD.unpack_from(data, len(_MAGIC))
    head = LogHead(*numbers)
    if data[:_FILE_HEAD_BYTES] != file_head(secret, head):
        # Nobody else could have made either of them: one that is left shows whose log it was.
        if _mark(secret) not in data and checksum != _head_checksum(secret, head):
            raise JournalForeign(f"{FILE_NAME} belongs to another signing key, or is not a vote log")
        raise JournalDamaged(f"{FILE_NAME} is damaged at its beginning")
    records: list[LogRecord] = []
    offset, expected, durable = _FILE_HEAD_BYTES, head.first, head.durable
    while (record := _record_at(secret, data, offset)) is not None and record.position == expected:
        records.append(record)
        offset, expected = record.end, expected + 1
    if durable >= expected or any(found.durable >= expected for found in _records_behind(secret, data, offset)):
        raise JournalDamaged(f"{FILE_NAME} is damaged at byte {offset}, where it had been durable")
    return ParsedLog(head, records, expected - 1, offset)


def _record_at(secret: bytes, data: bytes, offset: int) -> LogRecord | None:
    """Return the record at `offset`, or None when there is no whole one."""
    if offset + _HEAD.size > len(data):
        return None
    mark, length, checksum, position, durable = _HEAD.unpack_from(data, offset)
    end = offset + _HEAD.size + length
    if mark != _mark(secret) or length > RECORD_BYTES_MAX or end > len(data):
        return None
    payload = data[offset + _HEAD.size : end]
    if _checksum(secret, position, durable, payload) != checksum:
        return None
    return LogRecord(position, durable, payload, end)


def _records_behind(secret: bytes, data: bytes, offset: int) -> Iterator[LogRecord]:
    """Yield the whole records behind the damage, which may be in a length: their marks show where they begin."""
    mark = _mark(secret)
    while (offset := data.find(mark, offset + 1)) >= 0:
        record = _record_at(secret, data, offset)
        if record is not None:
            yield record
            offset = record.end - 1


def _mark(secret: bytes) -> bytes:
    return hashlib.sha256(b"mark" + secret).digest()[:8]


def _head_checksum(secret: bytes, head: LogHead) -> bytes:
    return hashlib.sha256(secret + _FILE_NUMBERS.pack(*head)).digest()[:8]


def _checksum(secret: bytes, position: int, durable: int, payload: bytes) -> bytes:
    return hashlib.sha256(secret + struct.pack(">IQQ", len(payload), position, durable) + payload).digest()[:8]


class _NoRoom(OSError):
    """A write, and no fsync, that failed for want of space."""


def _failed(error: OSError) -> JournalFailed:
    kind = JournalFull if isinstance(error, _NoRoom) else JournalFailed
    return kind(f"the vote log cannot be written: {error.strerror or error}")


class Journal:
    """The open vote log. Appends gather; `sync` makes them durable, one fdatasync under way at a time."""

    def __init__(
        self,
        files: Files,
        jobs: Jobs,
        on_failure: Callable[[NodeFailure], None],
        secret: bytes,
    ) -> None:
        """Read the log, or begin one; a torn tail is cut, a damaged log put aside.

        Args:
            secret: the same in every life of the node, and known to nobody else.

        Raises:
            JournalForeign: see `parse`.
            JournalFailed: the disk refused.
        """
        self._files = files
        self._jobs = jobs
        self._on_failure = on_failure
        self._secret = secret
        self.head = LogHead()
        self.found = True
        """Whether there was a log, and a good one."""
        self.damage = ""
        """What was wrong with the one that was put aside."""
        self.records: list[bytes] = []
        """What the log held when it was opened; the engine is rebuilt from it."""
        self._position = 0
        self._durable = 0
        self._unsynced: list[bytes] = []
        self._unsynced_bytes = 0
        self._file: AppendFile | None = None
        """None until there is a log: `begin` makes one."""
        self._size = 0
        self._decayed = False
        """Whether the file was found to hold something else than was written."""
        try:
            self._open_or_create()
            if self.found:
                # After a kill without loss of power, what was read may never have been synced; it counts from now on.
                self._file = files.open_append(FILE_NAME)
                self._file.sync()
                self._size = self._file.size()
        except OSError as error:
            raise JournalFailed(f"the vote log cannot be opened: {error.strerror or error}") from error
        self._rewritten_size = self._size

    def _open_or_create(self) -> None:
        data = self._files.read(FILE_NAME)
        log = None
        if data is not None:
            try:
                log = parse(self._secret, data)
            except JournalDamaged as damaged:
                self.damage = str(damaged)
                self._files.replace(DAMAGED_FILE_NAME, data)
        if data is None or log is None:
            self.found = False
            return
        self.head = log.head
        self.records = [record.payload for record in log.records]
        if log.size_bytes < len(data):
            self._files.truncate(FILE_NAME, log.size_bytes)
        self._position = self._durable = log.last_position

    @property
    def dirty(self) -> bool:
        """Whether something was appended since the last `sync` began."""
        return bool(self._unsynced)

    @property
    def unsynced_bytes(self) -> int:
        """Bytes that were appended since the last `sync` began."""
        return self._unsynced_bytes

    @property
    def size_bytes(self) -> int:
        """The size of the file, what is being written included."""
        return self._size

    def append(self, record: bytes) -> None:
        assert len(record) <= RECORD_BYTES_MAX
        self._position += 1
        self._unsynced.append(frame(self._secret, self._position, self._durable, record))
        self._unsynced_bytes += len(self._unsynced[-1])

    def sync(self, done: Callable[[], None]) -> None:
        """Make all that was appended durable, then call `done`. Not while another sync or rewrite is under way."""
        data, self._unsynced = b"".join(self._unsynced), []
        self._unsynced_bytes = 0
        covered = self._position
        self._size += len(data)

        def write() -> None:
            assert self._file is not None, "a log that was not found is begun before anything is appended"
            try:
                self._file.append(data)
            except OSError as error:
                if error.errno in _OUT_OF_SPACE:
                    raise _NoRoom(*error.args) from error
                raise
            self._file.sync()

        def written() -> None:
            self._durable = covered
            done()

        self._run(write, written)

    def check(self) -> None:
        """Read the file again, and have it written anew where it does not hold what was made durable: what it held is
        still known. On the jobs' thread's turn, so that nothing is written meanwhile."""
        if self._file is None:
            return
        durable = self._durable

        def read() -> None:
            data = self._files.read(FILE_NAME)
            try:
                sound = data is not None and parse(self._secret, data).last_position >= durable
            except (JournalDamaged, JournalForeign):
                sound = False
            if not sound:
                self._decayed = True

        self._jobs.run(read, self._read_again)

    @staticmethod
    def _read_again(error: BaseException | None) -> None:
        """A log that cannot be read now is written to soon enough, and says so then."""

    @property
    def wants_rewrite(self) -> bool:
        return self._decayed or self._size - self._rewritten_size >= max(REWRITE_BYTES_MIN, self._rewritten_size)

    def begin(self, epoch: int, incarnation: int, records: Sequence[bytes]) -> None:
        """Start the log anew, durably, before anything was appended in this life.

        Raises:
            JournalFailed: the disk refused.
        """
        try:
            self._replacement(records, LogHead(epoch, 0, incarnation))()
        except OSError as error:
            raise _failed(error) from error
        self._durable = self._position

    def rewrite(
        self, records: Sequence[bytes], epoch: int, ledger_height: int, incarnation: int, done: Callable[[], None]
    ) -> None:
        """Replace the whole log by `records`, then call `done`. Not while another sync or rewrite is under way.

        They must hold every promise that still counts, also what was appended and not yet synced. The new file is
        durable under its name before the old one is gone. `ledger_height` is durable in the ledger.
        """
        write = self._replacement(records, LogHead(epoch, ledger_height, incarnation))
        covered = self._position

        def written() -> None:
            self._durable = covered
            done()

        self._run(write, written)

    def _replacement(self, records: Sequence[bytes], head: LogHead) -> Callable[[], None]:
        """Return what puts a log with `records` in the present one's place; appends go there from now on."""
        self._unsynced = []
        self._unsynced_bytes = 0
        self._decayed = False
        first = self._position + 1
        covered = self._position + len(records)
        self.head = head._replace(first=first, durable=covered)
        frames = [frame(self._secret, first + index, covered, record) for index, record in enumerate(records)]
        data = file_head(self._secret, self.head) + b"".join(frames)
        self._position = covered
        self._size = self._rewritten_size = len(data)

        def write() -> None:
            if self._file is not None:
                self._file.close()
                self._file = None
            try:
                self._files.replace(FILE_NAME, data)
            except OSError as error:
                if error.errno in _OUT_OF_SPACE:
                    raise _NoRoom(*error.args) from error  # the old one is still there, and whole
                raise
            self._file = self._files.open_append(FILE_NAME)

        return write

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _run(self, job: Callable[[], None], done: Callable[[], None]) -> None:
        def finished(error: BaseException | None) -> None:
            if error is None:
                done()
            elif isinstance(error, OSError):
                # After a failed fsync the kernel may have dropped the pages: trying again would only seem to work.
                self._on_failure(_failed(error))
            else:
                raise error

        self._jobs.run(job, finished)
