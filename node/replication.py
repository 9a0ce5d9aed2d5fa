"""Every validator holds every registered artifact: fetch what is missing, serve what others miss, state what is held.

The ledger is the list of what to hold and of who stated to hold it, the chunk store is what is held; this compares the
two at the start and after every block with new versions, so nothing needs to be remembered over a restart. An artifact
takes one of a few slots only while somebody says to hold some of it: what nobody has waits without a slot, and is asked
about in turn. A version whose artifact is complete is reported by a transaction of the validator's own account, until
the ledger shows it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import structlog

from artifacts.errors import ArtifactError, ArtifactTakenDown, ChunkStoreError
from ledger.modules.module import ArtifactRecord
from node import artifact_facts
from node.artifact_erasure import ArtifactErasure
from node.artifact_facts import Queries, VersionFacts
from node.artifact_fetch import ArtifactFetch
from node.artifact_serving import ArtifactServing
from node.artifact_shelf import ArtifactShelf
from node.chunk_links import ChunkLinks, Spawn
from node.http.services import ArtifactState, UnknownArtifact
from node.replication_counters import ReplicationCounters
from node.replication_messages import (
    Busy,
    Complete,
    Found,
    Holds,
    Interest,
    Missing,
    Want,
    decode_chunk_message,
    encode_chunk_message,
)
from node.swarm_sources import Sources
from primitives.codec import CodecError

VERSIONS_PENDING_MAX: Final = 10_000
"""Versions waiting for their bytes or their statement; beyond it the ledger is read again when some are done."""
ARTIFACTS_AT_ONCE_MAX: Final = 4
"""Artifacts being fetched at once; only such as somebody says to hold some of."""
REFUSED_MAX: Final = 1_000
"""Artifacts remembered as refused; the oldest is forgotten, and refused again when it is next looked at."""
PROBES_PER_SECOND: Final = 32
"""Artifacts that nobody seems to hold, asked about in turn."""
PROBE_AGAIN_MS: Final = 5_000
STORE_RETRY_S: Final = 30.0
"""How long a fetch rests that the chunk store refused: the disk may have room again."""
NEWS_TICK_S: Final = 0.1
REPORT_POLL_S: Final = 0.2
REPORT_PERIOD_S: Final = 5.0
"""How long a statement may take to show in the ledger before it is made again."""

log: Final = structlog.get_logger("node.replication")

Key = tuple[str, int]
"""(asset in hex, version), or (contribution in hex, 0)"""


class Reporter(Protocol):
    """Makes and submits `assets.report_held` in the validator's name; on a node without a vote it does nothing."""

    async def report_held(self, asset: bytes, version: int) -> None: ...


def monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Replication:
    """The replication of one node. Belongs to the event loop."""

    def __init__(
        self,
        *,
        node_id: str,
        shelf: ArtifactShelf,
        queries: Queries,
        links: ChunkLinks,
        reporter: Reporter | None,
        spawn: Spawn,
        fetches_in_flight_max: int,
        erasure: ArtifactErasure,
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._node_id = node_id
        self._shelf = shelf
        self._queries = queries
        self._links = links
        self._reporter = reporter
        self._spawn = spawn
        self._now_ms = now_ms
        self._erasure = erasure
        self.counters = ReplicationCounters()
        self._sources = Sources(fetches_in_flight_max)
        self._serving = ArtifactServing(shelf, links, spawn, self.counters, now_ms)
        self._slots = asyncio.Semaphore(ARTIFACTS_AT_ONCE_MAX)
        self._pending: OrderedDict[Key, str] = OrderedDict()
        """Version -> root, of all that is not yet held and stated."""
        self._proposed: set[str] = set()
        """Roots of those pending that contributions propose."""
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        """Pending versions to be looked at once more when they are done."""
        self._fetches: dict[str, ArtifactFetch] = {}
        """Root -> the fetch, under way or waiting for somebody who holds some. Bounded by the pending versions."""
        self._active: set[str] = set()
        """Roots with a slot."""
        self._probes: OrderedDict[str, int] = OrderedDict()
        """Root -> when it was last asked about, ms; the next to ask about first."""
        self._refused: OrderedDict[str, str] = OrderedDict()
        """Root -> code of the refusal: nobody can ever hold it."""
        self._scan_again = True
        self._wake = asyncio.Event()
        shelf.on_complete = self.on_complete
        shelf.on_block = self._serving.news.came
        shelf.on_damaged = self.on_damaged
        shelf.progress = self.progress

    @property
    def pending(self) -> int:
        """Versions whose bytes or statement are not there yet."""
        return len(self._pending)

    @property
    def waiting(self) -> int:
        """Artifacts that nobody connected seems to hold any of."""
        return len(self._fetches) - len(self._active)

    def progress(self, root: str) -> ArtifactState:
        """What is being done about an artifact that is not complete here."""
        if root in self._refused:
            return "refused"
        return "fetching" if root in self._active else "waiting"

    # --- events

    def on_versions(self, records: Iterable[ArtifactRecord]) -> None:
        """A block registered these versions, or took their artifacts down, or restored them."""
        for record in records:
            if record.contribution is not None and record.taken_down:
                self._end_proposed(record.contribution.hex(), record.cid)
            elif record.taken_down:
                self._take_down(record)
            else:
                self._shelf.restore(record.cid)
                key = (record.asset.hex(), record.version)
                if record.contribution is not None:
                    key = (record.contribution.hex(), 0)
                elif record.cid in self._proposed and (fetch := self._fetches.get(record.cid)) is not None:
                    fetch.end()  # what is brought now is brought for the asset
                if key in self._pending:
                    self._again.add(key)  # what was done before a takedown may just be ending
                self._add(key, record.cid)

    def _end_proposed(self, contribution: str, root: str) -> None:
        """A contribution came to nothing: its bytes go at once, and whoever brings them again brings all of them."""
        self._shelf.forget(root)
        self._serving.news.finished(root)
        if (fetch := self._fetches.get(root)) is not None:
            fetch.end()
        self._spawn(self._erase(contribution))

    async def _erase(self, space: str) -> None:
        try:
            blocks = await self._shelf.erase_all(space)
        except ArtifactError as error:
            log.error("what was proposed cannot be deleted", contribution=space, code=error.code, reason=error.message)
            return  # the next start tries it again
        log.info("blocks of what was proposed are deleted", contribution=space, blocks=blocks)

    def _take_down(self, record: ArtifactRecord) -> None:
        self._shelf.take_down(record.cid)
        self._serving.news.finished(record.cid)
        if (fetch := self._fetches.get(record.cid)) is not None:
            fetch.end()
        self._erasure.due(record.asset.hex())

    def on_peer_connected(self, node_id: str) -> None:
        """Ask the peer about what is fetched and about those that waited longest; the others come in turn."""
        for root in (*self._active, *list(self._probes)[:PROBES_PER_SECOND]):
            self._links.send(node_id, encode_chunk_message(Interest(root, ())))

    def on_peer_disconnected(self, node_id: str) -> None:
        self._serving.news.gone(node_id)
        for fetch in self._fetches.values():
            fetch.on_gone(node_id)

    def on_complete(self, root: str) -> None:
        """The last block of an artifact arrived here, by upload or from peers."""
        self._links.broadcast(encode_chunk_message(Complete(root)))
        self._serving.news.finished(root)
        if (fetch := self._fetches.get(root)) is not None:
            fetch.news.set()

    def on_damaged(self, facts: VersionFacts) -> None:
        """A block that was held is not any more: fetch it again."""
        key = facts.key
        if key in self._pending:
            self._again.add(key)  # what is done now may have counted it
        self._add(key, facts.cid)

    def look_again(self) -> None:
        """Some block that was held is not any more: find the versions that lack it."""
        self._shelf.forget_all()
        self._scan_again = True
        self._wake.set()

    def on_payload(self, node_id: str, payload: bytes) -> None:
        """A peer's message."""
        try:
            message = decode_chunk_message(payload)
        except CodecError:
            self._links.misbehaved(node_id, "malformed-chunk-message")
            return
        if isinstance(message, Want):
            self._serving.on_want(node_id, message)
            return
        fetch = self._fetches.get(message.root)
        if isinstance(message, Interest):
            if self._serving.on_interest(node_id, message) and fetch is not None:
                fetch.on_taker(node_id)
        elif isinstance(message, Complete):
            self._serving.news.satisfied(node_id, message.root)
            if fetch is not None:
                fetch.on_complete(node_id)
        elif fetch is not None:
            _give(fetch, node_id, message)

    def _add(self, key: Key, root: str) -> None:
        if key in self._pending:
            return
        if len(self._pending) >= VERSIONS_PENDING_MAX:
            self._scan_again = True
            return
        self._pending[key] = root
        if not key[1]:
            self._proposed.add(root)
        self._wake.set()

    # --- holding

    async def run(self) -> None:
        """Keep the shelf up with the ledger, until cancelled."""
        self._spawn(self._tell_and_probe())
        while True:
            if self._scan_again:
                self._scan_again = False
                await self._scan()
            for key in [key for key in self._pending if key not in self._working]:
                self._working.add(key)
                self._spawn(self._hold(key, self._pending[key]))
            self._wake.clear()
            await self._wake.wait()

    async def _scan(self) -> None:
        """Find every version that is not complete here, or not yet stated in our name."""
        async for facts in artifact_facts.all_versions(self._queries):
            if facts.taken_down is not None:
                self._erasure.due(facts.asset)
                continue
            if self._reporter is not None and facts.held_by(self._node_id) and await self._is_complete(facts):
                continue
            self._add(facts.key, facts.cid)
        async for facts in artifact_facts.all_proposed(self._queries):
            if not await self._is_complete(facts):
                self._add(facts.key, facts.cid)
        await self._erase_strays()

    async def _erase_strays(self) -> None:
        """Delete what was brought for contributions that ended while this node was away."""
        try:
            spaces = await self._shelf.spaces()
        except ArtifactError as error:
            log.error("the chunk store cannot be listed", code=error.code, reason=error.message)
            return
        for space in spaces:
            if not await artifact_facts.is_known(self._queries, space):
                await self._erase(space)

    async def _is_complete(self, facts: VersionFacts) -> bool:
        try:
            return (await self._shelf.open(facts.cid)).holding.complete
        except (UnknownArtifact, ArtifactError):
            return False

    async def _tell_and_probe(self) -> None:
        """Tell peers what came, and ask about what nobody seems to hold, until cancelled."""
        credit = float(PROBES_PER_SECOND)
        while True:
            self._serving.tell_news()
            credit = min(PROBES_PER_SECOND, credit + PROBES_PER_SECOND * NEWS_TICK_S)
            now_ms = self._now_ms()
            for root, asked_at_ms in list(self._probes.items())[: int(credit)]:
                if now_ms - asked_at_ms < PROBE_AGAIN_MS:
                    break
                self._probe(root)
                credit -= 1
            await asyncio.sleep(NEWS_TICK_S)

    def _probe(self, root: str) -> None:
        self._probes[root] = self._now_ms()
        self._probes.move_to_end(root)
        self._links.broadcast(encode_chunk_message(Interest(root, ())))

    async def _hold(self, key: Key, root: str) -> None:
        """Fetch and state one version."""
        try:
            await self._fetch(root)
            await self._report(key)
        except ArtifactTakenDown:
            log.info("an artifact is not to be held any more", root=root)
        except ChunkStoreError as error:
            log.error("the chunk store cannot be used", root=root, code=error.code, reason=error.message)
            await asyncio.sleep(STORE_RETRY_S)
            self._again.add(key)
        except ArtifactError as error:
            # The bytes contradict the registered root and size, or the profile: nobody can ever hold it.
            log.warning("an artifact cannot be held", root=root, code=error.code, reason=error.message)
            self._refused[root] = error.code
            while len(self._refused) > REFUSED_MAX:
                self._refused.popitem(last=False)
        except UnknownArtifact:
            if key[1]:
                log.error("a registered artifact is unknown to the ledger", root=root)
        finally:
            self._working.discard(key)
            self._pending.pop(key, None)
            if not key[1]:
                self._proposed.discard(root)
            if key in self._again:
                self._again.discard(key)
                self._pending[key] = root
            self._wake.set()

    async def _fetch(self, root: str) -> None:
        """Return when all of it is held."""
        while (other := self._fetches.get(root)) is not None:
            await other.ended.wait()  # two versions of one asset may have the same bytes
        fetch = self._fetches[root] = ArtifactFetch(
            root,
            node_id=self._node_id,
            shelf=self._shelf,
            links=self._links,
            sources=self._sources,
            spawn=self._spawn,
            counters=self.counters,
            now_ms=self._now_ms,
        )
        for peer in self._serving.news.hearers(root):
            fetch.on_taker(peer)
        try:
            async with self._slots:
                complete = await fetch.complete_here()
            if complete:
                return
            self._probe(root)
            while not await self._attempt(fetch):
                pass
        finally:
            del self._fetches[root]
            fetch.ended.set()
            self._probes.pop(root, None)

    async def _attempt(self, fetch: ArtifactFetch) -> bool:
        """Wait until somebody may hold some of it, then fetch what there is; tell whether all is held."""
        fetch.news.clear()
        if not fetch.has_source() and not fetch.ending:
            await fetch.news.wait()
        try:
            async with self._slots:
                if await fetch.complete_here():
                    return True
                if not fetch.has_source():
                    return False
                self._active.add(fetch.root)
                if await fetch.run():
                    return True
        except ChunkStoreError as error:
            log.error("the chunk store refuses blocks", root=fetch.root, code=error.code, reason=error.message)
            await asyncio.sleep(STORE_RETRY_S)
        finally:
            self._active.discard(fetch.root)
        # What was said before did not help: only what is said anew may.
        fetch.forget_sources()
        return False

    async def _report(self, key: Key) -> None:
        """State that the version is held, until the ledger shows it."""
        if self._reporter is None:
            return
        asset, number = key
        if not number:
            return  # what is proposed nobody states to hold
        while not (facts := await artifact_facts.version(self._queries, asset, number)).held_by(self._node_id):
            if facts.taken_down is not None:
                return
            await self._reporter.report_held(bytes.fromhex(asset), number)
            for _ in range(round(REPORT_PERIOD_S / REPORT_POLL_S)):
                await asyncio.sleep(REPORT_POLL_S)
                if (await artifact_facts.version(self._queries, asset, number)).held_by(self._node_id):
                    return


def _give(fetch: ArtifactFetch, node_id: str, message: Found | Missing | Busy | Holds) -> None:
    if isinstance(message, Found):
        fetch.on_found(node_id, message.cid, message.data)
    elif isinstance(message, Missing):
        fetch.on_missing(node_id, message.cid)
    elif isinstance(message, Busy):
        fetch.on_busy(node_id, message.cid)
    else:
        fetch.on_holds(node_id, message.inner, message.links)
