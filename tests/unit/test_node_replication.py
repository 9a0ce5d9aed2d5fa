"""Replication: what one node gets all hold and say so, whoever lies, dies or keeps silent on the way."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from replication_kit import ASSET, Ledger, Member, all_held, blocks_of, held, join, network, register, upload

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from artifacts.claims import Claims
from artifacts.errors import ChunkDamaged, ManifestRefused
from ledger.modules.module import ArtifactRecord
from node.artifact_serving import INTERESTS_PER_SECOND, SERVING_PER_PEER_MAX
from node.http.services import UnknownArtifact
from node.replication import ARTIFACTS_AT_ONCE_MAX
from node.replication_messages import Busy, Found, Interest, Want, decode_chunk_message, encode_chunk_message


@pytest.mark.parametrize("size_bytes", [0, 11, 3 * (1 << 20) + 5])
def test_what_one_node_gets_all_hold_and_state(tmp_path: Path, size_bytes: int) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256))
        async with network(tmp_path) as (ledger, members):
            register(ledger, members, root, size_bytes)
            await upload(members[1], root, blocks)
            await all_held(ledger, 4)
            for member in members:
                assert {cid: member.store.get(cid) for cid in blocks} == blocks
                assert (await member.shelf.status(root)).held_quorum
                assert member.accused == []

    asyncio.run(check())


def test_a_restarted_node_resumes_from_ledger_and_store(tmp_path: Path) -> None:
    async def check() -> None:
        data = bytes(range(256)) * (10 << 10)
        root, blocks = blocks_of(tmp_path, data)
        Claims(ChunkStore(tmp_path / "n3")).of(ASSET.hex()).put(root, blocks[root])
        async with network(tmp_path) as (ledger, members):
            ledger.register(root, len(data))
            await upload(members[0], root, blocks)
            for member in members:
                member.replication._scan_again = True  # as after a start
                member.replication._wake.set()
            await all_held(ledger, 4)
            assert (await members[3].shelf.open(root)).holding.complete

    asyncio.run(check())


def test_a_peer_that_serves_wrong_bytes_is_named_and_others_are_asked(tmp_path: Path) -> None:
    """M1."""

    async def check() -> None:
        root, blocks = blocks_of(tmp_path, b"model" * 1000)
        async with network(tmp_path, count=2) as (ledger, members):
            register(ledger, members, root, 5000)
            await upload(members[0], root, blocks)
            await all_held(ledger, 2)
            members[0].lie = True
            members[1].cut = {"n2", "n3"}  # so that the liar is asked first
            members += [join(tmp_path, name, members[0]) for name in ("n2", "n3")]
            async with asyncio.timeout(20):
                while not all(member.accused for member in members[2:]):  # noqa: ASYNC110 - they tell nobody
                    await asyncio.sleep(0.01)
            members[1].cut = set()
            await all_held(ledger, 4)
            assert {name for member in members for name, _ in member.accused} == {"n0"}
            for member in members:
                assert set(member.store.iterate()) == set(blocks)
                assert all(cids.raw_cid(member.store.get(cid)) == cid for cid in blocks)

    asyncio.run(check())


def test_nothing_enters_that_no_registered_artifact_links_to(tmp_path: Path) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, bytes(2 << 20))
        stray = b"stray"
        async with network(tmp_path, count=1) as (ledger, [member]):
            with pytest.raises(UnknownArtifact):
                await member.shelf.store(root, root, blocks[root])
            register(ledger, [], root, 2 << 20)
            leaf = next(cid for cid in blocks if cid != root)
            for cid, data in [(leaf, blocks[leaf]), (cids.raw_cid(stray), stray)]:
                with pytest.raises(ManifestRefused):
                    await member.shelf.store(root, cid, data)
            assert list(member.store.iterate()) == []

    asyncio.run(check())


def test_malformed_messages_and_foreign_wants_are_answered_without_bytes(tmp_path: Path) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, b"secret")
        async with network(tmp_path, count=2) as (_, [one, two]):
            one.store.put(root, blocks[root])
            one.replication.on_payload("n1", b"\xff")
            assert one.accused == [("n1", "malformed-chunk-message")]
            sent: list[bytes] = []

            def receive(node_id: str, payload: bytes) -> None:
                sent.append(payload)

            two.replication.on_payload = receive  # type: ignore[method-assign]  # only to see the answer
            one.replication.on_payload("n1", encode_chunk_message(Want(root, root)))
            async with asyncio.timeout(5):
                while not sent:  # noqa: ASYNC110 - a call from the other side
                    await asyncio.sleep(0.005)
            assert not isinstance(decode_chunk_message(sent[0]), Found)

    asyncio.run(check())


def test_blocks_come_from_several_holders_at_once_and_each_once(tmp_path: Path) -> None:
    async def check() -> None:
        data = os.urandom(12 * (1 << 20))
        root, blocks = blocks_of(tmp_path, data)
        async with network(tmp_path, count=3) as (ledger, members):
            register(ledger, members, root, len(data))
            await upload(members[0], root, blocks)
            await all_held(ledger, 3)
            late = join(tmp_path, "n3", members[0])
            await all_held(ledger, 4)
            leaves = [cid for _, cid in late.wants if cid != root]
            assert sorted(leaves) == sorted(cid for cid in blocks if cid != root)
            assert len({peer for peer, cid in late.wants if cid != root}) == 3
            assert late.replication.counters.blocks_fetched == len(blocks)

    asyncio.run(check())


def test_a_node_that_died_in_the_middle_fetches_no_block_twice(tmp_path: Path) -> None:
    """M2: what was stored counts after the restart; the rest is all that is asked for."""

    async def check() -> None:
        data = os.urandom(16 * (1 << 20))
        root, blocks = blocks_of(tmp_path, data)
        ledger, members, tasks = Ledger(), dict[str, Member](), set[Any]()
        for name in ("n0", "n1"):
            members[name] = Member(name, tmp_path, ledger, members, tasks)
        register(ledger, list(members.values()), root, len(data))
        await upload(members["n0"], root, blocks)
        members["n0"].gives = 8
        running = [member.spawn(member.replication.run()) for member in members.values()]
        first = members["n1"]
        async with asyncio.timeout(20):
            while first.replication.counters.blocks_fetched < 5:  # noqa: ASYNC110 - the counter tells nobody
                await asyncio.sleep(0.001)
        for task in [task for task in tasks if task is not running[0]]:
            task.cancel()
        # A thread cannot be killed: let what is being written be written, as a crash between two blocks would.
        rest = asyncio.all_tasks() - {running[0], asyncio.current_task()}
        await asyncio.gather(*rest, return_exceptions=True)
        kept = set(first.store.iterate())
        assert 5 <= len(kept) <= 8 < len(blocks)
        members["n0"].gives = None

        again = members["n1"] = Member("n1", tmp_path, ledger, members, tasks)
        for member in members.values():  # n0's helpers were stopped with n1's
            member.spawn(member.replication.run())
        register(ledger, [again], root, len(data))
        async with asyncio.timeout(20):
            while not set(again.store.iterate()) == set(blocks):  # noqa: ASYNC110, SIM201 - the disk tells nobody
                await asyncio.sleep(0.01)
        assert {cid for _, cid in again.wants} == set(blocks) - kept
        assert max(again.wants.values()) == 1
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(check())


def test_artifacts_that_nobody_has_keep_no_other_waiting(tmp_path: Path) -> None:
    """M2: registered and never uploaded; they say so, take no slot, and come when somebody brings them."""

    async def check() -> None:
        async with network(tmp_path, count=2) as (ledger, members):
            missing = [blocks_of(tmp_path, b"nobody has %d" % n) for n in range(3 * ARTIFACTS_AT_ONCE_MAX)]
            for root, blocks in missing:
                register(ledger, members, root, len(blocks[root]))
            root, blocks = blocks_of(tmp_path, b"somebody has")
            register(ledger, members, root, len(blocks[root]))
            await upload(members[0], root, blocks)
            await held(ledger, root, 2)
            for absent, _ in missing:
                status = await members[1].shelf.status(absent)
                assert (status.state, status.complete) == ("waiting", False)
            assert (await members[1].shelf.status(root)).state == "complete"
            assert members[1].replication.pending >= len(missing)
            late, late_blocks = missing[7]
            await upload(members[0], late, late_blocks)
            await held(ledger, late, 2)

    asyncio.run(check())


def test_a_peer_that_promises_and_never_serves_ends_no_fetch_but_its_own_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M2: it is choked; another holder serves."""
    monkeypatch.setattr("node.swarm_sources.ANSWER_TIMEOUT_MS", 200)

    async def check() -> None:
        data = os.urandom(4 * (1 << 20))
        root, blocks = blocks_of(tmp_path, data)
        async with network(tmp_path, count=2) as (ledger, members):
            members[1].replication._serving.on_want = lambda *_: None  # type: ignore[method-assign]  # it never answers
            register(ledger, members, root, len(data))
            await upload(members[0], root, blocks)
            await all_held(ledger, 2)
            late = join(tmp_path, "n2", members[0])
            await all_held(ledger, 3)
            assert late.replication.counters.answers_late > 0
            assert late.accused == []

    asyncio.run(check())


