"""The composition root: every part of a node, made and joined in one place."""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import random
import ssl
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

import msgspec
import structlog

from artifacts.chunk_store import ChunkStore
from artifacts.errors import ChunkStoreError
from ledger.chain import Chain
from ledger.errors import StorageError
from ledger.genesis import Genesis, network_id
from ledger.search.index import SearchIndex
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.store import LevelStore
from node.artifact_erasure import ArtifactErasure
from node.artifact_scrubber import ArtifactScrubber
from node.artifact_shelf import ArtifactShelf
from node.chain_service import ChainService, Head, Opening
from node.configuration import Configuration, ledger_retention, split_address
from node.core import NodeCore
from node.core_settings import core_configuration, gossip_configuration
from node.data_directory import DataDirectory
from node.disk_space import POLL_PERIOD_S, DiskSpace, directory_bytes
from node.event_loop import DiskFiles, LoopClock, LoopPost, OnFatal, ThreadJobs
from node.evidence_judge import ConsensusJudge
from node.executor import ThreadExecutor
from node.executor_process import LedgerProcess, RemoteLedger
from node.failures import AddressUnusable, ConfigurationError, DirectoryUnusable, KeyFileError
from node.gossip_host import GossipHost
from node.gossip_readings import gossip_readings
from node.http.application import Api
from node.http.connections import Server
from node.http.services import GossipSummary
from node.http.table import router
from node.keys import NodeKeys
from node.links import ChunkSending, PayloadHandler, PeerLinks
from node.measurement import Measurement
from node.mender import Mender
from node.metrics import NodeMetrics, Reading
from node.neighbors import Neighbors
from node.ports import Ports, RegisteredPeer, draw_entropy
from node.replication import Replication
from node.replication_readings import replication_readings
from node.scrubber import Scrubber
from node.search_building import build_search
from node.search_desk import SearchDesk
from node.services import LedgerReads, NodeServices
from node.snapshot_assembly import SnapshotSide, finish_switch
from node.snapshot_exchange import SnapshotExchange
from node.snapshot_taking import SnapshotTaker
from node.status import StatusReporter
from node.validator_account import ValidatorReporter
from node.verifier import ThreadVerifier
from node.workers import ProcessWorkers
from p2p.identity import Identity
from p2p.options import LinkOptions
from p2p.peers import PeerNetwork
from primitives.identifiers import key_to_text

API_STOP_TIMEOUT_S: Final = 2.0
"""How long answers under way may take when the node stops."""
LISTEN_BACKLOG: Final = 512
ROLE_PERIOD_S: Final = 1.0
"""How often a node that keeps no artifacts looks whether it has become one that does."""

log: Final = structlog.get_logger("node.process")


