"""The deciding parts of a node, wired: engine, vote log, pool, batcher, executor, verifier, synchronizer.

No asyncio here: time, files and links are ports. The process gives real ones, the simulator virtual ones, and both run
this code.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from consensus.engine import (
    BatchClosed,
    BatchesReleased,
    BlockExecuted,
    Certified,
    Diverged,
    EngineStatus,
    EvidenceFound,
    Execute,
    MessageReceived,
    PeerConnected,
    ReplicaId,
    Synchronized,
    SyncNeeded,
)
from consensus.errors import ConsensusError
from consensus.messages import Message, decode_message, encode_message
from consensus.pbft.configuration import Configuration as EngineConfiguration
from consensus.pbft.replica import Replica
from consensus.validators import ValidatorSet
from ledger.chain import ExecutedBlock
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import Genesis, network_id
from node.batcher import Batcher, BatchLimits
from node.chain_service import BlockResult, Head, Verdict
from node.consensus_driver import ConsensusDriver
from node.failures import NodeFailure
from node.journal import Journal
from node.pool import Entry, Pool, PoolLimits
from node.ports import Cancelable, Clock, ExecutorPort, Files, Jobs, Links, VerifierPort
from node.synchronizer import Synchronizer
from node.verifier import EngineVerifier, Verdicts
from node.wire import BlocksRequest, CodecError, channel_of, decode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate
from primitives.identifiers import key_from_text
from primitives.keys import SigningKey

UNCERTIFIED_BLOCKS_MAX: Final = 8_192
"""Executed blocks whose certificate is awaited; consensus keeps far fewer, its window."""
DEADLINE_STAGGER_MS: Final = 300
"""Validators offer the block that a due deadline needs one after the other, so that one batch usually does."""


class CoreConfiguration(msgspec.Struct, frozen=True):
    """Local settings of the deciding parts; `node.configuration` has the ranges."""

    engine: EngineConfiguration = EngineConfiguration()
    batches: BatchLimits = BatchLimits()
    pool: PoolLimits = PoolLimits()


class Admission(msgspec.Struct, frozen=True):
    """What became of one submitted transaction."""

    id: bytes
    """Empty when the bytes are no transaction."""
    code: str = ""
    """Empty: it was taken, or is known."""
    message: str = ""
    known: bool = False
    """It was in the pool, or had executed."""


class Listener(Protocol):
    """Who wants to hear of blocks. Called on the deciding thread; must not block or raise."""

    def on_executed(self, block: ExecutedBlock) -> None: ...

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        """Everything up to `height` is final; `blocks` are those newly so that this node executed since it started."""
        ...

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """These left the pool without a receipt: expired or marked."""
        ...


class CoreStatus(msgspec.Struct, frozen=True):
    """The node's condition in values and words."""

    height: int
    block_hash: bytes
    state_root: bytes
    block_time_ms: int
    clock_offset_ms: int
    certified_height: int
    pool_transactions: int
    pool_bytes: int
    sync_target: int | None
    diverged: bool
    engine: EngineStatus
    why: tuple[str, ...]
    """Why nothing is committed, where something should be; empty otherwise."""