def test_a_manifest_that_lies_is_refused_and_said_to_be(tmp_path: Path) -> None:
    """M3: the root's node contradicts the registered size; nothing below it is asked for."""

    async def check() -> None:
        data = os.urandom(3 * (1 << 20))
        root, blocks = blocks_of(tmp_path, data)
        async with network(tmp_path, count=1) as (ledger, [one]):
            # The first member read the true size and holds all; the second reads another.
            register(ledger, [one], root, len(data))
            await upload(one, root, blocks)
            ledger.versions[root] = (ledger.versions[root][0], len(data) + 1)
            two = join(tmp_path, "n1", one)
            two.replication.on_versions([ArtifactRecord(ASSET, 1, root, len(data) + 1)])
            async with asyncio.timeout(20):
                while two.replication.pending:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
            assert (await two.shelf.status(root)).state == "refused"
            assert {cid for _, cid in two.wants} == {root}
            assert list(two.store.iterate()) == []
            assert two.accused == []  # the bytes are what was asked for; the registration lies

    asyncio.run(check())


def test_a_peer_that_asks_for_more_than_its_share_is_told_to_wait(tmp_path: Path) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, b"model")
        async with network(tmp_path, count=1) as (ledger, [one]):
            register(ledger, [one], root, 5)
            await upload(one, root, blocks)
            answers: list[Any] = []
            greedy = Member("n1", tmp_path, ledger, one.members, one.tasks)
            greedy.replication.on_payload = lambda _, p: answers.append(decode_chunk_message(p))  # type: ignore[method-assign]  # only to see the answers
            one.members["n1"] = greedy
            for _ in range(SERVING_PER_PEER_MAX + 3):
                one.replication.on_payload("n1", encode_chunk_message(Want(root, root)))
            async with asyncio.timeout(5):
                while len(answers) < SERVING_PER_PEER_MAX + 3:  # noqa: ASYNC110 - a call from the other side
                    await asyncio.sleep(0.005)
            assert sum(isinstance(answer, Busy) for answer in answers) == 3
            assert one.replication.counters.blocks_served == SERVING_PER_PEER_MAX
            for _ in range(3 * INTERESTS_PER_SECOND):
                one.replication.on_payload("n1", encode_chunk_message(Interest(root, ())))
            assert one.replication.counters.interests_unheard > 0

    asyncio.run(check())


