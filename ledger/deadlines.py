"""Deadlines: an ordered queue in the state, swept at the start of each block.

What a deadline means depends on block time alone. Its kind (`module.reason`) selects a handler, its subject (bytes)
names what it is about. One (time, kind, subject) is one deadline: scheduling it twice is scheduling it once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from ledger.state.view import Readable, StateView, Table
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

SUBJECT_BYTES_MAX: Final = 128
KIND_CHARACTERS_MAX: Final = 64

PREFIX: Final = b"deadline/"
_TIME_BYTES: Final = 8


class Deadline(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """State record. Key: `deadline/` + due time (8 bytes, big endian) + kind + NUL + subject."""

    kind: str
    subject: bytes


class DueDeadline(msgspec.Struct, frozen=True):
    """A deadline taken from the queue, with the id that stands in for a transaction id in its receipt."""

    at_ms: int
    kind: str
    subject: bytes

    @property
    def id(self) -> Digest:
        return tagged_hash("deadline", encode((self.at_ms, self.kind, self.subject)))


_TABLE: Final = Table[Deadline](PREFIX, Deadline)


def _parts(at_ms: int, kind: str, subject: bytes) -> tuple[bytes, bytes, bytes]:
    assert 0 <= at_ms < 2**63
    assert len(kind) <= KIND_CHARACTERS_MAX
    assert kind.isascii()
    assert "\x00" not in kind
    assert len(subject) <= SUBJECT_BYTES_MAX
    return at_ms.to_bytes(_TIME_BYTES, "big"), kind.encode("ascii") + b"\x00", subject


def schedule(view: StateView, at_ms: int, kind: str, subject: bytes) -> None:
    """Enter a deadline: from the first block whose time is at least `at_ms`, the handler of `kind` runs on
    `subject`."""
    _TABLE.put(view, Deadline(kind, subject), *_parts(at_ms, kind, subject))


def cancel(view: StateView, at_ms: int, kind: str, subject: bytes) -> None:
    """Remove a deadline; one that is not there is no error."""
    parts = _parts(at_ms, kind, subject)
    if view.get(_TABLE.key(*parts)) is not None:
        _TABLE.delete(view, *parts)


def _queue(view: Readable) -> Iterator[DueDeadline]:
    for rest, record in _TABLE.items(view):
        yield DueDeadline(int.from_bytes(rest[:_TIME_BYTES], "big"), record.kind, record.subject)


def next_deadline(view: Readable) -> int | None:
    """Return the due time of the earliest deadline (Unix ms), or None."""
    first = next(_queue(view), None)
    return None if first is None else first.at_ms


def due(view: Readable, block_time_ms: int, limit: int) -> list[DueDeadline]:
    """Return the first `limit` deadlines that are due at `block_time_ms`, in order of time, kind and subject."""
    taken: list[DueDeadline] = []
    for deadline in islice(_queue(view), limit):
        if deadline.at_ms > block_time_ms:
            break
        taken.append(deadline)
    return taken


def take(view: StateView, deadline: DueDeadline) -> bool:
    """Remove `deadline`; False when an earlier step of the same sweep has cancelled it."""
    parts = _parts(deadline.at_ms, deadline.kind, deadline.subject)
    if view.get(_TABLE.key(*parts)) is None:
        return False
    _TABLE.delete(view, *parts)
    return True
