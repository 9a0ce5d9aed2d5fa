"""The vote log: what this validator promised, in an append-only file of its own.

    record = length (4 bytes, of the payload) checksum (8 bytes) position (8 bytes) payload

The checksum is the beginning of SHA-256 over length, position and payload. Positions rise by one. LevelDB cannot keep
votes: a truncated log of it is silently accepted. Here a torn tail is cut only where it cannot have been promised:
records become durable in order and nothing is sent before its own is, so the bytes behind the last whole record were
never covered by an fsync that returned. Damage with a whole record behind it is not a torn tail, and refused.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Final

from node.failures import ExitCode, NodeFailure
from node.ports import AppendFile, Files, Jobs

FILE_NAME: Final = "votes.log"
RECORD_BYTES_MAX: Final = 64 * 1024 * 1024
REWRITE_BYTES_MIN: Final = 8 * 1024 * 1024
"""The log is rewritten when it has grown by so much since the last time."""

_HEAD: Final = struct.Struct(">I8sQ")
_MAGIC: Final = b"guildmark vote log 1\n"


class JournalDamaged(NodeFailure):
    """The vote log lost what it promised: this validator cannot know how it voted, and must not vote."""

    exit_code = ExitCode.STORAGE


class JournalFailed(NodeFailure):
    """The disk refused a write or an fsync. What is on it is unknown now; the process must end and start again."""

    exit_code = ExitCode.STORAGE


def frame(position: int, payload: bytes) -> bytes:
    """Return the bytes of one record."""
    return _HEAD.pack(len(payload), _checksum(position, payload), position) + payload


def parse(data: bytes) -> tuple[list[bytes], int]:
    """Return the payloads of a log and the length of its good part.

    Raises:
        JournalDamaged: not a vote log, or damaged before its last whole record.
    """
    if not data.startswith(_MAGIC):
        if _MAGIC.startswith(data):
            return [], 0  # the crash came before the first fsync
        raise JournalDamaged(f"{FILE_NAME} is not a vote log")
    payloads: list[bytes] = []
    offset, expected = len(_MAGIC), -1
    while (end := _record_end(data, offset, expected)) is not None:
        position = _HEAD.unpack_from(data, offset)[2]
        payloads.append(data[offset + _HEAD.size : end])
        expected, offset = position + 1, end
    if _whole_record_follows(data, offset):
        raise JournalDamaged(f"{FILE_NAME} is damaged at byte {offset}, with whole records behind it")
    return payloads, offset


def _record_end(data: bytes, offset: int, expected: int) -> int | None:
    """Return where the record at `offset` ends, or None when there is no whole one."""
    if offset + _HEAD.size > len(data):
        return None
    length, checksum, position = _HEAD.unpack_from(data, offset)
    end = offset + _HEAD.size + length
    if length > RECORD_BYTES_MAX or end > len(data) or (expected >= 0 and position != expected):
        return None
    if _checksum(position, data[offset + _HEAD.size : end]) != checksum:
        return None
    return int(end)


def _whole_record_follows(data: bytes, offset: int) -> bool:
    """Tell whether a whole record begins somewhere behind the damage, which may be a length field itself."""
    return any(_record_end(data, start, -1) is not None for start in range(offset + 1, len(data) - _HEAD.size + 1))


def _checksum(position: int, payload: bytes) -> bytes:
    return hashlib.sha256(struct.pack(">IQ", len(payload), position) + payload).digest()[:8]


class Journal:
    """The open vote log. Appends gather; `sync` makes them durable, one fdatasync under way at a time."""

    def __init__(self, files: Files, jobs: Jobs, on_failure: Callable[[NodeFailure], None]) -> None:
        """Read the log; a torn tail is cut.

        Raises:
            JournalDamaged: see `parse`.
        """
        self._files = files
        self._jobs = jobs
        self._on_failure = on_failure
        data = files.read(FILE_NAME)
        self.existed = data is not None
        self.records: list[bytes] = []
        """What the log held when it was opened; the engine is rebuilt from it."""
        if data is None:
            files.replace(FILE_NAME, _MAGIC)
        else:
            self.records, good = parse(data)
            if good < len(_MAGIC):
                files.replace(FILE_NAME, _MAGIC)
            elif good < len(data):
                files.truncate(FILE_NAME, good)
        self._position = self._last_position(data) if data and self.records else 0
        self._file: AppendFile = files.open_append(FILE_NAME)
        self._unsynced: list[bytes] = []
        self._rewritten_size = self._file.size()

    def _last_position(self, data: bytes) -> int:
        offset = len(_MAGIC)
        for payload in self.records[:-1]:
            offset += _HEAD.size + len(payload)
        return int(_HEAD.unpack_from(data, offset)[2])

    @property
    def dirty(self) -> bool:
        """Whether something was appended since the last `sync` began."""
        return bool(self._unsynced)

    def append(self, record: bytes) -> None:
        self._position += 1
        self._unsynced.append(frame(self._position, record))

    def sync(self, done: Callable[[], None]) -> None:
        """Make all that was appended durable, then call `done`."""
        data, self._unsynced = b"".join(self._unsynced), []

        def write() -> None:
            self._file.append(data)
            self._file.sync()

        self._run(write, done)

    @property
    def wants_rewrite(self) -> bool:
        return self._file.size() - self._rewritten_size >= REWRITE_BYTES_MIN

    def rewrite(self, records: list[bytes], done: Callable[[], None]) -> None:
        """Replace the whole log by `records`, which must hold every promise that still counts; nothing may be unsynced.

        The new file is durable under its name before the old one is gone.
        """
        assert not self._unsynced
        first = self._position + 1
        data = _MAGIC + b"".join(frame(first + index, record) for index, record in enumerate(records))
        self._position += len(records)

        def write() -> None:
            self._file.close()
            self._files.replace(FILE_NAME, data)
            self._file = self._files.open_append(FILE_NAME)
            self._rewritten_size = len(data)

        self._run(write, done)

    def close(self) -> None:
        self._file.close()

    def _run(self, job: Callable[[], None], done: Callable[[], None]) -> None:
        def finished(error: BaseException | None) -> None:
            if error is None:
                done()
            elif isinstance(error, OSError):
                # After a failed fsync the kernel may have dropped the pages: trying again would only seem to work.
                self._on_failure(JournalFailed(f"the vote log cannot be written: {error.strerror or error}"))
            else:
                raise error

        self._jobs.run(job, finished)