def test_a_block_that_rotted_is_fetched_again(tmp_path: Path) -> None:
    """D1: reading finds it, and another holder has it."""

    async def check() -> None:
        root, blocks = blocks_of(tmp_path, b"precious" * 100)
        async with network(tmp_path, count=2) as (ledger, [one, two]):
            register(ledger, [one, two], root, 800)
            await upload(one, root, blocks)
            await all_held(ledger, 2)
            one.store._path(root).write_bytes(b"rotten")
            with pytest.raises(ChunkDamaged):
                await one.shelf.read(root, root)
            async with asyncio.timeout(20):
                while (await one.shelf.status(root)).state != "complete":  # noqa: ASYNC110 - the shelf tells nobody
                    await asyncio.sleep(0.01)
            assert await one.shelf.read(root, root) == b"precious" * 100

    asyncio.run(check())


def test_a_full_store_is_no_refusal_and_the_fetch_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D4: nothing is lost, and nobody is accused."""
    monkeypatch.setattr("node.replication.STORE_RETRY_S", 0.05)

    async def check() -> None:
        data = os.urandom(3 << 20)
        root, blocks = blocks_of(tmp_path, data)
        async with network(tmp_path, count=1) as (ledger, [one]):
            register(ledger, [one], root, len(data))
            await upload(one, root, blocks)
            await held(ledger, root, 1)
            late = join(tmp_path, "n1", one)
            late.store._capacity_bytes = 2 << 20
            async with asyncio.timeout(20):
                while late.store.size_bytes < 1 << 20:  # noqa: ASYNC110 - the disk tells nobody
                    await asyncio.sleep(0.01)
            assert (await late.shelf.status(root)).state in ("waiting", "fetching")
            late.store._capacity_bytes = 1 << 40
            await held(ledger, root, 2)
            assert late.accused == []

    asyncio.run(check())
