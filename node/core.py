"""The deciding parts of a node, wired: engine, vote log, pool, batcher, executor, verifier, synchronizer.

No asyncio here: time, files and links are ports. The process gives real ones, the simulator virtual ones, and both run
this code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

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
    Outdated,
    PeerConnected,
    ReplicaId,
    Synchronized,
    SyncNeeded,
)
from consensus.errors import ConsensusError
from consensus.messages import Message, decode_message, encode_message
from ledger.errors import InvalidBlock
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import Genesis
from node.announcements import Announcements
from node.chain_service import BlockResult, Head, KnownBlock
from node.consensus_driver import ConsensusDriver
from node.core_values import CoreConfiguration, CoreStatus, Listener, explain
from node.deadline_offers import DeadlineOffers
from node.engine_setup import build_engine, log_secret
from node.failures import NodeFailure
from node.intake import Admission, Intake
from node.journal import Journal
from node.pool import Pool
from node.ports import Ports
from node.synchronizer import Synchronizer
from node.wire import BlocksRequest, CodecError, channel_of, decode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate
from primitives.keys import SigningKey

DIVERGED_ADVICE: Final = "Keep its data directory for examination, and leave it stopped: the others go on without it"

__all__ = ["Admission", "CoreConfiguration", "CoreStatus", "Listener", "NodeCore"]


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
        ports: Ports,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Build a node over an opened ledger.

        Args:
            head: where the ledger stands.
            stable: the certificate of the highest certified block; None when that is the genesis.

        Raises:
            NodeFailure: the vote log is damaged, or missing beside a ledger that has blocks.
        """
        self._links = ports.links
        self._executor = ports.executor
        self._on_fatal = on_fatal
        self._head = head
        self._announcements = Announcements(0 if stable is None else stable.height)
        self._diverged = False
        self._stopped = False
        self._replicas = [validator.node_id for validator in genesis.validators]
        self._index = {node: index for index, node in enumerate(self._replicas)}
        self._replica_id = self._index.get(node_id) if signing_key is not None else None
        first_life = head.header.height == 0 or self._replica_id is None
        journal = Journal(ports.files, ports.jobs, on_fatal, log_secret(signing_key), first_life)
        engine = build_engine(configuration.engine, genesis, self._replica_id, signing_key, journal, head, stable)
        self._driver = ConsensusDriver(engine, journal, ports.clock, self._transmit, self)
        self._intake = Intake(
            ports.clock,
            ports.executor,
            ports.verifier,
            configuration.pool,
            configuration.batches,
            lambda items: self._driver.handle(BatchClosed(items)),
        )
        self._deadlines = DeadlineOffers(ports.clock, self._replica_id, lambda: self._driver.handle(BatchClosed(())))
        self.synchronizer = Synchronizer(
            ports.clock,
            ports.links,
            ports.executor,
            self._on_synchronized_blocks,
            self._on_synchronized,
            self._on_sync_diverged,
            lambda: self._head.header.height,
        )
        self.refused_payloads: dict[str, int] = {}
        """Payloads that were no messages, by peer; only registered nodes are connected, so there are as many."""

    # --- life

    def start(self) -> None:
        self._driver.start()
        self._deadlines.plan(self._head.next_deadline_ms, self._head.clock_offset_ms)

    def stop(self) -> None:
        self._stopped = True
        self._driver.stop()
        self.synchronizer.stop()
        self._intake.stop()
        self._deadlines.stop()

    def subscribe(self, listener: Listener) -> None:
        self._announcements.subscribe(listener)

    # --- links

    def on_peer_connected(self, node_id: str) -> None:
        replica = self._index.get(node_id)
        if replica is not None:
            self._driver.handle(PeerConnected(ReplicaId(replica)))

    def on_peer_disconnected(self, node_id: str) -> None:
        """Consensus depends on no link: what is lost is sent again after the next Status."""
        self.synchronizer.on_peer_disconnected(node_id)

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
            received = decode_message(payload)
            if channel_of(received) is not channel:
                raise CodecError(f"{type(received).__name__} does not travel here")
        except (CodecError, ConsensusError) as error:
            self.refused_payloads[node_id] = self.refused_payloads.get(node_id, 0) + 1
            self._links.misbehaved(node_id, f"malformed payload on {channel.name.lower()}: {error}"[:200])
            return
        replica = self._index.get(node_id)
        self._driver.handle(MessageReceived(received, None if replica is None else ReplicaId(replica)))

    def _transmit(self, message: Message, to: tuple[int, ...] | None) -> None:
        payload, channel = encode_message(message), channel_of(message)
        replicas = range(len(self._replicas)) if to is None else to
        for replica in replicas:
            if replica != self._replica_id:
                self._links.send(self._replicas[replica], channel, payload)

    # --- transactions

    def submit(self, transactions: Sequence[bytes], done: Callable[[list[Admission]], None]) -> None:
        """Judge, verify and take transactions; `done` hears what became of each, in order."""
        self._intake.submit(transactions, done)

    def is_pending(self, identifier: bytes) -> bool:
        """Whether a transaction waits here to be executed."""
        return identifier in self._intake.pool

    # --- effects of the engine

    def on_execute(self, effect: Execute) -> None:
        proposal = DecidedProposal(effect.proposal.proposer, effect.proposal.timestamp_ms)
        batches = [DecidedBatch(batch.author, batch.number, batch.items) for batch in effect.batches]
        known = self._intake.known_signatures(effect.batches)

        def executed(result: Any, error: BaseException | None) -> None:
            if self._stopped:
                return
            if error is not None:
                self._on_fatal(error)
                return
            if isinstance(result, KnownBlock):
                # Synchronization was faster, and may not have reached the certificate that it is told with.
                self._driver.handle(BlockExecuted(result.height, result.block_hash))
                return
            self._executed(result)
            self._driver.handle(BlockExecuted(result.block.header.height, result.block.block_hash))
            self._intake.poll()

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
                f"node computed {effect.own_block_hash.hex()}: its state has diverged. {DIVERGED_ADVICE}"
            )
        )

    def _on_sync_diverged(self, refusal: InvalidBlock) -> None:
        self._diverged = True
        self._on_fatal(NodeFailure(f"this node's state has diverged: {refusal.message}. {DIVERGED_ADVICE}"))

    def on_outdated(self, effect: Outdated) -> None:
        """The engine is silent for the rest of its epoch; its status says why."""

    def on_evidence(self, effect: EvidenceFound) -> None:
        self._announcements.evidence(effect.evidence)

    def on_released(self, effect: BatchesReleased) -> None:
        self._intake.on_released(effect.items)

    # --- blocks

    def _executed(self, result: BlockResult) -> None:
        block = result.block
        self._head = Head(
            block.header, block.block_hash, self.certified_height, result.clock_offset_ms, block.next_deadline_ms
        )
        self._announcements.executed(block, self._intake.on_executed(block))
        self._deadlines.plan(block.next_deadline_ms, result.clock_offset_ms)

    def _keep_certificate(self, certificate: FinalityCertificate) -> None:
        durably = self._driver.wants_truncation  # else the sync of a later block is early enough

        def kept(height: Any, error: BaseException | None) -> None:
            if self._stopped:
                return
            if error is not None:
                self._on_fatal(error)
                return
            self._announcements.certified(certificate.height)
            if durably:
                self._driver.on_ledger_durable(int(height))

        self._executor.call("add_certificate", (certificate, durably), kept)

    def _on_synchronized_blocks(self, results: Sequence[BlockResult]) -> None:
        for result in results:
            self._executed(result)

    def _on_synchronized(self, event: Synchronized) -> None:
        self._announcements.certified(event.certificate.height)
        self._driver.handle(event)
        self._driver.on_ledger_durable(event.certificate.height)
        self._intake.poll()

    # --- status

    @property
    def pool(self) -> Pool:
        return self._intake.pool

    @property
    def head(self) -> Head:
        return self._head

    @property
    def certified_height(self) -> int:
        return self._announcements.certified_height

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
            certified_height=self.certified_height,
            pool_transactions=len(self.pool),
            pool_bytes=self.pool.size_bytes,
            sync_target=self.synchronizer.target_height,
            diverged=self._diverged,
            engine=engine,
            contradictions=dict(sorted(self._announcements.contradictions.items())),
            refused_payloads=sum(self.refused_payloads.values()),
            messages_dropped=self._driver.dropped_messages,
            why=tuple(explain(engine, self._replicas, self._links.connected(), self.synchronizer.target_height)),
        )
