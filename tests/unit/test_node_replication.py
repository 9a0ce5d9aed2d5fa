"""Replication between shelves in one process: links are calls, the ledger is a table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from artifacts.claims import Claims
from artifacts.errors import ManifestRefused
from artifacts.unixfs import build
from ledger.errors import LedgerError
from ledger.modules.module import ArtifactRecord
from node.artifact_shelf import ArtifactShelf
from node.http.services import QueryAnswer, UnknownArtifact
from node.replication import Replication
from node.replication_messages import Found, Want, decode_chunk_message, encode_chunk_message

ASSET = b"\xab" * 32


class Ledger:
    """One asset with one version, and the statements about it."""

    def __init__(self) -> None:
        self.root = ""
        self.size_bytes = 0
        self.holders: list[str] = []

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        if not self.root:
            if name == "assets.list":
                return QueryAnswer(0, 0, [])
            raise LedgerError("query.not_found", "no such artifact")
        version = {
            "asset": ASSET.hex(),
            "version": 1,
            "cid": self.root,
            "size_bytes": self.size_bytes,
            "holders": [{"node_id": node} for node in self.holders],
            "held_quorum": 3,
        }
        answers: dict[str, Any] = {
            "assets.by_artifact": {"asset": ASSET.hex(), "version": 1},
            "assets.version": version,
            "assets.versions": [] if arguments.get("after") else [version],
            "assets.list": [{"asset": ASSET.hex()}],
        }
        if name == "assets.by_artifact" and arguments["cid"] != self.root:
            raise LedgerError("query.not_found", "no such artifact")
        return QueryAnswer(1, 1, answers[name])


class Member:
    """One node: its shelf, its replication, and links to the others."""

    def __init__(self, name: str, directory: Path, ledger: Ledger, members: dict[str, Member], tasks: set[Any]) -> None:
        self.name = name
        self.ledger = ledger
        self.members = members
        self.tasks = tasks
        self.accused: list[tuple[str, str]] = []
        self.lie = False
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
        )
        self.shelf.on_complete = self.replication.on_complete

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
        peer = self.members[node_id]
        asyncio.get_running_loop().call_soon(peer.replication.on_payload, self.name, payload)
        return True

    def broadcast(self, payload: bytes) -> None:
        for peer in self.peers():
            self.send(peer, payload)

    def misbehaved(self, node_id: str, reason: str) -> None:
        self.accused.append((node_id, reason))

    async def report_held(self, asset: bytes, version: int) -> None:
        assert (asset, version) == (ASSET, 1)
        if self.name not in self.ledger.holders:
            self.ledger.holders.append(self.name)


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
    ledger.root, ledger.size_bytes = root, size_bytes
    for member in members:
        member.replication.on_versions([ArtifactRecord(ASSET, 1, root, size_bytes)])


async def all_held(ledger: Ledger, count: int) -> None:
    async with asyncio.timeout(20):
        while len(ledger.holders) < count:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)


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
            ledger.root, ledger.size_bytes = root, len(data)
            await upload(members[0], root, blocks)
            for member in members:
                member.replication._scan_again = True  # as after a start
                member.replication._wake.set()
            await all_held(ledger, 4)
            assert (await members[3].shelf.open(root)).holding.complete

    asyncio.run(check())


def test_a_peer_that_serves_wrong_bytes_is_named_and_others_are_asked(tmp_path: Path) -> None:
    async def check() -> None:
        root, blocks = blocks_of(tmp_path, b"model" * 1000)
        async with network(tmp_path) as (ledger, members):
            register(ledger, members[:2], root, 5000)
            await upload(members[0], root, blocks)
            await upload(members[1], root, blocks)
            members[0].lie = True
            register(ledger, members[2:], root, 5000)
            await all_held(ledger, 4)
            accused = {name for member in members for name, _ in member.accused}
            assert accused <= {"n0"}

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
