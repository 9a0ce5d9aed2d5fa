"""What a chain drops behind its head: the past of the state, and where the node is told so, blocks.

It happens with the blocks: the batch of each new one also deletes what has left the windows, so that a height is there
whole or not at all, an idle chain drops nothing, and no block waits long. Headers and certificates of the genesis block
and of epoch ends stay for ever: with them a verifier goes from the genesis hash to any later block.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ledger.archive import Archive
from ledger.block import Header
from ledger.errors import LedgerError
from ledger.parameters import LIFETIME_MS_MAX
from ledger.state.history import StateHistory
from ledger.state.records import CACHE_BYTES_MAX

HISTORY_BLOCKS_MIN: Final = 16
HISTORY_BLOCKS_DEFAULT: Final = 1_024
"""Of blocks of 1,000 changed records of 200 bytes about 0.5 GB, of small ones next to nothing."""
BLOCKS_MIN: Final = 1_000
"""Above the blocks that operations may name (256) and those that a node which was away for a moment asks for."""
HEIGHTS_PER_BLOCK: Final = 2
"""Heights that leave with one block: one that its own coming pushes out, and one of a window that was made smaller."""
COMPACTED_AFTER: Final = 1_024
"""Dropped heights after which the store is asked to give their room back."""

_BY_HEIGHT: Final = (b"b", b"c", b"d", b"h", b"i", b"r", b"v", b"x")
"""Prefixes under which heights follow: what was dropped lies at their beginnings."""
_SCATTERED: Final = (b"n", b"t", b"u")
"""Prefixes under which it lies everywhere."""

Changes = dict[bytes, bytes | None]
Range = tuple[bytes, bytes]


class Retention(msgspec.Struct, frozen=True):
    """What a node keeps, on disk and in memory. It is its own affair: no block depends on it."""

    history_blocks: Annotated[int, msgspec.Meta(ge=0)] = HISTORY_BLOCKS_DEFAULT
    """Heights below the head at which the state can be read and proven; 0 for all of them."""
    blocks: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Blocks, receipts and places of transactions; 0 for all of them. Certified ones only go, and none from whose time
    on a transaction could execute again."""
    record_cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = CACHE_BYTES_MAX
    """Memory for records of the state."""


class Windows(msgspec.Struct, frozen=True):
    """How far back a chain goes; see `Chain.oldest_block` and `Chain.oldest_state`."""

    oldest_block: int
    oldest_state: int


def block_pruned(oldest_block: int) -> LedgerError:
    """The refusal of what only a block below the oldest could tell."""
    return LedgerError("block.pruned", f"the oldest block kept here is {oldest_block}; an archive node has older ones")


class Pruner:
    """Says what leaves with each block."""

    def __init__(self, archive: Archive, history: StateHistory, retention: Retention) -> None:
        self._archive = archive
        self._history = history
        self._state_window = max(retention.history_blocks, HISTORY_BLOCKS_MIN) if retention.history_blocks else None
        self._block_window = max(retention.blocks, BLOCKS_MIN) if retention.blocks else None
        self._dropped = 0

    def step(self, head: Header, certified_height: int, now: Windows) -> tuple[Changes, Windows]:
        """Return what the batch of `head`, the new block, deletes, and the windows after it."""
        changes: Changes = {}
        oldest_block, oldest_state = now.oldest_block, now.oldest_state
        for _ in range(HEIGHTS_PER_BLOCK):
            if self._state_window is not None and oldest_state < head.height - self._state_window:
                oldest_state += 1
                changes.update(self._history.forget(oldest_state))
                self._dropped += 1
            if self._leaves(oldest_block, head, certified_height):
                changes.update(self._archive.removal(oldest_block))
                oldest_block += 1
                self._dropped += 1
        after = Windows(oldest_block, oldest_state)
        if after != now:
            changes.update(self._archive.windows(oldest_block, oldest_state))
        return changes, after

    def to_compact(self, now: Windows) -> list[Range]:
        """Return the ranges of keys in which much has been dropped since the last call; most often none."""
        if self._dropped < COMPACTED_AFTER:
            return []
        self._dropped = 0
        oldest = max(now.oldest_block, now.oldest_state).to_bytes(8, "big")
        return [(prefix, prefix + oldest) for prefix in _BY_HEIGHT] + [
            (prefix, bytes((prefix[0] + 1,))) for prefix in _SCATTERED
        ]

    def _leaves(self, height: int, head: Header, certified_height: int) -> bool:
        if self._block_window is None or height >= min(head.height - self._block_window, certified_height):
            return False
        # Its successor is the first header that replay protection does not go behind.
        after = self._archive.header(height + 1)
        return after is not None and after.timestamp_ms < head.timestamp_ms - LIFETIME_MS_MAX
