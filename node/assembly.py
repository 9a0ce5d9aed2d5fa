"""The composition root: every part of a node, made and joined in one place."""

from __future__ import annotations

import asyncio
import importlib.metadata
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

import structlog

from artifacts.chunk_store import ChunkStore
from artifacts.errors import ChunkStoreError
from ledger.errors import StorageError
from ledger.genesis import network_id
from node.artifact_erasure import ArtifactErasure
from node.artifact_following import NewVersions, keep_artifacts
from node.artifact_scrubber import ArtifactScrubber
from node.artifact_shelf import ArtifactShelf
from node.chain_service import Opening
from node.client_door import ClientDoor
from node.configuration import split_address
from node.core import NodeCore
from node.core_settings import core_configuration, gossip_configuration
from node.disk_space import POLL_PERIOD_S, DiskSpace, directory_bytes
from node.event_loop import DiskFiles, LoopClock, LoopPost, OnFatal, ThreadJobs
from node.failures import AddressUnusable, DirectoryUnusable
from node.gossip_host import GossipHost
from node.gossip_readings import gossip_readings
from node.http.application import Api
from node.http.services import GossipSummary
from node.http.table import router
from node.ledger_owner import LedgerOwner
from node.links import ChunkSending, PayloadHandler, PeerLinks
from node.measurement import Measurement
from node.mender import Mender
from node.metrics import NodeMetrics, Reading
from node.neighbors import Neighbors
from node.node_files import NodeFiles
from node.own_entry import check_own_entry, own_address
from node.own_readings import damage_readings
from node.ports import Ports, RegisteredPeer, draw_entropy
from node.replication import Replication
from node.replication_readings import replication_readings
from node.scrubber import Scrubber
from node.search_building import build_search
from node.search_desk import SearchDesk
from node.services import LedgerReads, NodeServices
from node.snapshot_assembly import SnapshotSide, finish_switch
from node.snapshot_exchange import SnapshotExchange
from node.status import StatusReporter
from node.validator_account import ValidatorReporter
from node.verifier import ThreadVerifier
from node.workers import ProcessWorkers
from p2p.identity import Identity
from p2p.options import LinkOptions
from p2p.peers import PeerNetwork

log: Final = structlog.get_logger("node.process")


