"""The scrub of artifacts: every block is read in its time, and what has rotted is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from artifacts.errors import ChunkMissing
from node import artifact_scrubber
from node.artifact_scrubber import ArtifactScrubber


def test_a_rotten_block_that_nobody_reads_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D1, D7: it counts as missing from then on, so it is fetched again."""
    monkeypatch.setattr(artifact_scrubber, "PAUSE_S_MAX", 0.001)
    monkeypatch.setattr(artifact_scrubber, "PAUSE_S_MIN", 0.0)
    store = ChunkStore(tmp_path, 2**30)
    blocks = {cids.raw_cid(data): data for data in (b"block %d" % number for number in range(5))}
    for cid, data in blocks.items():
        store.put(cid, data)
    rotten = sorted(blocks)[2]
    (path,) = tmp_path.rglob(rotten)
    path.write_bytes(b"rotten")
    told: list[int] = []

    async def run() -> None:
        scrubber = ArtifactScrubber(store, 1, lambda: told.append(1))
        await scrubber._pass()
        await scrubber._pass()
        assert (scrubber.damaged, scrubber.blocks) == (1, 5 + 4)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert told == [1]
    with pytest.raises(ChunkMissing):
        store.get(rotten)
    assert store.put(rotten, blocks[rotten])


def test_a_period_of_nothing_reads_nothing(tmp_path: Path) -> None:
    asyncio.run(ArtifactScrubber(ChunkStore(tmp_path, 1), 0, lambda: None).run())
