"""Who follows the chain's state, and what it has not been told of yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ledger.block import Header
from ledger.ports import Past, StateFollower
from ledger.state.view import Readable


class Following:
    """Tells the follower, if there is one, of each block, or of several at once when they are written as a group."""

    def __init__(self) -> None:
        self._follower: StateFollower | None = None
        self._notes: list[bytes] = []
        """Of the blocks that it has not been told of."""
        self._held_back = False

    def begin(
        self, follower: StateFollower | None, header: Header, block_hash: bytes, state: Readable, past: Past
    ) -> None:
        """The chain is open, and this is its head."""
        self._follower = follower
        if follower is not None:
            follower.begin(header, block_hash, state, past)

    def note(self, changes: Iterable[bytes]) -> bytes | None:
        """Return what is to be kept with a block that changes these keys of the state."""
        if self._follower is None:
            return None
        note = self._follower.note(changes)
        self._notes.append(note)
        return note

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """What is written within is not durable before the end, and not to be told before `written` after it."""
        self._held_back = True
        try:
            yield
        finally:
            self._held_back = False

    def written(self, header: Header, block_hash: bytes, state: Readable) -> None:
        """The blocks up to this head are written."""
        if self._follower is None or self._held_back or not self._notes:
            return
        notes, self._notes = self._notes, []
        self._follower.executed(header, block_hash, notes, state)
