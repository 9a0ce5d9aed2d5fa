"""Shelves that replicate in one process: links are calls, the ledger is a table."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from artifacts.chunk_store import ChunkStore
from artifacts.unixfs import build
from ledger.errors import LedgerError
from ledger.modules.module import ArtifactRecord
from node.artifact_erasure import ArtifactErasure
from node.artifact_shelf import ArtifactShelf
from node.http.services import QueryAnswer
from node.replication import Replication
from node.replication_messages import Found, Want, decode_chunk_message, encode_chunk_message

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
            assets = [asset for asset, _ in self.versions.values()] + [row["asset"] for row in self.proposals.values()]
            return QueryAnswer(1, 1, [{"asset": asset} for asset in dict.fromkeys(assets)])
        if name == "assets.by_artifact":
            root = str(arguments["cid"])
            if root not in self.versions:
                raise LedgerError("query.not_found", "no such artifact")
            return QueryAnswer(1, 1, {"asset": self.versions[root][0], "version": self.number(root)})
        if name == "contributions.list":
            asset = arguments["asset"]
            return QueryAnswer(1, 1, [row for row in self.proposals.values() if row["asset"] == asset])
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


async def erased(member: Member, cids_gone: set[str]) -> None:
    async with asyncio.timeout(20):
        while cids_gone & set(member.store.iterate()):  # noqa: ASYNC110 - the disk tells nobody
            await asyncio.sleep(0.01)
