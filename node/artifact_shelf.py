"""The artifacts of registered versions on this node: which blocks may come in, which may go out, what is complete.

Uploads and replication both end here. A block enters only when the ledger registers its root, a held and checked part
links to it, and its bytes hash to its name; it leaves only as a block of the root that the reader may read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from artifacts.chunk_store import ChunkStore
from artifacts.claims import AssetBlocks, Claims
from artifacts.erasing import erase_all, erase_blocks
from artifacts.errors import ArtifactTakenDown, ChunkDamaged, ChunkMissing
from artifacts.holdings import Holding
from node import artifact_facts
from node.artifact_facts import Queries, VersionFacts
from node.http.services import ArtifactMissing, ArtifactState, ArtifactStatus, BlockUpload, UnknownArtifact

ARTIFACTS_OPEN_MAX: Final = 64
"""Walked artifacts kept in memory; beyond it the one used longest ago is walked again when it is next asked for."""


class OpenArtifact:
    """One artifact's walk, its lock, and what the ledger said about it."""

    def __init__(self, facts: VersionFacts, blocks: AssetBlocks, holding: Holding) -> None:
        self.facts = facts
        self.blocks = blocks
        self.holding = holding
        self.lock = asyncio.Lock()


class ArtifactShelf:
    """The node's artifacts. Belongs to the event loop; reads and writes of files run in threads."""

    def __init__(self, store: ChunkStore, queries: Queries) -> None:
        self.on_complete: Callable[[str], None] = lambda _root: None
        """Hears the root of every artifact whose last block arrives."""
        self.on_block: Callable[[str, str], None] = lambda _root, _inner: None
        """Hears (root, inner block) when a block that the inner one links to, or itself, arrives."""
        self.on_damaged: Callable[[VersionFacts], None] = lambda _facts: None
        """Hears of a version of which a block is not held any more."""
        self.progress: Callable[[str], ArtifactState] = lambda _root: "waiting"
        """Tells what is being done about an artifact that is not complete."""
        self._claims = Claims(store)
        self._queries = queries
        self._open: OrderedDict[str, OpenArtifact] = OrderedDict()
        self._opening: dict[str, asyncio.Task[OpenArtifact]] = {}
        self._down: set[str] = set()
        """Roots that were taken down since the start; what is open of them counts no more. Bounded by the ledger's."""

    async def open(self, root: str) -> OpenArtifact:
        """Return the walk of `root`.

        Raises:
            UnknownArtifact: no executed block registers it.
            ArtifactError: the registered root and size cannot be, it is taken down, or the store fails.
        """
        if root in self._down:
            raise ArtifactTakenDown(root)
        known = self._open.get(root)
        if known is not None:
            self._open.move_to_end(root)
            return known
        if (earlier := self._opening.get(root)) is not None:
            with suppress(UnknownArtifact):
                return await asyncio.shield(earlier)
            # It may have asked before the block was executed of which this caller knows.
        task = self._opening.get(root)
        if task is None:
            task = self._opening[root] = asyncio.create_task(self._walk(root))
            task.add_done_callback(lambda _: self._opening.pop(root, None))
        return await asyncio.shield(task)

    async def _walk(self, root: str) -> OpenArtifact:
        facts = await artifact_facts.version_of(self._queries, root)
        if facts is None:
            raise UnknownArtifact(f"no executed block registers {root}")
        if facts.taken_down is not None:
            raise ArtifactTakenDown(root)
        if facts.version and facts.contribution is not None:
            await asyncio.to_thread(self._claims.adopt, facts.asset, facts.contribution)
        blocks = await asyncio.to_thread(self._claims.of, facts.space)
        holding = await asyncio.to_thread(Holding, root, facts.size_bytes, blocks)
        opened = self._open[root] = OpenArtifact(facts, blocks, holding)
        while len(self._open) > ARTIFACTS_OPEN_MAX:
            self._open.popitem(last=False)
        return opened

    async def store(self, root: str, cid: str, data: bytes) -> BlockUpload:
        """Take a block that a client or a peer sent.

        Raises:
            UnknownArtifact, ArtifactError: see `open`; `manifest.not_linked` for a block that nothing held links to.
        """
        opened = await self.open(root)
        # A client that leaves must not tear the walk and the store apart.
        return await asyncio.shield(asyncio.create_task(self._store_block(opened, cid, data)))

    async def _store_block(self, opened: OpenArtifact, cid: str, data: bytes) -> BlockUpload:
        holding = opened.holding
        async with opened.lock:
            if holding.holds(cid):
                return BlockUpload(new=False, complete=holding.complete)
            await asyncio.to_thread(holding.check, cid, data)
        await asyncio.to_thread(opened.blocks.put, cid, data)
        async with opened.lock:
            new = holding.accepts(cid)
            if new:
                await asyncio.to_thread(holding.add, cid, data)
            complete = holding.complete
        if new and complete:
            self.on_complete(holding.root)
        elif new:
            if (parent := holding.parent(cid)) is not None:
                self.on_block(holding.root, parent)
            if holding.children(cid) is not None:
                self.on_block(holding.root, cid)
        return BlockUpload(new=new, complete=complete)

    async def read(self, root: str, cid: str) -> bytes:
        """Return a held block of the artifact `root`, checked against its name.

        Raises:
            ChunkMissing: not a held block of this artifact. ChunkDamaged: it rotted; it is fetched again.
        """
        opened = await self.open(root)
        if not opened.holding.holds(cid):
            raise ChunkMissing(cid)
        try:
            return await asyncio.to_thread(opened.blocks.get, cid)
        except (ChunkDamaged, ChunkMissing):
            self.forget(root)
            self.on_damaged(opened.facts)
            raise

    def opened(self, root: str) -> OpenArtifact | None:
        """The walk of `root` where it is at hand."""
        return self._open.get(root)

    def forget(self, root: str) -> None:
        """Drop the walk, so that the next use sees what the store really holds."""
        self._open.pop(root, None)

    def forget_all(self) -> None:
        """Drop all walks: a block of some artifact is not held any more."""
        self._open.clear()

    def take_down(self, root: str) -> None:
        """Neither take nor give blocks of `root` from now on."""
        self._down.add(root)
        self.forget(root)

    def restore(self, root: str) -> None:
        """Undo `take_down`."""
        self._down.discard(root)
        self.forget(root)

    async def erase(self, asset: str, down: Sequence[VersionFacts], kept: Sequence[VersionFacts]) -> int:
        """Delete the blocks of the versions `down` of an asset that neither its versions `kept` nor other assets have.

        Return how many blocks were deleted. Raises ArtifactError.
        """
        return await asyncio.to_thread(erase_blocks, self._claims, asset, down, kept)

    async def erase_all(self, space: str) -> int:
        """Delete what was brought for a contribution that came to nothing; return how many blocks were deleted. Raises
        ArtifactError."""
        return await asyncio.to_thread(erase_all, self._claims, space)

    async def spaces(self) -> list[str]:
        """For what there are blocks: assets and contributions (hex). Raises ArtifactError."""
        return await asyncio.to_thread(self._claims.assets)

    async def status(self, root: str) -> ArtifactStatus:
        """Tell what is held here, and which validators' statements the ledger has."""
        try:
            opened = await self.open(root)
        except ArtifactTakenDown:
            return await self._status_down(root)
        facts = opened.facts
        if facts.version:
            facts = await artifact_facts.version(self._queries, facts.asset, facts.version)
        return ArtifactStatus(
            root=root,
            size_bytes=facts.size_bytes,
            blocks_held=opened.holding.blocks_held,
            complete=opened.holding.complete,
            state="complete" if opened.holding.complete else self.progress(root),
            holders=tuple(holder.node_id for holder in facts.holders),
            held_quorum=len(facts.holders) >= facts.held_quorum,
        )

    async def _status_down(self, root: str) -> ArtifactStatus:
        facts = await artifact_facts.version_of(self._queries, root)
        if facts is None:
            raise UnknownArtifact(f"no executed block registers {root}")
        return ArtifactStatus(
            root=root,
            size_bytes=facts.size_bytes,
            blocks_held=0,
            complete=False,
            state="taken_down",
            holders=(),
            held_quorum=False,
        )

    async def missing(self, root: str) -> ArtifactMissing:
        """Tell which blocks may come next. Raises as `open`."""
        holding = (await self.open(root)).holding
        return ArtifactMissing(holding.complete, holding.blocks_held, tuple(holding.missing()))

    async def owner_asset(self, root: str) -> str:
        """Return the asset (hex) to which the artifact belongs. Raises UnknownArtifact."""
        return (await self.open(root)).facts.asset
