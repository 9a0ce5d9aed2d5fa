"""Deleting what the consortium has taken down, once it has been down for long enough.

Nothing is remembered: after a restart the ledger says what is down and since when. A clock that is wrong delays or
hastens the deletion by as much, never beyond the whole delay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from artifacts.errors import ArtifactError
from ledger.errors import LedgerError
from node import artifact_facts
from node.artifact_facts import Queries
from node.artifact_shelf import ArtifactShelf
from node.chunk_links import Spawn

RETRY_S: Final = 60.0
"""How long after a refusal of the file system the deletion is tried again."""

log: Final = structlog.get_logger("node.replication")


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class ArtifactErasure:
    """The deletions of one node. Belongs to the event loop."""

    def __init__(
        self,
        shelf: ArtifactShelf,
        queries: Queries,
        spawn: Spawn,
        *,
        delay_s: int,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._shelf = shelf
        self._queries = queries
        self._spawn = spawn
        self._delay_ms = delay_s * 1_000
        self._now_ms = now_ms
        self._assets: set[str] = set()
        """Assets with something to delete. Bounded by those in the ledger of which an artifact is down."""
        self._again: set[str] = set()
        """Of these, those of which something more is down now."""

    def due(self, asset: str) -> None:
        """An artifact of the asset (hex) is down."""
        if asset in self._assets:
            self._again.add(asset)  # what is read of the ledger now may be older
            return
        self._assets.add(asset)
        self._spawn(self._erase(asset))

    async def _erase(self, asset: str) -> None:
        try:
            while True:
                self._again.discard(asset)
                wait_ms = await self._erase_due(asset)
                if wait_ms is not None:
                    await asyncio.sleep(wait_ms / 1_000)
                elif asset not in self._again:
                    return
        finally:
            self._assets.discard(asset)

    async def _erase_due(self, asset: str) -> int | None:
        """Delete what has been down long enough; return when to look again, ms from now, None when all is done."""
        try:
            versions = await artifact_facts.versions_of(self._queries, asset)
            now_ms = self._now_ms()
            waits = {
                facts.cid: min(self._delay_ms, facts.taken_down.since_ms + self._delay_ms - now_ms)
                for facts in versions
                if facts.taken_down is not None
            }
            down = [facts for facts in versions if waits.get(facts.cid, 1) <= 0]
            kept = [facts for facts in versions if waits.get(facts.cid, 1) > 0]
            if down:
                blocks = await self._shelf.erase(asset, down, kept)
                if blocks:
                    log.info("blocks of what was taken down are deleted", asset=asset, blocks=blocks)
        except (ArtifactError, LedgerError) as error:
            log.error("what was taken down cannot be deleted", asset=asset, code=error.code, reason=error.message)
            return round(RETRY_S * 1_000)
        return min((wait_ms for wait_ms in waits.values() if wait_ms > 0), default=None)
