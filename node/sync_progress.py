"""How synchronization goes, in values for status, metrics and progress bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from node.block_ranges import SignaturePolicy

RATE_MS: Final = 5_000
"""Rates are those of so long a while before the last executed blocks."""
MARKS_MAX: Final = 512
"""Groups of blocks within that while; with more of them the while is shorter."""


class SyncProgress(msgspec.Struct, frozen=True):
    """Where a node stands that catches up."""

    target: int | None
    """The certified height to reach; None while there is none."""
    height: int
    blocks_per_second: float
    transactions_per_second: float
    peers: int
    """That have a request under way."""
    buffered_bytes: int
    """Of blocks that were fetched and are not executed."""
    blocks: int
    """Executed by synchronization since the process started."""
    transactions: int
    signatures: SignaturePolicy
    needs_snapshot: int | None = None
    """The oldest block that any connected peer has, where that is too late for this node: it needs a snapshot."""

    @property
    def remaining(self) -> int:
        """Blocks."""
        return 0 if self.target is None else max(0, self.target - self.height)

    def sentences(self) -> Iterator[str]:
        """Say what there is to say."""
        if self.target is not None:
            trusting = ", taking a quorum's word for signatures" if self.signatures == "certified" else ""
            yield f"synchronizing to height {self.target}{trusting}"
        if self.needs_snapshot is not None:
            yield (
                f"needs a snapshot: block {self.height + 1} comes next here, and the oldest that any connected peer "
                f"has is {self.needs_snapshot}"
            )


class RateMeter:
    """Counts what was executed, and how fast."""

    def __init__(self) -> None:
        self.blocks = 0
        self.transactions = 0
        self._marks: deque[tuple[int, int, int]] = deque(maxlen=MARKS_MAX)
        """(time, blocks, transactions): the sums at that time."""

    def begin(self, now_ms: int) -> None:
        """Catching up begins: what was before does not count."""
        self._marks.clear()
        self._marks.append((now_ms, self.blocks, self.transactions))

    def add(self, now_ms: int, blocks: int, transactions: int) -> None:
        self.blocks += blocks
        self.transactions += transactions
        self._marks.append((now_ms, self.blocks, self.transactions))
        while len(self._marks) > 2 and now_ms - self._marks[0][0] > RATE_MS:
            self._marks.popleft()

    def rates(self) -> tuple[float, float]:
        """Return blocks and transactions per second."""
        if len(self._marks) < 2:
            return 0.0, 0.0
        (then_ms, blocks, transactions), (now_ms, more_blocks, more) = self._marks[0], self._marks[-1]
        seconds = max(1, now_ms - then_ms) / 1_000
        return (more_blocks - blocks) / seconds, (more - transactions) / seconds
