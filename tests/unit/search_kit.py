"""A ledger's modules with a search database that follows them, without blocks: every operation is a height."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from ledger.block import VERSION, Header
from ledger.search import request
from ledger.search.index import SearchIndex, content, make
from ledger.search.reader import SearchAnswer, SearchReader
from ledger.search.request import WORDS_MAX
from ledger.state.view import Readable
from tests.unit.modules_kit import World

HOSTILE_TEXTS = [
    '"',
    '""',
    "'",
    "'; DROP TABLE assets; --",
    '" OR 1=1 --',
    "*",
    "**",
    '"*',
    "a*b",
    "^work",
    "name:work",
    "{name}:work",
    "-name:work",
    "work AND",
    "NOT work",
    "OR",
    "work OR work",
    "NEAR(work work, 3)",
    "(work",
    ")",
    "((((((((((",
    "work + work",
    "\\",
    "\x00",
    "wo\x00rk",
    "\x01\x02",
    "\u202ework",
    "\ud7ff\ue000\U0010ffff",
    "%",
    "_",
    "?1",
    ":match",
    "a" * 256,
    '"' * 256,
    " ".join(['"*'] * WORDS_MAX),
    "\u0301" * 100,
]
"""What people type who look for a crack."""


def header(world: World, height: int) -> Header:
    """A head that says what the search reads of one."""
    zero = bytes(32)
    return Header(
        version=VERSION,
        network_id=world.network_id,
        height=height,
        parent_hash=zero,
        epoch=0,
        proposer=None,
        timestamp_ms=world.now_ms,
        transactions_root=zero,
        receipts_root=zero,
        state_root=zero,
        validator_set_hash=zero,
        next_validator_set_hash=zero,
        epoch_end=0,
    )


def block_hash(height: int) -> bytes:
    return height.to_bytes(32, "big")


def rebuilt(state: Readable) -> dict[str, list[tuple[Any, ...]]]:
    """What a database made from the state alone would say."""
    database = sqlite3.connect(":memory:")
    try:
        make(database, state)
        return content(database)
    finally:
        database.close()


class Searched:
    """A database file beside a world; `follow` takes over what the world did since the last time, as one block."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.path = path
        self.height = 0
        self.notes: dict[int, bytes] = {}
        self.reports: list[str] = []
        self._known = world.view.changes()
        self.index = SearchIndex(path, self.reports.append)
        self.reader = SearchReader(path)
        self.begin()

    def begin(self) -> None:
        self.index.begin(header(self.world, self.height), block_hash(self.height), self.world.view, self.past)

    def past(self, height: int) -> tuple[bytes, bytes | None] | None:
        return (block_hash(height), self.notes.get(height)) if 0 <= height <= self.height else None

    def miss(self) -> None:
        """The chain writes a block with its note, and the search is killed before it follows."""
        self.height += 1
        now, before = self.world.view.changes(), self._known
        self.notes[self.height] = self.index.note([key for key in now if now[key] != before.get(key, b"absent")])
        self._known = now

    def follow(self) -> None:
        self.miss()
        note = self.notes[self.height]
        self.index.executed(header(self.world, self.height), block_hash(self.height), [note], self.world.view)

    def restart(self) -> None:
        """Stop, and start at the head."""
        self.close()
        self.index = SearchIndex(self.path, self.reports.append)
        self.begin()

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        database = sqlite3.connect(self.path)
        try:
            return content(database)
        finally:
            database.close()

    def answer(self, **arguments: Any) -> SearchAnswer:
        """Search at the height that the world is at now."""
        self.follow()
        answer = self.reader.search(request.read({name: str(value) for name, value in arguments.items()}))
        msgspec.json.encode(answer)
        assert (answer.height, answer.block_time_ms) == (self.height, self.world.now_ms)
        return answer

    def names(self, **arguments: Any) -> list[str]:
        """The names of what a search finds, in its order, over all its pages."""
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = self.answer(**arguments, cursor=cursor)
            found += [item.name for item in answer.items]
            cursor = answer.cursor
        return found

    def close(self) -> None:
        self.index.close()
        self.reader.close()
