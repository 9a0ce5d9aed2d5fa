"""One artifact on its way here: drives the swarm's decisions over links and shelf.

Everything that comes is checked before it is stored, stored before it counts, and counts before anybody is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from artifacts import cid as cids
from artifacts.cid import Codec
from artifacts.errors import ArtifactError, ArtifactTakenDown, BlockMismatch, ChunkStoreError, ManifestRefused
from artifacts.holdings import Holding
from node.artifact_shelf import ArtifactShelf, OpenArtifact
from node.chunk_links import ChunkLinks, Spawn
from node.replication_counters import ReplicationCounters
from node.replication_messages import INTEREST_BLOCKS_MAX, Interest, Want, encode_chunk_message
from node.swarm import WANTED_MAX, Swarm
from node.swarm_sources import Sources

TICK_S: Final = 0.1
"""How often a fetch looks at what is late, when nothing comes."""
REFILL_MS: Final = 1_000
"""How often the wanted blocks are compared with what is held, when no inner block comes."""
STALL_MS: Final = 15_000
"""A fetch that got nothing for so long makes room for others, and goes on when somebody says to hold something."""
LINGER_MS: Final = 3_000
"""The same when nobody holds anything that is wanted: a peer that fetches, too, may have more in a moment."""
PARTIAL_HOLDERS_MAX: Final = 64
"""Peers with a part that are asked about inner blocks one by one."""

log: Final = structlog.get_logger("node.replication")


class ArtifactFetch:
    """One wanted artifact: who is known to hold what of it, over all attempts to fetch it."""

    def __init__(
        self,
        root: str,
        *,
        node_id: str,
        shelf: ArtifactShelf,
        links: ChunkLinks,
        sources: Sources,
        spawn: Spawn,
        counters: ReplicationCounters,
        now_ms: Callable[[], int],
    ) -> None:
        self.root = root
        self.swarm = Swarm(node_id, sources)
        self.news = asyncio.Event()
        """Set when something was said or sent about this artifact."""
        self.ended = asyncio.Event()
        self._shelf = shelf
        self._links = links
        self._spawn = spawn
        self._counters = counters
        self._now_ms = now_ms
        self._opened: OpenArtifact | None = None
        self._failure: ArtifactError | None = None
        self._unasked: dict[str, deque[str]] = {}
        """Peer with a part -> inner blocks about which it has not been asked."""
        self._progressed_ms = self._refilled_ms = 0
        self._refill_due = True

    async def complete_here(self) -> bool:
        """Whether all of it is held. Raises as `ArtifactShelf.open`."""
        return (await self._shelf.open(self.root)).holding.complete

    def has_source(self) -> bool:
        """Whether somebody says to hold something that is wanted, and has not let us wait."""
        return self.swarm.has_source(self._now_ms())

    @property
    def ending(self) -> bool:
        """Whether the artifact was taken down."""
        return isinstance(self._failure, ArtifactTakenDown)

    def end(self) -> None:
        """Give up: the shelf takes no more blocks of it, and whoever waits finds out."""
        self._failure = ArtifactTakenDown(self.root)
        self.news.set()

    def forget_sources(self) -> None:
        """Believe only what is said from now on."""
        self.swarm.holders.forget()

    # --- what peers say

    def on_complete(self, node_id: str) -> None:
        self._unasked.pop(node_id, None)
        self.swarm.holds_all(node_id)
        self.news.set()

    def on_holds(self, node_id: str, inner: str, links: bytes) -> None:
        self.swarm.holds_some(node_id, inner, links)
        if self._opened is not None:
            self._ask_about_all(node_id, self._opened.holding)
        self.news.set()

    def on_taker(self, node_id: str) -> None:
        self.swarm.holders.takes_part(node_id)

    def on_gone(self, node_id: str) -> None:
        self._unasked.pop(node_id, None)
        self.swarm.gone(node_id)
        self.news.set()

    def on_found(self, node_id: str, cid: str, data: bytes) -> None:
        if self.swarm.awaits(node_id, cid):
            self.swarm.arrived(node_id, cid, self._now_ms())
            self._spawn(self._take(node_id, cid, data))

    def on_missing(self, node_id: str, cid: str) -> None:
        if self.swarm.awaits(node_id, cid):
            self.swarm.failed(node_id, cid)
            self.news.set()

    def on_busy(self, node_id: str, cid: str) -> None:
        if self.swarm.awaits(node_id, cid):
            self.swarm.busy(node_id, cid, self._now_ms())

    # --- fetching

    async def run(self) -> bool:
        """Fetch until all is held (True), or until nothing has come for STALL_MS (False).

        Raises:
            ArtifactError: the bytes contradict the registered root and size, or the store fails.
            UnknownArtifact: see `ArtifactShelf.open`.
        """
        opened = self._opened = await self._shelf.open(self.root)
        self._failure = None
        self._progressed_ms = self._now_ms()
        self._refill_due = True
        for node_id in list(self.swarm.holders.partial()):
            self._ask_about_all(node_id, opened.holding)
        try:
            while not opened.holding.complete:
                self.news.clear()
                await self._refill(opened)
                if not self._step() or self._failure is not None:
                    break
                try:
                    async with asyncio.timeout(TICK_S):
                        await self.news.wait()
                except TimeoutError:
                    pass
        finally:
            self.swarm.stop()
            self._opened = None
            self._unasked.clear()
        if self._failure is not None:
            raise self._failure
        return opened.holding.complete

    def _step(self) -> bool:
        """Ask for what may be asked for; False when nothing has come for too long."""
        now_ms = self._now_ms()
        for node_id, cid in self.swarm.expired(now_ms):
            self._counters.answers_late += 1
            log.info("a peer let us wait for a block", peer=node_id, cid=cid)
        for node_id, cid in self.swarm.next_requests(now_ms):
            if not self._links.send(node_id, encode_chunk_message(Want(self.root, cid))):
                self.swarm.busy(node_id, cid, now_ms)
        for node_id, unasked in self._unasked.items():
            if unasked:
                asked = tuple(unasked.popleft() for _ in range(min(INTEREST_BLOCKS_MAX, len(unasked))))
                self._links.send(node_id, encode_chunk_message(Interest(self.root, asked)))
        alive = self.swarm.under_way > 0 or self.has_source()
        return now_ms - self._progressed_ms < (STALL_MS if alive else LINGER_MS)

    async def _refill(self, opened: OpenArtifact) -> None:
        """Let the swarm choose among what the held part links to."""
        now_ms = self._now_ms()
        if not self._refill_due and now_ms - self._refilled_ms < REFILL_MS:
            return
        async with opened.lock:  # while a block is added, its links are half known
            holding = opened.holding
            self.swarm.keep(holding.accepts)  # an upload may bring blocks, too
            self._refill_due, self._refilled_ms = False, now_ms
            positions: dict[str, dict[str, int]] = {}
            for cid in holding.missing():
                parent = holding.parent(cid)
                place = None
                if parent is not None:
                    if parent not in positions:
                        positions[parent] = {c: n for n, c in enumerate(holding.children(parent) or ())}
                    place = parent, positions[parent][cid]
                if not self.swarm.want(cid, leaf=cids.parse(cid).codec is Codec.RAW, place=place):
                    break

    def _ask_about_all(self, node_id: str, holding: Holding) -> None:
        """Ask a peer with a part about every inner block below which something is missing, once."""
        if node_id in self._unasked or len(self._unasked) >= PARTIAL_HOLDERS_MAX:
            return
        self._unasked[node_id] = deque(
            inner
            for inner in holding.inner_blocks()
            if inner != self.root and any(holding.accepts(child) for child in holding.children(inner) or ())
        )

    async def _take(self, node_id: str, cid: str, data: bytes) -> None:
        try:
            await self._shelf.store(self.root, cid, data)
        except BlockMismatch:
            self._counters.blocks_wrong += 1
            log.warning("a peer sent a wrong block", peer=node_id, cid=cid)
            self._links.misbehaved(node_id, "wrong-block")
            self.swarm.lied(node_id)
        except ChunkStoreError as error:
            log.error("a block cannot be stored", cid=cid, code=error.code, reason=error.message)
            self._failure = error
        except ManifestRefused as error:
            if error.code != "manifest.not_linked":
                self._failure = error
            else:
                self.swarm.held(cid)  # an upload was faster
        except ArtifactError as error:
            self._failure = error
        else:
            self._counters.blocks_fetched += 1
            self._counters.bytes_fetched += len(data)
            self._progressed_ms = self._now_ms()
            self.swarm.received(node_id, cid)
            self._refill_due = self._refill_due or len(self.swarm) < WANTED_MAX // 2
            if self._opened is not None and self._opened.holding.children(cid):
                self._refill_due = True
                for unasked in self._unasked.values():
                    unasked.append(cid)
        finally:
            self.news.set()
