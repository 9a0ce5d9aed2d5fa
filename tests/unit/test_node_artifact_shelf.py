"""What the shelf believes of the ledger while blocks are executed between its questions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from ledger.errors import LedgerError
from node.artifact_shelf import ArtifactShelf
from node.http.services import QueryAnswer, UnknownArtifact

BYTES = b"weights"
ROOT = cids.raw_cid(BYTES)
ASSET = "aa" * 32


class Ledger:
    """Executes the block that registers or accepts the artifact after a number of questions."""

    def __init__(self, executed_after: int) -> None:
        self.left = executed_after
        self.last_before = asyncio.Event()
        """The last question has been asked that is answered as of before the block."""
        self.answers = asyncio.Event()
        """That question is answered once this is set."""

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        executed = self.left == 0
        self.left -= self.left > 0
        if self.left == 0 and not executed:
            self.last_before.set()
            await self.answers.wait()
        if name == "assets.by_artifact" and executed:
            return QueryAnswer(1, 1, {"asset": ASSET, "version": 1})
        if name == "assets.version":
            version = {"asset": arguments["asset"], "version": 1, "cid": ROOT, "size_bytes": len(BYTES)}
            return QueryAnswer(1, 1, {**version, "holders": [], "held_quorum": 3})
        raise LedgerError("query.not_found", "no such artifact")


def test_who_knows_of_the_block_is_not_answered_by_who_asked_before_it(tmp_path: Path) -> None:
    """A peer asks about an artifact just before the block that registers it; replication, just after it."""

    async def check() -> None:
        shelf = ArtifactShelf(ChunkStore(tmp_path), ledger := Ledger(executed_after=3))
        early = asyncio.create_task(shelf.open(ROOT))
        await asyncio.wait_for(ledger.last_before.wait(), 10)
        late = asyncio.create_task(shelf.open(ROOT))
        await asyncio.sleep(0)
        ledger.answers.set()
        assert (await late).facts.asset == ASSET
        with pytest.raises(UnknownArtifact):
            await early

    asyncio.run(check())


def test_what_is_accepted_between_two_questions_is_known(tmp_path: Path) -> None:
    async def check() -> None:
        shelf = ArtifactShelf(ChunkStore(tmp_path), ledger := Ledger(executed_after=2))
        ledger.answers.set()
        assert (await shelf.open(ROOT)).facts.version == 1

    asyncio.run(check())


def test_what_nobody_registers_is_unknown(tmp_path: Path) -> None:
    async def check() -> None:
        shelf = ArtifactShelf(ChunkStore(tmp_path), Ledger(executed_after=100))
        for _ in range(2):
            with pytest.raises(UnknownArtifact):
                await shelf.open(ROOT)

    asyncio.run(check())
