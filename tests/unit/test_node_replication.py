"""Replication between shelves in one process: links are calls, the ledger is a table."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from artifacts.claims import Claims
from artifacts.dag_pb import Link
from artifacts.errors import ArtifactTakenDown, ChunkDamaged, ChunkMissing, ManifestRefused
from artifacts.nodes import encode_directory_node
from artifacts.unixfs import build
from ledger.errors import LedgerError
from ledger.modules.module import ArtifactRecord
from node.artifact_erasure import ArtifactErasure
from node.artifact_serving import INTERESTS_PER_SECOND, SERVING_PER_PEER_MAX
from node.artifact_shelf import ArtifactShelf
from node.http.services import QueryAnswer, UnknownArtifact
from node.replication import ARTIFACTS_AT_ONCE_MAX, Replication
from node.replication_messages import Busy, Found, Interest, Want, decode_chunk_message, encode_chunk_message

ASSET = b"\xab" * 32


class Ledger:
    """Assets with one version each, and the statements about them."""

    def __init__(self) -> None:
        self.versions: dict[str, tuple[str, int]] = {}
        """Root -> (asset in hex, size)."""
        self.held: dict[str, list[str]] = {}
        self.down: dict[str, int] = {}
        """Root -> since when it is taken down, ms."""
        self.now_ms = 0
        self.proposals: dict[str, dict[str, Any]] = {}
        """Root -> what an open contribution proposes."""
        self.made_by: dict[str, str] = {}
        """Root -> the contribution that has brought it."""
        self.same_asset = False
        """Whether further artifacts are versions of the first asset."""

    @property
    def holders(self) -> list[str]:
        """Of the first artifact."""
        return self.held[next(iter(self.versions))]

    def register(self, root: str, size_bytes: int) -> ArtifactRecord:
        asset = ASSET if not self.versions or self.same_asset else len(self.versions).to_bytes(32, "big")
        self.versions[root] = asset.hex(), size_bytes
        self.held[root] = []
        return ArtifactRecord(asset, self.number(root), root, size_bytes)

    def roots_of(self, asset: str) -> list[str]:
        return [root for root, (owner, _) in self.versions.items() if owner == asset]

    def number(self, root: str) -> int:
        return self.roots_of(self.versions[root][0]).index(root) + 1

    def take_down(self, root: str, members: list[Member], since_ms: int = 0) -> None:
        self.down[root] = since_ms
        asset, size_bytes = self.versions[root]
        record = ArtifactRecord(bytes.fromhex(asset), self.number(root), root, size_bytes, taken_down=True)
        for member in members:
            member.replication.on_versions([record])

    def restore(self, root: str, members: list[Member]) -> None:
        del self.down[root]
        asset, size_bytes = self.versions[root]
        for member in members:
            member.replication.on_versions([ArtifactRecord(bytes.fromhex(asset), self.number(root), root, size_bytes)])

    def version(self, root: str) -> dict[str, Any]:
        return {
            "asset": self.versions[root][0],
            "version": self.number(root),
            "cid": root,
            "size_bytes": self.versions[root][1],
            "holders": [{"node_id": node} for node in self.held[root]],
            "held_quorum": 3,
            "contribution": self.made_by.get(root),
            "taken_down": {"reason": "other", "since_ms": self.down[root]} if root in self.down else None,
        }

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        if name == "assets.list":
            return QueryAnswer(
                1, 1, [{"asset": asset} for asset in dict.fromkeys(a for a, _ in self.versions.values())]
            )
        if name == "assets.by_artifact":
            root = str(arguments["cid"])
            if root not in self.versions:
                raise LedgerError("query.not_found", "no such artifact")
            return QueryAnswer(1, 1, {"asset": self.versions[root][0], "version": self.number(root)})
        if name == "contributions.list":
            proposed = self.proposals.values()
            return QueryAnswer(1, 1, [row for row in proposed if row["contribution"] > str(arguments.get("after", ""))])
        if name == "contributions.by_artifact":
            if (found := self.proposals.get(str(arguments["cid"]))) is None:
                raise LedgerError("query.not_found", "no such proposal")
            return QueryAnswer(1, 1, found)
        if name in ("assets.get", "contributions.get"):
            wanted = str(arguments.get("asset") or arguments["contribution"])
            known = name == "assets.get" and any(asset == wanted for asset, _ in self.versions.values())
            if not known and not any(row["contribution"] == wanted for row in self.proposals.values()):
                raise LedgerError("query.not_found", "nobody knows it")
            return QueryAnswer(1, 1, {"state": "open"})
        roots = self.roots_of(str(arguments["asset"]))
        if name == "assets.version":
            return QueryAnswer(1, 1, self.version(roots[int(arguments["version"]) - 1]))
        return QueryAnswer(1, 1, [self.version(root) for root in roots[int(arguments["after"]) :]])


class Member:
    """One node: its shelf, its replication, and links to the others."""

    def __init__(self, name: str, directory: Path, ledger: Ledger, members: dict[str, Member], tasks: set[Any]) -> None:
        self.name = name
        self.ledger = ledger
        self.members = members
        self.tasks = tasks
        self.accused: list[tuple[str, str]] = []
        self.lie = False
        self.wants: Counter[tuple[str, str]] = Counter()
        """(peer, cid) -> how often the peer was asked for it."""
        self.gives: int | None = None
        """How many more blocks leave it; None is without end."""
        self.cut: set[str] = set()
        """Peers to which nothing goes."""
        self.store = ChunkStore(directory / name)
        self.shelf = ArtifactShelf(self.store, ledger)
        self.replication = Replication(
            node_id=name,
            shelf=self.shelf,
            queries=ledger,
            links=self,
            reporter=self,
            spawn=self.spawn,
            fetches_in_flight_max=8,
            erasure=ArtifactErasure(self.shelf, ledger, self.spawn, delay_s=10, now_ms=lambda: ledger.now_ms),
        )

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def peers(self) -> list[str]:
        return [name for name in self.members if name != self.name]

    def send(self, node_id: str, payload: bytes) -> bool:
        if self.lie and isinstance(message := decode_chunk_message(payload), Found):
            payload = encode_chunk_message(Found(message.root, message.cid, message.data[:-1] + b"!"))
        if isinstance(message := decode_chunk_message(payload), Want):
            self.wants[node_id, message.cid] += 1
        if node_id in self.cut or node_id not in self.members:
            return False
        if self.gives is not None and isinstance(decode_chunk_message(payload), Found):
            if self.gives == 0:
                return True
            self.gives -= 1
        peer = self.members[node_id]
        asyncio.get_running_loop().call_soon(peer.replication.on_payload, self.name, payload)
        return True

    def broadcast(self, payload: bytes) -> None:
        for peer in self.peers():
            self.send(peer, payload)

    def misbehaved(self, node_id: str, reason: str) -> None:
        self.accused.append((node_id, reason))

    async def report_held(self, asset: bytes, version: int) -> None:
        holders = self.ledger.held[self.ledger.roots_of(asset.hex())[version - 1]]
        if self.name not in holders:
            holders.append(self.name)


@asynccontextmanager
async def network(directory: Path, count: int = 4) -> AsyncIterator[tuple[Ledger, list[Member]]]:
    ledger, members, tasks = Ledger(), dict[str, Member](), set[Any]()
    for index in range(count):
        members[f"n{index}"] = Member(f"n{index}", directory, ledger, members, tasks)
    for member in members.values():
        member.spawn(member.replication.run())
    try:
        yield ledger, list(members.values())
    finally:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def join(directory: Path, name: str, known: Member) -> Member:
    """A further node, which finds in the ledger what there is."""
    member = known.members[name] = Member(name, directory, known.ledger, known.members, known.tasks)
    member.spawn(member.replication.run())
    return member


def blocks_of(directory: Path, data: bytes) -> tuple[str, dict[str, bytes]]:
    blocks: dict[str, bytes] = {}
    source = directory / "source.bin"
    source.write_bytes(data)
    built = build(source, blocks.__setitem__)
    return built.cid, blocks


async def upload(member: Member, root: str, blocks: dict[str, bytes]) -> None:
    opened = await member.shelf.open(root)
    while wanted := opened.holding.missing():
        for cid in wanted:
            await member.shelf.store(root, cid, blocks[cid])


def register(ledger: Ledger, members: list[Member], root: str, size_bytes: int) -> None:
    record = ledger.register(root, size_bytes) if root not in ledger.versions else None
    asset, _ = ledger.versions[root]
    for member in members:
        member.replication.on_versions(
            [record or ArtifactRecord(bytes.fromhex(asset), ledger.number(root), root, size_bytes)]
        )


async def held(ledger: Ledger, root: str, count: int) -> None:
    async with asyncio.timeout(20):
        while len(ledger.held[root]) < count:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)


async def all_held(ledger: Ledger, count: int) -> None:
    await held(ledger, next(iter(ledger.versions)), count)


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
                while one.store.block_bytes(root) != 800:  # noqa: ASYNC110 - the disk tells nobody
                    await asyncio.sleep(0.01)
            assert await one.shelf.read(root, root) == b"precious" * 100

    asyncio.run(check())


async def erased(member: Member, cids_gone: set[str]) -> None:
    async with asyncio.timeout(20):
        while cids_gone & set(member.store.iterate()):  # noqa: ASYNC110 - the disk tells nobody
            await asyncio.sleep(0.01)


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


CONTRIBUTION = "c0" * 32


def proposed(root: str, size_bytes: int, contribution: str) -> dict[str, Any]:
    return {"contribution": contribution, "asset": ASSET.hex(), "cid": root, "size_bytes": size_bytes}


def propose(
    ledger: Ledger, members: list[Member], root: str, size_bytes: int, contribution: str = CONTRIBUTION
) -> None:
    ledger.proposals[root] = {
        "contribution": contribution,
        "asset": ASSET.hex(),
        "cid": root,
        "size_bytes": size_bytes,
    }
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