class NodeCore:
    """One node's decisions. All methods belong to the deciding thread."""

    def __init__(
        self,
        configuration: CoreConfiguration,
        genesis: Genesis,
        node_id: str,
        signing_key: SigningKey | None,
        *,
        head: Head,
        stable: FinalityCertificate | None,
        clock: Clock,
        files: Files,
        jobs: Jobs,
        links: Links,
        executor: ExecutorPort,
        verifier: VerifierPort,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Build a node over an opened ledger.

        Args:
            head: where the ledger stands.
            stable: the certificate of the highest certified block; None when that is the genesis.

        Raises:
            NodeFailure: the vote log is damaged, or missing beside a ledger that has blocks.
        """
        self._configuration = configuration
        self._clock = clock
        self._links = links
        self._executor = executor
        self._verifier = verifier
        self._verdicts = Verdicts()
        self._on_fatal = on_fatal
        self._head = head
        self._listeners: list[Listener] = []
        self._uncertified: deque[ExecutedBlock] = deque(maxlen=UNCERTIFIED_BLOCKS_MAX)
        self._certified_height = 0 if stable is None else stable.height
        self._durable_certified = self._certified_height
        self._diverged = False
        self._stopped = False
        self._deadline_timer: Cancelable | None = None
        self._replicas = [validator.node_id for validator in genesis.validators]
        self._index = {node: index for index, node in enumerate(self._replicas)}
        self._replica_id = self._index.get(node_id) if signing_key is not None else None
        self._journal = Journal(files, jobs, on_fatal)
        engine = self._build_engine(genesis, signing_key, head, stable)
        self._driver = ConsensusDriver(engine, self._journal, clock, self._transmit, self)
        self.pool = Pool(configuration.pool)
        self._batcher = Batcher(self.pool, configuration.batches, self._close_batch)
        self.synchronizer = Synchronizer(
            clock,
            links,
            executor,
            self._on_synchronized_blocks,
            self._on_synchronized,
            lambda: self._head.header.height,
        )
        self.refused_payloads: OrderedDict[str, int] = OrderedDict()
        """Payloads that were no messages, by peer."""

    def _build_engine(
        self, genesis: Genesis, signing_key: SigningKey | None, head: Head, stable: FinalityCertificate | None
    ) -> Replica:
        validators = ValidatorSet(
            network_id(genesis), 0, tuple(key_from_text(validator.signing_key) for validator in genesis.validators)
        )
        parameters = genesis.parameters
        configuration = msgspec.structs.replace(
            self._configuration.engine,
            window=parameters.window,
            proposal_bytes_max=parameters.proposal_bytes_max,
            batches_per_proposal_max=parameters.batches_per_proposal_max,
        )
        if self._replica_id is not None and head.header.height and not self._journal.existed:
            raise NodeFailure(
                f"the ledger has {head.header.height} blocks, but there is no vote log: this validator cannot know how "
                "it voted; restore the log, or start without the signing key to follow only"
            )
        return Replica(
            configuration,
            validators,
            self._replica_id,
            signing_key if self._replica_id is not None else None,
            EngineVerifier(),
            records=self._journal.records,
            last_executed=head.header.height,
            last_block_hash=head.block_hash,
            stable=stable,
        )

    # --- life

    def start(self) -> None:
        self._driver.start()
        self._plan_deadline(None)

    def stop(self) -> None:
        self._stopped = True
        self._driver.stop()
        self.synchronizer.stop()
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    # --- links

    def on_peer_connected(self, node_id: str) -> None:
        replica = self._index.get(node_id)
        if replica is not None:
            self._driver.handle(PeerConnected(ReplicaId(replica)))

    def on_peer_disconnected(self, node_id: str) -> None:
        """Nothing depends on a link: what is lost is sent again after the next Status."""

    def on_payload(self, node_id: str, channel: Channel, payload: bytes) -> None:
        """Take what a peer sent on one of our channels."""
        if self._stopped:
            return
        try:
            if channel is Channel.SYNC:
                message = decode_sync(payload)
                if isinstance(message, BlocksRequest):
                    self.synchronizer.serve(node_id, message)
                else:
                    self.synchronizer.on_answer(node_id, message)
                return
            replica = self._index.get(node_id)
            received = MessageReceived(decode_message(payload), None if replica is None else ReplicaId(replica))
        except (CodecError, ConsensusError) as error:
            self.refused_payloads[node_id] = self.refused_payloads.get(node_id, 0) + 1
            self._links.misbehaved(node_id, f"malformed payload on {channel.name.lower()}: {error}"[:200])
            return
        self._driver.handle(received)

    def _transmit(self, message: Message, to: tuple[int, ...] | None) -> None:
        payload, channel = encode_message(message), channel_of(message)
        replicas = range(len(self._replicas)) if to is None else to
        for replica in replicas:
            if replica != self._replica_id:
                self._links.send(self._replicas[replica], channel, payload)

    # --- transactions

    def submit(self, transactions: Sequence[bytes], done: Callable[[list[Admission]], None]) -> None:
        """Judge, verify and take transactions; `done` hears what became of each, in order."""
        data = list(transactions)

        def judged(verdicts: Any, error: BaseException | None) -> None:
            if error is not None:
                code, text = getattr(error, "code", "executor.failed"), str(error)
                done([Admission(b"", code, text) for _ in data])
                return
            to_verify = [
                transaction
                for transaction, verdict in zip(data, verdicts, strict=True)
                if not verdict.code and not verdict.known and verdict.id not in self.pool
            ]
            if not to_verify:
                done(self._take(data, verdicts, {}))
                return
            self._verifier.verify(
                to_verify,
                lambda found: done(self._take(data, verdicts, dict(zip(to_verify, found, strict=True)))),
            )

        self._executor.call("admit", (data, self._clock.now_ms()), judged)

    def _take(
        self, data: Sequence[bytes], verdicts: Sequence[Verdict], signatures: dict[bytes, bool]
    ) -> list[Admission]:
        admissions = []
        for transaction, verdict in zip(data, verdicts, strict=True):
            admissions.append(self._take_one(transaction, verdict, signatures))
        self._batcher.poll()
        return admissions

    def _take_one(self, transaction: bytes, verdict: Verdict, signatures: dict[bytes, bool]) -> Admission:
        if verdict.code:
            return Admission(verdict.id, verdict.code, verdict.message)
        if verdict.known or verdict.id in self.pool:
            return Admission(verdict.id, known=True)
        if not signatures.get(transaction, False):
            return Admission(verdict.id, "transaction.bad_signature", "the signature does not verify")
        self._verdicts.remember(transaction)
        code = self.pool.add(verdict.id, Entry(transaction, verdict.sender, verdict.expires_at_ms))
        if code:
            return Admission(verdict.id, code, "too many transactions wait; try again later")
        return Admission(verdict.id)

    def is_pending(self, identifier: bytes) -> bool:
        """Whether a transaction waits here to be executed."""
        return identifier in self.pool

    def _close_batch(self, items: tuple[bytes, ...]) -> None:
        self._driver.handle(BatchClosed(items))

    # --- effects of the engine

    def on_execute(self, effect: Execute) -> None:
        proposal = DecidedProposal(effect.proposal.proposer, effect.proposal.timestamp_ms)
        batches = [DecidedBatch(batch.author, batch.number, batch.items) for batch in effect.batches]
        known = self._verdicts.known([item for batch in effect.batches for item in batch.items])

        def executed(result: Any, error: BaseException | None) -> None:
            if error is not None:
                self._on_fatal(error)
            elif result is not None and not self._stopped:
                self._executed(result)
                self._driver.handle(BlockExecuted(result.block.header.height, result.block.block_hash))
                self._batcher.poll()

        self._executor.call("execute", (effect.sequence, proposal, batches, known), executed)

    def on_certified(self, effect: Certified) -> None:
        self._keep_certificate(effect.certificate)

    def on_sync_needed(self, effect: SyncNeeded) -> None:
        self.synchronizer.need(effect.certificate, [self._replicas[holder] for holder in effect.holders])

    def on_diverged(self, effect: Diverged) -> None:
        self._diverged = True
        self._on_fatal(
            NodeFailure(
                f"block {effect.certificate.height} was certified as {effect.certificate.block_hash.hex()}, but this "
                f"node computed {effect.own_block_hash.hex()}: its state has diverged. Move its data directory away "
                "(keep the keys) and let it synchronize, and keep the old one for examination"
            )
        )

    def on_evidence(self, effect: EvidenceFound) -> None:
        for listener in self._listeners:
            hear = getattr(listener, "on_evidence", None)
            if hear is not None:
                hear(effect.evidence)

    def on_released(self, effect: BatchesReleased) -> None:
        for start in range(0, len(effect.items), 1_000):
            self.submit(effect.items[start : start + 1_000], lambda _: None)

    # --- blocks

    def _executed(self, result: BlockResult) -> None:
        block = result.block
        self._head = Head(block.header, block.block_hash, self._certified_height, result.clock_offset_ms)
        dropped: list[bytes] = []
        for outcome in block.outcomes:
            if outcome.id is not None:
                if outcome.receipt is None and outcome.id in self.pool:
                    dropped.append(outcome.id)
                self.pool.remove(outcome.id)
        dropped += self.pool.expire(block.header.timestamp_ms)
        self._uncertified.append(block)
        for listener in self._listeners:
            listener.on_executed(block)
            if dropped:
                listener.on_dropped(dropped)
        self._plan_deadline(block.next_deadline_ms)

    def _keep_certificate(self, certificate: FinalityCertificate) -> None:
        def kept(height: Any, error: BaseException | None) -> None:
            if error is not None:
                self._on_fatal(error)
                return
            self._durable_certified = max(self._durable_certified, int(height))
            self._certify(certificate.height)
            self._maybe_rewrite_log()

        self._executor.call("add_certificate", (certificate,), kept)

    def _certify(self, height: int) -> None:
        """Tell everyone that blocks up to `height` are final."""
        if height <= self._certified_height:
            return
        self._certified_height = height
        final = []
        while self._uncertified and self._uncertified[0].header.height <= height:
            final.append(self._uncertified.popleft())
        for listener in self._listeners:
            listener.on_certified(height, final)

    def _on_synchronized_blocks(self, results: Sequence[BlockResult]) -> None:
        for result in results:
            self._executed(result)

    def _on_synchronized(self, event: Synchronized) -> None:
        self._durable_certified = max(self._durable_certified, event.certificate.height)
        self._certify(event.certificate.height)
        self._driver.handle(event)
        self._batcher.poll()

    def _maybe_rewrite_log(self) -> None:
        """Truncate the vote log once what it promised below the stable checkpoint is durable in the ledger."""
        stable = self._driver.engine.status().stable_checkpoint if self._journal.wants_rewrite else -1
        if 0 <= stable <= self._durable_certified:
            self._driver.rewrite_log(lambda: None)

    # --- deadlines

    def _plan_deadline(self, next_deadline_ms: int | None) -> None:
        """When the network is idle, nobody proposes: a due deadline makes a validator offer an empty batch."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None
        if next_deadline_ms is None or self._replica_id is None or self._stopped:
            return
        wait_ms = next_deadline_ms - (self._clock.now_ms() + self._head.clock_offset_ms)
        stagger_ms = DEADLINE_STAGGER_MS * self._replica_id

        def due() -> None:
            self._deadline_timer = None
            self._driver.handle(BatchClosed(()))
            self._deadline_timer = self._clock.call_later(5_000, lambda: self._plan_deadline(next_deadline_ms))

        self._deadline_timer = self._clock.call_later(max(0, wait_ms) + 1 + stagger_ms, due)

    # --- status

    @property
    def head(self) -> Head:
        return self._head

    @property
    def certified_height(self) -> int:
        return self._certified_height

    def engine_status(self) -> EngineStatus:
        return self._driver.engine.status()

    def status(self) -> CoreStatus:
        engine = self.engine_status()
        header = self._head.header
        return CoreStatus(
            height=header.height,
            block_hash=self._head.block_hash,
            state_root=header.state_root,
            block_time_ms=header.timestamp_ms,
            clock_offset_ms=self._head.clock_offset_ms,
            certified_height=self._certified_height,
            pool_transactions=len(self.pool),
            pool_bytes=self.pool.size_bytes,
            sync_target=self.synchronizer.target_height,
            diverged=self._diverged,
            engine=engine,
            why=tuple(self._why(engine)),
        )

    def _why(self, engine: EngineStatus) -> list[str]:
        """Say in words what the node waits for."""
        sentences = []
        connected = set(self._links.connected())
        missing = [
            f"{index} ({node})"
            for index, node in enumerate(self._replicas)
            if index != self._replica_id and node not in connected
        ]
        if missing:
            sentences.append(f"not connected to replica {', '.join(missing)}")
        if self.synchronizer.target_height is not None:
            sentences.append(f"synchronizing to height {self.synchronizer.target_height}")
        if engine.silent_because:
            sentences.append(f"this replica is silent: {engine.silent_because}")
        sentences += engine.missing
        return sentences