class NodeFiles(msgspec.Struct, frozen=True):
    """What was read at the start."""

    directory: DataDirectory
    configuration: Configuration
    keys: NodeKeys
    genesis: Genesis
    genesis_bytes: bytes
    seeds: tuple[RegisteredPeer, ...] = ()


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
        """Ends the helper threads, the ledger's first: what it answers last may still be written down."""
        self._store: LevelStore | None = None
        self._snapshots: SnapshotSide | None = None
        self._index: SearchIndex | None = None
        self._core: NodeCore | None = None
        self._status: StatusReporter | None = None
        self._api: Api | None = None
        self._api_server: Server | None = None
        self._listener: asyncio.Server | None = None
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
        self._executor = self._make_executor(post)
        opening, registered = await self._open()
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
        api = self._api = Api(services, router(), settings.api, self._metrics.on_request)
        services.waiters = api.waiters
        core.subscribe(services)
        core.subscribe(_NewVersions(core, replication))
        if measurement is not None:
            core.subscribe(measurement)
            measurement.start(loop, peers.statistics, lambda: core.engine_status().view)
        self._metrics.add(self._status.readings)
        self._metrics.add(lambda: self._own_readings(replication))
        self._metrics.watch_loop(loop)
        await self._listen_to_peers(peers)
        self._links.start()
        core.start()
        self._spawn(_keep_artifacts(core, replication))
        self._spawn(build_search(reads))
        self._mender.ask = core.records.ask
        self._start_scrubs(core, replication)
        self._spawn(self._watch_space())
        return {"api": await self._listen_to_clients(api), "p2p": peers.address, "node_id": str(peers.node_id)}

    def _open_measurement(self) -> Measurement | None:
        name = self._files.configuration.measurement.file
        return Measurement(self._files.directory.path / name) if name else None

    def _make_executor(self, post: LoopPost) -> ThreadExecutor:
        if self._files.configuration.executor.mode == "thread":
            executor = ThreadExecutor(self._open_ledger, post, self._on_fatal, self._mender)
            self._thread_stops.append(executor.stop)
            return executor
        process = LedgerProcess(post, self._on_fatal)

        def open_ledger() -> RemoteLedger:
            directory = self._files.directory
            settings, retention = self._files.configuration.snapshots, ledger_retention(self._files.configuration)
            snapshots = (str(directory.snapshots), settings.keep, settings.every_blocks)
            return process.open(directory.chain, self._files.genesis_bytes, directory.search, retention, snapshots)

        executor = ThreadExecutor(open_ledger, post, self._on_fatal, self._mender)
        self._thread_stops += [executor.stop, process.stop]
        return executor

    def _open_ledger(self) -> ChainService:
        """Runs in the executor's thread."""
        self._store = LevelStore(self._files.directory.chain)
        index = self._index = SearchIndex(self._files.directory.search, log.warning)
        chain = Chain.open(
            self._store,
            self._files.genesis,
            judge=ConsensusJudge(),
            follower=index,
            retention=ledger_retention(self._files.configuration),
        )
        settings = self._files.configuration.snapshots
        shelf = SnapshotShelf(self._files.directory.snapshots, settings.keep)
        taker = SnapshotTaker(chain, self._store, shelf, settings.every_blocks, report=log.warning)
        self._thread_stops.append(taker.stop)
        service = ChainService(chain, taker)
        service.index = index
        return service

    async def _open(self) -> tuple[Opening, Sequence[RegisteredPeer]]:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[Head] = loop.create_future()

        def answer(head: Any, error: BaseException | None) -> None:
            if not opened.done():
                opened.set_result(head) if error is None else opened.set_exception(error)

        self._executor.start(answer)
        await opened
        reads = LedgerReads(self._executor)
        opening = await reads.ask("opening")
        return opening, await reads.ask("peers", opening.membership.epoch)

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

    async def _listen_to_clients(self, api: Api) -> str:
        settings = self._files.configuration.api
        host, port = split_address(settings.listen)
        context = self._tls_context()
        server = self._api_server = api.server()
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                server, host, port, ssl=context, backlog=LISTEN_BACKLOG
            )
        except OSError as error:
            raise AddressUnusable(f"api.listen: {settings.listen}: {error.strerror or error}") from error
        bound = self._listener.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        return f"{'http' if context is None else 'https'}://{shown}:{bound[1]}"

    def _tls_context(self) -> ssl.SSLContext | None:
        settings = self._files.configuration.api
        if not settings.tls_certificate:
            return None
        directory = self._files.directory.path
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(directory / settings.tls_certificate, directory / settings.tls_key)
        except OSError as error:
            raise ConfigurationError(
                f"api.tls_certificate and api.tls_key ({settings.tls_certificate}, {settings.tls_key}): {error}"
            ) from error
        return context

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
        await self._stop_api()
        self._metrics.stop()
        for task in list(self._tasks):
            task.cancel()
        if self._links.network is not None:
            await self._links.network.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._measurement is not None:
            self._measurement.stop()
        for stop in self._thread_stops:
            await asyncio.to_thread(stop)
        if self._index is not None:
            self._index.close()
        if self._store is not None:
            self._store.close()

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

    async def _stop_api(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._api is not None:
            self._api.waiters.close()
        if self._api_server is not None:
            self._api_server.pre_shutdown()
            await self._api_server.shutdown(API_STOP_TIMEOUT_S)

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

    def _damage_readings(self) -> Iterator[Reading]:
        mender, scrubber = self._mender, self._scrubber
        yield Reading("guildmark_damage_found", "Reads of the ledger that met damage", mender.found, kind="counter")
        yield Reading("guildmark_damage_mended", "Records of the ledger put back", mender.mended, kind="counter")
        if (artifacts := self._artifact_scrubber) is not None:
            yield Reading(
                "guildmark_artifact_scrub_blocks", "Artifact blocks read by the scrub", artifacts.blocks, kind="counter"
            )
            yield Reading(
                "guildmark_artifact_blocks_rotten", "Blocks that had rotted", artifacts.damaged, kind="counter"
            )
        if scrubber is not None:
            position = min(1.0, scrubber.pass_bytes / max(1, scrubber.total_bytes))
            yield Reading("guildmark_scrub_position", "How far the scrub is, of 1", position)
            yield Reading("guildmark_scrub_bytes", "Bytes read by the scrub", scrubber.read_bytes, kind="counter")
            yield Reading("guildmark_scrub_passes", "Times everything was read", scrubber.passes, kind="counter")

    def _own_readings(self, replication: Replication) -> Iterator[Reading]:
        yield from self._damage_readings()
        yield Reading("guildmark_executor_queue", "Requests waiting for the ledger", self._executor.waiting)
        yield Reading(
            "guildmark_verifier_queue", "Transactions whose signatures wait to be checked", self._verifier.waiting
        )
        yield Reading("guildmark_searches", "Searches under way or waiting", self._search.waiting)
        yield from replication_readings(replication)
        dropped = self._handler.observer_payloads_dropped
        about = "Payloads of observers on channels of validators"
        yield Reading("guildmark_p2p_observer_payloads_dropped", about, dropped, kind="counter")
        if self._api is not None and self._api_server is not None:
            server = self._api_server
            yield Reading("guildmark_http_connections", "Open connections of clients", server.open_connections)
            refused = server.connections_refused
            yield Reading("guildmark_http_connections_refused", "Closed at once", refused, kind="counter")
            yield Reading("guildmark_http_waiting", "Clients that wait for news", self._api.waiters.waiting)


class _NewVersions:
    """Tells replication of the versions that a block registered."""

    def __init__(self, core: NodeCore, replication: Replication) -> None:
        self._core = core
        self._replication = replication

    def on_executed(self, block: Any) -> None:
        if block.artifact_changes and self._core.epochs.keeps_artifacts:
            self._replication.on_versions(block.artifact_changes)

    def on_certified(self, height: int, blocks: Any) -> None:
        """Replication follows execution."""

    def on_dropped(self, identifiers: Any) -> None:
        """No transaction of replication's is waited for by id."""

    def on_evidence(self, evidence: Any) -> None:
        """Artifacts are fetched by their names; who served a wrong one is noted elsewhere."""


async def _keep_artifacts(core: NodeCore, replication: Replication) -> None:
    """Replicate, from when on the ledger knows this node as a validator or as one on the way."""
    while not core.epochs.keeps_artifacts:  # noqa: ASYNC110 - nothing announces it, and a second is soon enough
        await asyncio.sleep(ROLE_PERIOD_S)
    await replication.run()


def own_address(genesis: Genesis, keys: NodeKeys) -> str:
    """Return where the genesis file says that this node listens.

    Raises:
        ConfigurationError: it does not.
    """
    for validator in genesis.validators:
        if validator.node_id == keys.node_id:
            return validator.address
    raise ConfigurationError(
        f"genesis.json names no validator {keys.node_id}, which is the node of these keys; a node that joins later "
        "needs p2p.listen in node.toml"
    )


def check_own_entry(genesis: Genesis, keys: NodeKeys) -> None:
    """Refuse to begin the ledger with keys that the genesis contradicts; later the ledger says who has which.

    Raises:
        KeyFileError: the genesis names other keys than the directory holds.
    """
    for validator in genesis.validators:
        if validator.node_id != keys.node_id:
            continue
        if validator.signing_key != key_to_text(keys.signing_key.public_key):
            raise KeyFileError(f"keys/signing.key is not the key that the genesis file names for {keys.node_id}")
        if base64.b64decode(validator.tls_certificate) != keys.tls_certificate_der:
            raise KeyFileError(f"keys/tls.crt is not the certificate that the genesis file names for {keys.node_id}")


def _version() -> str:
    try:
        return importlib.metadata.version("guildmark")
    except importlib.metadata.PackageNotFoundError:
        return "0"