class Node:
    """A running node. `start` builds it, `stop` ends whatever `start` has begun."""

    def __init__(self, files: NodeFiles, on_fatal: OnFatal) -> None:
        """Raises ConfigurationError when the genesis does not know this node, and nothing says where it listens."""
        self._files = files
        self._fatal = on_fatal
        self._network_id = network_id(files.genesis)
        self._listen = files.configuration.p2p.listen or own_address(files.genesis, files.keys)
        self._version = _version()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread_stops: list[Callable[[], None]] = []
        """Ends the helper threads, after the ledger's: what that answers last may still be written down."""
        self._ledger: LedgerOwner | None = None
        self._snapshots: SnapshotSide | None = None
        self._core: NodeCore | None = None
        self._status: StatusReporter | None = None
        self._door: ClientDoor | None = None
        self._links = PeerLinks()
        self._metrics = NodeMetrics()
        self.space = DiskSpace(files.directory.path, files.configuration.storage.reserve_bytes)
        self._scrubber: Scrubber | None = None
        self._artifact_scrubber: ArtifactScrubber | None = None
        self._measurement = self._open_measurement()

    # --- start

    async def start(self) -> dict[str, str]:
        """Start every part; return where the node listens.

        Raises:
            NodeFailure: what stands in the way, in one line. LedgerError: the ledger cannot be opened.
        """
        loop = asyncio.get_running_loop()
        settings, measurement = self._files.configuration, self._measurement
        post = LoopPost(loop, self._on_fatal)
        self._clock = LoopClock(loop, self._on_fatal)
        await asyncio.to_thread(finish_switch, self._files.directory)
        self._mender = Mender(post)
        self._ledger = LedgerOwner(self._files, post, self._on_fatal, self._mender)
        self._executor = self._ledger.executor
        opening, registered = await self._ledger.open()
        if opening.head.header.height == 0:
            check_own_entry(self._files.genesis, self._files.keys)
        self._jobs = ThreadJobs("journal", post)
        self._verifier = ThreadVerifier(post)
        self._workers = ProcessWorkers(post, self._on_fatal)
        if settings.sync.signatures == "certified":
            log.warning("fetched blocks: a quorum's word is taken for the signatures of their transactions")
        self._search = SearchDesk(self._files.directory.search)
        self._thread_stops += [self._verifier.stop, self._workers.stop, self._jobs.stop, self._search.stop]
        core = self._core = self._make_core(opening)
        reads = LedgerReads(self._executor)
        shelf = await asyncio.to_thread(self._open_shelf, reads)
        replication = self._make_replication(core, shelf, reads)
        snapshots = self._make_snapshots(core, post)
        peers = self._make_peers(core, replication, snapshots.exchange, registered)
        self._status = StatusReporter(core, peers, self._files.genesis, self._network_id, self._version, self.space)
        if (gossip := self._links.gossip) is not None:
            self._status.gossip = lambda: GossipSummary(gossip.neighbors, gossip.fresh)
        self._status.restoring = snapshots.exchange.sentence
        services = NodeServices(
            network_id=self._network_id,
            genesis=self._files.genesis_bytes,
            core=core,
            reads=reads,
            shelf=shelf,
            status=self._status,
            metrics=self._metrics,
            clock=self._clock,
            search=self._search,
        )
        api = Api(services, router(), settings.api, self._metrics.on_request)
        services.waiters = api.waiters
        door = self._door = ClientDoor(api, settings.api, self._files.directory.path)
        core.subscribe(services)
        core.subscribe(NewVersions(core, replication))
        if measurement is not None:
            core.subscribe(measurement)
            measurement.start(loop, peers.statistics, lambda: core.engine_status().view)
        self._metrics.add(self._status.readings)
        self._metrics.add(lambda: self._own_readings(replication))
        self._metrics.watch_loop(loop)
        await self._listen_to_peers(peers)
        self._links.start()
        core.start()
        self._spawn(keep_artifacts(core, replication))
        self._spawn(build_search(reads))
        self._mender.ask = core.records.ask
        self._start_scrubs(core, replication)
        self._spawn(self._watch_space())
        return {"api": await door.listen(), "p2p": peers.address, "node_id": str(peers.node_id)}

    def _open_measurement(self) -> Measurement | None:
        name = self._files.configuration.measurement.file
        return Measurement(self._files.directory.path / name) if name else None

    def _make_core(self, opening: Opening) -> NodeCore:
        files, measured = self._files, self._measurement
        return NodeCore(
            core_configuration(files.configuration),
            files.genesis,
            files.keys.node_id,
            files.keys.signing_key,
            opening=opening,
            ports=Ports(
                clock=self._clock,
                files=DiskFiles(files.directory.journal),
                jobs=self._jobs,
                links=self._links if measured is None else measured.links(self._links),
                executor=self._executor if measured is None else measured.executor(self._executor),
                verifier=self._verifier,
                workers=self._workers,
            ),
            on_fatal=self._on_fatal,
        )

    def _open_shelf(self, reads: LedgerReads) -> ArtifactShelf:
        try:
            store = ChunkStore(self._files.directory.artifacts, self._files.configuration.artifacts.capacity_bytes)
        except ChunkStoreError as error:
            raise DirectoryUnusable(error.message) from error
        self._chunks = store
        return ArtifactShelf(store, reads)

    def _make_replication(self, core: NodeCore, shelf: ArtifactShelf, reads: LedgerReads) -> Replication:
        files = self._files
        reporter = ValidatorReporter(core, self._clock, self._network_id, files.keys.signing_key)
        return Replication(
            node_id=files.keys.node_id,
            shelf=shelf,
            queries=reads,
            links=ChunkSending(self._links),
            reporter=reporter,
            spawn=self._spawn,
            fetches_in_flight_max=files.configuration.artifacts.fetches_in_flight_max,
            erasure=ArtifactErasure(shelf, reads, self._spawn, delay_s=files.configuration.artifacts.takedown_delay_s),
        )

    def _make_snapshots(self, core: NodeCore, post: LoopPost) -> SnapshotSide:
        files = self._files
        try:
            snapshots = self._snapshots = SnapshotSide(
                files.directory,
                files.configuration.snapshots,
                files.genesis,
                self._links,
                self._clock,
                post,
                self._on_fatal,
                self._on_fatal,
            )
        except StorageError as error:
            raise DirectoryUnusable(error.message) from error
        self._thread_stops.append(snapshots.stop)
        core.set_before_sync(snapshots.before_sync)
        self._metrics.add(snapshots.exchange.readings)
        return snapshots

    def _make_peers(
        self,
        core: NodeCore,
        replication: Replication,
        snapshots: SnapshotExchange,
        registered: Sequence[RegisteredPeer],
    ) -> PeerNetwork:
        files = self._files
        self._links.overrides = files.configuration.p2p.addresses
        self._links.node_id, self._links.seeds = files.keys.node_id, files.seeds
        handler = self._handler = PayloadHandler(core, replication, snapshots, self._links, self._on_fatal)
        peers = PeerNetwork(
            Identity(files.keys.tls_key_pem, files.keys.tls_certificate_der),
            self._network_id,
            self._links.entries(registered),
            split_address(self._listen),
            handler,
            self._spawn,
            LinkOptions(
                software_version=f"guildmark/{self._version}",
                limited_links_max=files.configuration.p2p.observer_links_max,
            ),
        )
        self._links.network = peers
        neighbors = self._links.neighbors = Neighbors(
            self._clock, self._links, files.keys.node_id, files.configuration.p2p.neighbors, draw_entropy
        )
        neighbors.on_registered(self._links.addressed(registered))
        self._join_gossip(core, registered)
        return peers

    def _join_gossip(self, core: NodeCore, registered: Sequence[RegisteredPeer]) -> None:
        files = self._files
        gossip = self._links.gossip = GossipHost(
            files.keys.node_id,
            self._clock,
            self._links,
            self._executor,
            self._verifier,
            self._workers,
            core.follower,
            gossip_configuration(files.configuration, votes=core.epochs.role in ("validator", "candidate")),
            random.Random(draw_entropy()),
        )
        gossip.on_registered(registered)
        core.use_gossip(lambda: gossip.fresh, gossip.spread)
        core.subscribe(gossip)
        self._metrics.add(lambda: gossip_readings(gossip))

    async def _listen_to_peers(self, peers: PeerNetwork) -> None:
        try:
            await peers.start()
        except OSError as error:
            raise AddressUnusable(f"p2p.listen: {self._listen}: {error.strerror or error}") from error

    def _start_scrubs(self, core: NodeCore, replication: Replication) -> None:
        period_s = self._files.configuration.storage.scrub_period_s
        self._scrubber = Scrubber(
            self._clock,
            self._links,
            self._executor,
            period_s,
            lambda: directory_bytes(self._files.directory.chain),
            core.check_vote_log,
        )
        self._scrubber.start()
        self._artifact_scrubber = ArtifactScrubber(self._chunks, period_s, replication.look_again)
        self._spawn(self._artifact_scrubber.run())

    async def _watch_space(self) -> None:
        while True:
            await asyncio.sleep(POLL_PERIOD_S)
            was = self.space.refusal
            self.space.poll()
            if bool(was) != bool(self.space.refusal):
                log.warning("the disk's free space", bytes=self.space.free_bytes, refusal=self.space.refusal or None)

    # --- stop

    async def stop(self) -> None:
        """End every part that runs. Safe to call whatever `start` had reached."""
        self._stop_deciding()
        if self._door is not None:
            await self._door.stop()
        self._metrics.stop()
        for task in list(self._tasks):
            task.cancel()
        if self._links.network is not None:
            await self._links.network.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._measurement is not None:
            self._measurement.stop()
        for stop in [*(self._ledger.stops if self._ledger is not None else ()), *self._thread_stops]:
            await asyncio.to_thread(stop)
        if self._ledger is not None:
            self._ledger.close()

    def _stop_deciding(self) -> None:
        if self._status is not None:
            self._status.stopping = True
        if self._core is not None:
            self._core.stop()
        if self._scrubber is not None:
            self._scrubber.stop()
        self._links.stop()
        if self._snapshots is not None:
            self._snapshots.exchange.stop()

    # --- common

    def _on_fatal(self, error: BaseException) -> None:
        """Vote no more, then end."""
        if self._core is not None:
            self._core.stop()
        self._fatal(error)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of the node's own; one that fails ends the node."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fatal(error)

    def _own_readings(self, replication: Replication) -> Iterator[Reading]:
        yield from damage_readings(self._mender, self._scrubber, self._artifact_scrubber)
        yield Reading("guildmark_executor_queue", "Requests waiting for the ledger", self._executor.waiting)
        yield Reading(
            "guildmark_verifier_queue", "Transactions whose signatures wait to be checked", self._verifier.waiting
        )
        yield Reading("guildmark_searches", "Searches under way or waiting", self._search.waiting)
        yield from replication_readings(replication)
        dropped = self._handler.observer_payloads_dropped
        about = "Payloads of observers on channels of validators"
        yield Reading("guildmark_p2p_observer_payloads_dropped", about, dropped, kind="counter")
        if self._door is not None:
            yield from self._door.readings()


def _version() -> str:
    try:
        return importlib.metadata.version("guildmark")
    except importlib.metadata.PackageNotFoundError:
        return "0"
