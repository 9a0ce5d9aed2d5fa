"""Every validator holds every registered artifact: fetch what is missing, serve what others miss, state what is held.

The ledger is the list of what to hold and of who stated to hold it, the chunk store is what is held; this compares the
two at the start and after every block with new versions, so nothing needs to be remembered over a restart. Blocks are
fetched parents first, each checked before it is stored, from any connected peer; a version whose artifact is complete
is reported by a transaction of the validator's own account, until the ledger shows it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Protocol

import structlog

from artifacts.errors import ArtifactError, BlockMismatch, ChunkStoreError, ManifestRefused
from ledger.errors import LedgerError
from ledger.modules.module import ArtifactRecord
from node import artifact_facts
from node.artifact_facts import Queries, VersionFacts
from node.artifact_shelf import ArtifactShelf, OpenArtifact
from node.http.services import UnknownArtifact
from node.replication_messages import (
    Complete,
    Found,
    Missing,
    Want,
    decode_chunk_message,
    encode_chunk_message,
)
from primitives.codec import CodecError

VERSIONS_PENDING_MAX: Final = 10_000
"""Versions waiting for their bytes or their statement; beyond it the ledger is read again when some are done."""
ARTIFACTS_AT_ONCE_MAX: Final = 4
SERVING_MAX: Final = 16
"""Blocks being read for peers at once; a peer that asks for more is told that we do not hold them."""
ROUND_BLOCKS_MAX: Final = 64
"""Blocks of one artifact asked for together."""
ANSWER_TIMEOUT_S: Final = 10.0
RETRY_MIN_S: Final = 0.2
RETRY_MAX_S: Final = 3.0
REPORT_PERIOD_S: Final = 5.0
"""How long a statement may take to show in the ledger before it is made again."""

log: Final = structlog.get_logger("node.replication")

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
Key = tuple[str, int]
"""(asset in hex, version)"""


class ChunkLinks(Protocol):
    """The links to other nodes, for payloads of the channel CHUNKS."""

    def peers(self) -> Sequence[str]:
        """Node ids of those connected."""
        ...

    def send(self, node_id: str, payload: bytes) -> bool: ...

    def broadcast(self, payload: bytes) -> None: ...

    def misbehaved(self, node_id: str, reason: str) -> None:
        """The peer sent what no correct peer sends."""
        ...


class Reporter(Protocol):
    """Makes and submits `assets.report_held` in the validator's name; on a node without a vote it does nothing."""

    async def report_held(self, asset: bytes, version: int) -> None: ...


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
    ) -> None:
        self._node_id = node_id
        self._shelf = shelf
        self._queries = queries
        self._links = links
        self._reporter = reporter
        self._spawn = spawn
        self._fetches = asyncio.Semaphore(fetches_in_flight_max)
        self._artifacts = asyncio.Semaphore(ARTIFACTS_AT_ONCE_MAX)
        self._pending: OrderedDict[Key, str] = OrderedDict()
        """Version -> root, of all that is not yet held and stated."""
        self._working: set[Key] = set()
        self._scan_again = True
        self._wake = asyncio.Event()
        self._answers: dict[tuple[str, str], asyncio.Future[bytes | None]] = {}
        """(peer, cid) -> the block, or None when the peer does not hold it. Bounded by the fetches in flight."""
        self._serving = 0
        self._news: dict[str, asyncio.Event] = {}
        """Root -> set when somebody may hold more of it than before."""

    @property
    def pending(self) -> int:
        """Versions whose bytes or statement are not there yet."""
        return len(self._pending)

    # --- events

    def on_versions(self, records: Iterable[ArtifactRecord]) -> None:
        """A block registered these versions."""
        for record in records:
            self._add((record.asset.hex(), record.version), record.cid)

    def on_peer_connected(self, _node_id: str) -> None:
        for news in self._news.values():
            news.set()

    def on_complete(self, root: str) -> None:
        """The last block of an artifact arrived here, by upload or from peers."""
        self._links.broadcast(encode_chunk_message(Complete(root)))
        self._tell(root)

    def on_payload(self, node_id: str, payload: bytes) -> None:
        """A peer's message."""
        try:
            message = decode_chunk_message(payload)
        except CodecError:
            self._links.misbehaved(node_id, "malformed-chunk-message")
            return
        if isinstance(message, Want):
            self._serve(node_id, message)
        elif isinstance(message, Complete):
            self._tell(message.root)
        else:
            future = self._answers.get((node_id, message.cid))
            if future is not None and not future.done():
                future.set_result(message.data if isinstance(message, Found) else None)

    def _tell(self, root: str) -> None:
        news = self._news.get(root)
        if news is not None:
            news.set()

    def _add(self, key: Key, root: str) -> None:
        if key in self._pending:
            return
        if len(self._pending) >= VERSIONS_PENDING_MAX:
            self._scan_again = True
            return
        self._pending[key] = root
        self._wake.set()

    # --- serving

    def _serve(self, node_id: str, want: Want) -> None:
        if self._serving >= SERVING_MAX:
            self._links.send(node_id, encode_chunk_message(Missing(want.root, want.cid)))
            return
        self._serving += 1
        self._spawn(self._answer(node_id, want))

    async def _answer(self, node_id: str, want: Want) -> None:
        answer: Found | Missing = Missing(want.root, want.cid)
        try:
            answer = Found(want.root, want.cid, await self._shelf.read(want.root, want.cid))
        except (ArtifactError, UnknownArtifact, LedgerError):
            pass  # then it is missing here
        finally:
            self._serving -= 1
        self._links.send(node_id, encode_chunk_message(answer))

    # --- holding

    async def run(self) -> None:
        """Keep the shelf up with the ledger, until cancelled."""
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
            if self._reporter is not None and facts.held_by(self._node_id) and await self._is_complete(facts):
                continue
            self._add((facts.asset, facts.version), facts.cid)

    async def _is_complete(self, facts: VersionFacts) -> bool:
        try:
            return (await self._shelf.open(facts.cid)).holding.complete
        except (UnknownArtifact, ArtifactError):
            return False

    async def _hold(self, key: Key, root: str) -> None:
        """Fetch and state one version."""
        try:
            async with self._artifacts:
                await self._fetch_artifact(root)
            await self._report(key)
        except ArtifactError as error:
            # The bytes contradict the registered root and size, or the profile: nobody can ever hold it.
            log.warning("an artifact cannot be held", root=root, code=error.code, reason=error.message)
        except UnknownArtifact:
            log.error("a registered artifact is unknown to the ledger", root=root)
        finally:
            self._working.discard(key)
            self._pending.pop(key, None)
            self._wake.set()

    async def _fetch_artifact(self, root: str) -> None:
        news = self._news.setdefault(root, asyncio.Event())
        delay_s = RETRY_MIN_S
        try:
            while True:
                opened = await self._shelf.open(root)
                if opened.holding.complete:
                    return
                news.clear()
                if await self._fetch_round(opened):
                    delay_s = RETRY_MIN_S
                    continue
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                try:
                    async with asyncio.timeout(delay_s):
                        await news.wait()
                        delay_s = RETRY_MIN_S
                except TimeoutError:
                    pass
        finally:
            self._news.pop(root, None)

    async def _fetch_round(self, opened: OpenArtifact) -> bool:
        """Ask for the blocks that may come next; tell whether any arrived."""
        async with opened.lock:
            wanted = opened.holding.missing(ROUND_BLOCKS_MAX)
        results = await asyncio.gather(*(self._fetch_block(opened, cid) for cid in wanted), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return any(results)

    async def _fetch_block(self, opened: OpenArtifact, cid: str) -> bool:
        """Try each connected peer, beginning with another one for each block."""
        root = opened.holding.root
        peers = sorted(self._links.peers())
        turn = sum(cid.encode()) % len(peers) if peers else 0
        for node_id in peers[turn:] + peers[:turn]:
            if not opened.holding.accepts(cid):
                return True  # an upload was faster
            async with self._fetches:
                data = await self._ask(node_id, root, cid)
            if data is None:
                continue
            try:
                await self._shelf.store(root, cid, data)
                return True
            except ChunkStoreError as error:
                log.error("a block cannot be stored", cid=cid, code=error.code, reason=error.message)
                return False
            except ManifestRefused as error:
                if error.code != "manifest.not_linked":
                    raise
                return True  # an upload was faster
            except BlockMismatch:
                self._links.misbehaved(node_id, "wrong-block")
                log.warning("a peer sent a wrong block", peer=node_id, cid=cid)
        return False

    async def _ask(self, node_id: str, root: str, cid: str) -> bytes | None:
        key = (node_id, cid)
        if key in self._answers or not self._links.send(node_id, encode_chunk_message(Want(root, cid))):
            return None
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._answers[key] = future
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except TimeoutError:
            return None
        finally:
            self._answers.pop(key, None)

    async def _report(self, key: Key) -> None:
        """State that the version is held, until the ledger shows it."""
        if self._reporter is None:
            return
        asset, number = key
        while not (await artifact_facts.version(self._queries, asset, number)).held_by(self._node_id):
            await self._reporter.report_held(bytes.fromhex(asset), number)
            for _ in range(round(REPORT_PERIOD_S / RETRY_MIN_S)):
                await asyncio.sleep(RETRY_MIN_S)
                if (await artifact_facts.version(self._queries, asset, number)).held_by(self._node_id):
                    return
