"""The background scrub of artifacts: reads every block once in a set time, and has what has rotted fetched again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from artifacts.chunk_store import ChunkStore
from artifacts.errors import ChunkStoreFailure

BLOCK_BYTES: Final = 256 * 1024
"""What most blocks have; the pace is made for these."""
PAUSE_S_MIN: Final = 0.002
PAUSE_S_MAX: Final = 60.0
"""Between blocks, and after a pass over nothing or a store that failed."""

log: Final = structlog.get_logger("node.artifact_scrubber")


class ArtifactScrubber:
    """Belongs to the event loop; blocks are read in threads."""

    def __init__(self, store: ChunkStore, period_s: int, on_damaged: Callable[[], None]) -> None:
        """`on_damaged` hears that a block is missing now: walks that counted it are to be made again."""
        self._store = store
        self._period_s = period_s
        self._on_damaged = on_damaged
        self.passes = 0
        self.blocks = 0
        self.damaged = 0

    async def run(self) -> None:
        """Read for ever, until cancelled; at once back where the period is 0."""
        while self._period_s:
            try:
                await self._pass()
            except ChunkStoreFailure as error:
                log.warning("the chunk store cannot be read through", reason=str(error))
            await asyncio.sleep(min(PAUSE_S_MAX, float(self._period_s)))

    async def _pass(self) -> None:
        blocks = max(1, self._store.size_bytes // BLOCK_BYTES)
        pause_s = min(PAUSE_S_MAX, max(PAUSE_S_MIN, self._period_s / (blocks + 1)))
        steps = self._store.scrub()
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            cid, sound = step
            self.blocks += 1
            if not sound:
                self.damaged += 1
                log.warning("a block has rotted, and is fetched again", cid=cid)
                self._on_damaged()
            await asyncio.sleep(pause_s)
        self.passes += 1
