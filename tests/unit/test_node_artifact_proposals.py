"""Artifacts that contributions propose: held by all while they are open, and by the version or nobody after."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from replication_kit import ASSET, Ledger, Member, all_held, blocks_of, erased, network, register, upload

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from artifacts.claims import Claims
from artifacts.dag_pb import Link
from artifacts.errors import ChunkMissing
from artifacts.nodes import encode_directory_node
from ledger.modules.module import ArtifactRecord
from node.http.services import UnknownArtifact

CONTRIBUTION = "c0" * 32


def proposed(root: str, size_bytes: int, contribution: str) -> dict[str, Any]:
    return {"contribution": contribution, "asset": ASSET.hex(), "cid": root, "size_bytes": size_bytes}


def propose(
    ledger: Ledger, members: list[Member], root: str, size_bytes: int, contribution: str = CONTRIBUTION
) -> None:
    ledger.proposals[root] = proposed(root, size_bytes, contribution)
    record = ArtifactRecord(ASSET, 0, root, size_bytes, contribution=bytes.fromhex(contribution))
    for member in members:
        member.replication.on_versions([record])


async def complete(members: list[Member], root: str) -> None:
    async with asyncio.timeout(20):
        for member in members:
            while not (await member.shelf.status(root)).complete:  # noqa: ASYNC110 - the shelf tells nobody else
                await asyncio.sleep(0.01)


def test_what_is_proposed_is_held_by_all_and_is_the_versions_once_it_is_accepted(tmp_path: Path) -> None:
    """Those who decide can fetch it from any node before, and nobody has to bring it again after."""

    async def check() -> None:
        data = os.urandom((2 << 20) + 5)
        root, blocks = blocks_of(tmp_path, data)
        async with network(tmp_path) as (ledger, members):
            propose(ledger, members, root, len(data))
            await upload(members[1], root, blocks)
            await complete(members, root)
            status = await members[0].shelf.status(root)
            assert (status.state, status.holders, status.held_quorum) == ("complete", (), False)
            assert members[0].shelf._claims.assets() == [CONTRIBUTION]
            del ledger.proposals[root]
            ledger.made_by[root] = CONTRIBUTION
            register(ledger, members, root, len(data))
            await all_held(ledger, 4)
            for member in members:
                assert {cid: await member.shelf.read(root, cid) for cid in blocks} == blocks
                assert member.shelf._claims.assets() == [ASSET.hex()]

    asyncio.run(check())


def test_what_came_to_nothing_is_deleted_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        data = os.urandom(2 << 20)
        root, blocks = blocks_of(tmp_path, data)
        async with network(tmp_path, count=2) as (ledger, members):
            propose(ledger, members, root, len(data))
            await upload(members[0], root, blocks)
            await complete(members, root)
            del ledger.proposals[root]
            ended = ArtifactRecord(ASSET, 0, root, len(data), taken_down=True, contribution=bytes.fromhex(CONTRIBUTION))
            for member in members:
                member.replication.on_versions([ended])
            for member in members:
                await erased(member, set(blocks))
                with pytest.raises(UnknownArtifact):
                    await member.shelf.open(root)
                assert member.shelf._claims.assets() == []

    asyncio.run(check())


def test_what_came_to_nothing_while_the_node_was_away_is_deleted_at_its_start(tmp_path: Path) -> None:
    async def check() -> None:
        data = os.urandom(1 << 20)
        root, blocks = blocks_of(tmp_path, data)
        store = ChunkStore(tmp_path / "n0")
        for cid, block in blocks.items():
            Claims(store).of(CONTRIBUTION).put(cid, block)
            Claims(store).of("c1" * 32).put(cid, block)
        async with network(tmp_path, count=1) as (ledger, [member]):
            ledger.proposals[root] = proposed(root, len(data), "c1" * 32)
            async with asyncio.timeout(20):
                while member.shelf._claims.assets() != ["c1" * 32]:  # noqa: ASYNC110 - the disk tells nobody
                    await asyncio.sleep(0.01)
            assert set(member.store.iterate()) == set(blocks)  # the other contribution has brought them too

    asyncio.run(check())


def test_a_proposal_that_names_blocks_of_the_asset_does_not_get_them(tmp_path: Path) -> None:
    """M1: the contributor may read what it proposes, and the asset it may not."""

    async def check() -> None:
        secret = b"weights" * 1_000
        leaf = cids.raw_cid(secret)
        naming = encode_directory_node((Link(cids.to_bytes(leaf), b"mine.bin", len(secret)),))
        namer = cids.dag_pb_cid(naming)
        async with network(tmp_path, count=1) as (ledger, [member]):
            register(ledger, [member], leaf, len(secret))
            await upload(member, leaf, {leaf: secret})
            propose(ledger, [member], namer, len(secret))
            assert not (await member.shelf.store(namer, namer, naming)).complete
            with pytest.raises(ChunkMissing):
                await member.shelf.read(namer, leaf)

    asyncio.run(check())
