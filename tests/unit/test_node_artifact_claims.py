"""Whose bytes go out under whose terms: naming a block is not having it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from artifacts import cid as cids
from artifacts import dag_pb, nodes
from artifacts.chunk_store import ChunkStore
from artifacts.claims import Claims
from artifacts.errors import ChunkMissing
from node.artifact_shelf import ArtifactShelf
from node.http.services import QueryAnswer

SECRET = b"weights" * 40_000
LEAF = cids.raw_cid(SECRET)
NAMING = nodes.encode_directory_node((dag_pb.Link(cids.to_bytes(LEAF), b"mine.bin", len(SECRET)),))
NAMER = cids.dag_pb_cid(NAMING)
ASSETS = {LEAF: "aa" * 32, NAMER: "bb" * 32}


class Ledger:
    """Two assets of equal size: one is a leaf, the other a directory that links to it."""

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        if name == "assets.by_artifact":
            return QueryAnswer(1, 1, {"asset": ASSETS[str(arguments["cid"])], "version": 1})
        (root,) = (root for root, asset in ASSETS.items() if asset == arguments["asset"])
        version = {"asset": arguments["asset"], "version": 1, "cid": root, "size_bytes": len(SECRET)}
        return QueryAnswer(1, 1, {**version, "holders": [], "held_quorum": 3})


def test_an_artifact_that_names_another_assets_block_does_not_get_its_bytes(tmp_path: Path) -> None:
    """M1: root CIDs are public, so anyone can register a directory that links to them and ask for it as his own."""

    async def check() -> None:
        shelf = ArtifactShelf(ChunkStore(tmp_path), Ledger())
        assert (await shelf.store(LEAF, LEAF, SECRET)).complete
        assert not (await shelf.store(NAMER, NAMER, NAMING)).complete
        for _ in range(2):
            with pytest.raises(ChunkMissing):
                await shelf.read(NAMER, LEAF)
            shelf.forget(NAMER)  # nor does another walk find it
        assert await shelf.read(LEAF, LEAF) == SECRET
        assert (await shelf.store(NAMER, LEAF, SECRET)).complete  # who has the bytes may bring them
        assert await shelf.read(NAMER, LEAF) == SECRET

    asyncio.run(check())


@pytest.mark.parametrize("torn", [b"", b"bafk", b"\x00" * 60, b"\x00" * 70])
def test_what_was_brought_is_known_after_a_restart_and_a_torn_line_counts_for_nothing(
    tmp_path: Path, torn: bytes
) -> None:
    """D2"""
    other = b"other"
    Claims(ChunkStore(tmp_path)).of("aa").put(LEAF, SECRET)
    path = tmp_path / "claims" / "aa"
    path.write_bytes(path.read_bytes() + torn)
    for _ in range(2):
        blocks = Claims(ChunkStore(tmp_path)).of("aa")
        assert blocks.block_bytes(LEAF) == len(SECRET)
        blocks.put(cids.raw_cid(other), other)
    blocks = Claims(ChunkStore(tmp_path)).of("aa")
    assert blocks.get(cids.raw_cid(other)) == other
    assert Claims(ChunkStore(tmp_path)).of("bb").block_bytes(LEAF) is None
