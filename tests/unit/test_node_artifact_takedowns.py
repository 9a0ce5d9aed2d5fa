"""What is taken down: neither given nor taken, deleted after a delay, and back when it is restored."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from replication_kit import all_held, blocks_of, erased, held, join, network, register, upload

from artifacts import cid as cids
from artifacts.errors import ArtifactTakenDown


def test_what_is_taken_down_is_neither_given_nor_taken_and_deleted_after_a_delay(tmp_path: Path) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, os.urandom(2 << 20))
        async with network(tmp_path, count=2) as (ledger, members):
            register(ledger, members, root, 2 << 20)
            await upload(members[0], root, blocks)
            await all_held(ledger, 2)
            ledger.take_down(root, members, since_ms=1_000)
            for member in members:
                for use in (member.shelf.read(root, root), member.shelf.store(root, root, blocks[root])):
                    with pytest.raises(ArtifactTakenDown):
                        await use
                status = await member.shelf.status(root)
                assert (status.state, status.complete, status.held_quorum) == ("taken_down", False, False)
            late = join(tmp_path, "n2", members[0])
            await late.replication._scan()
            assert list(late.store.iterate()) == []
            assert late.replication.pending == 0
            assert set(members[0].store.iterate()) == set(blocks)  # the delay of 10 s is not over
            ledger.now_ms = 11_000
            again = join(tmp_path, "n0", members[1])  # a restart finds in the ledger what is due
            await erased(again, set(blocks))
            with pytest.raises(ArtifactTakenDown):
                await again.shelf.read(root, root)

    asyncio.run(check())


def test_blocks_that_something_else_has_stay(tmp_path: Path) -> None:
    """A version of the same asset and another asset share blocks with what is taken down."""

    async def check() -> None:
        common, other, own = os.urandom(1 << 20), os.urandom(1 << 20), os.urandom(1 << 20)
        down, down_blocks = blocks_of(tmp_path, common + other + own)
        sibling, sibling_blocks = blocks_of(tmp_path, common + b"sibling")
        stranger, stranger_blocks = blocks_of(tmp_path, other + b"stranger")
        async with network(tmp_path, count=1) as (ledger, [member]):
            sizes = {down: 3 << 20, sibling: (1 << 20) + 7, stranger: (1 << 20) + 8}
            for root, blocks in ((down, down_blocks), (sibling, sibling_blocks), (stranger, stranger_blocks)):
                ledger.same_asset = root == sibling
                register(ledger, [member], root, sizes[root])
                await upload(member, root, blocks)
                await held(ledger, root, 1)
            ledger.now_ms = 100_000
            ledger.take_down(down, [member])
            await erased(member, {down, cids.raw_cid(own)})
            assert set(member.store.iterate()) == set(sibling_blocks) | set(stranger_blocks)
            for root, blocks in ((sibling, sibling_blocks), (stranger, stranger_blocks)):
                for cid in blocks:
                    assert await member.shelf.read(root, cid) == blocks[cid]

    asyncio.run(check())


def test_what_is_restored_is_fetched_from_who_kept_it_or_brought_again(tmp_path: Path) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, b"restored")
        async with network(tmp_path, count=2) as (ledger, members):
            register(ledger, members, root, 8)
            await upload(members[0], root, blocks)
            await all_held(ledger, 2)
            ledger.take_down(root, members, since_ms=0)
            ledger.restore(root, members)
            assert await members[0].shelf.read(root, root) == b"restored"
            ledger.now_ms = 20_000
            ledger.take_down(root, members)
            for member in members:
                await erased(member, {root})
            ledger.restore(root, members)
            assert (await members[0].shelf.status(root)).state == "waiting"
            await upload(members[0], root, blocks)
            async with asyncio.timeout(20):
                while not members[1].store.has(root):  # noqa: ASYNC110 - the disk tells nobody
                    await asyncio.sleep(0.01)

    asyncio.run(check())


def test_a_takedown_ends_a_fetch_that_waits_or_runs(tmp_path: Path) -> None:
    """M2: no task is left behind."""

    async def check() -> None:
        waiting, waiting_blocks = blocks_of(tmp_path, b"nobody has this")
        running, blocks = blocks_of(tmp_path, os.urandom(6 << 20))
        async with network(tmp_path, count=2) as (ledger, members):
            register(ledger, members, waiting, len(waiting_blocks[waiting]))
            register(ledger, members, running, 6 << 20)
            await upload(members[0], running, blocks)
            async with asyncio.timeout(20):
                while not members[1].wants:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.001)
            for root in (waiting, running):
                ledger.take_down(root, members, since_ms=ledger.now_ms)
            async with asyncio.timeout(20):
                while any(m.replication.pending for m in members):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            assert members[1].replication._fetches == {}
            assert members[1].replication._sources.in_flight == 0
            assert members[1].accused == []

    asyncio.run(check())
