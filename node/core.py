"""The deciding parts of a node, wired: engine, vote log, pool, batcher, executor, verifier, synchronizer.

No asyncio here: time, files and links are ports. The process gives real ones, the simulator virtual ones, and both run
this code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.engine import (
    BatchClosed,
    CertificateShown,
    EngineStatus,
    MessageReceived,
    PeerConnected,
    ReplicaId,
)
from consensus.errors import ConsensusError
from consensus.messages import Message, Status, decode_message, encode_message
from ledger.genesis import Genesis, network_id
from node.block_server import BlockServer
from node.chain_service import Head, Opening
from node.consensus_driver import ConsensusDriver
from node.core_values import CoreConfiguration, CoreStatus, Listener, explain
from node.duties import Duties
from node.engine_setup import EngineMaker, log_secret
from node.epoch_keeper import EpochKeeper
from node.heads import HeadExchange
from node.intake import Admission, Intake
from node.journal import Journal
from node.ledger_follower import LedgerFollower
from node.ledger_side import BeforeSync, LedgerSide
from node.pool import Pool
from node.ports import Cancelable, Ports
from node.record_exchange import RecordExchange
from node.sync_desk import SyncDesk
from node.synchronizer import Synchronizer
from node.wire import CodecError, channel_of, decode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate
from primitives.keys import SigningKey

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
        opening: Opening,
        ports: Ports,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Build a node over an opened ledger.

        Args:
            signing_key: None for a node that never votes.
            opening: where the ledger stands.

        Raises:
            NodeFailure: the vote log cannot be used.
        """
        self._ports = ports
        self._links = ports.links
        self._executor = ports.executor
        self._on_fatal = on_fatal
        self._stopped = False
        self._period_ms = configuration.engine.status_period_ms
        self._tick: Cancelable | None = None
        self._asked: set[str] = set()
        """Peers of later epochs that were asked for their head in this period."""
        self._intake = Intake(
            ports.clock,
            ports.executor,
            ports.verifier,
            configuration.pool,
            configuration.batches,
            lambda items: self._driver.handle(BatchClosed(items)),
        )
        self._duties = self._make_duties(genesis, node_id, signing_key)
        journal = Journal(ports.files, ports.jobs, on_fatal, log_secret(signing_key))
        self._journal = journal
        maker = EngineMaker(configuration.engine, genesis.parameters, network_id(genesis), node_id, signing_key)
        self.epochs = EpochKeeper(ports, maker, journal, opening, self._duties, self._intake.on_released, on_fatal)
        self._ledger = LedgerSide(
            ports, opening.head, self._intake, self.epochs, self._duties, on_fatal, configuration.sync_signatures
        )
        self._driver = ConsensusDriver(self.epochs.engine, journal, ports.clock, self._transmit, self._ledger)
        self._ledger.driver = self._driver
        self._heads = HeadExchange(ports.clock, ports.links, ports.executor, self._on_head_shown)
        self._ledger.on_entered = self._ask_for_more
        self._server = BlockServer(ports.links, ports.executor)
        self.records = RecordExchange(ports.clock, ports.links, ports.executor)
        self._desk = SyncDesk(
            self.synchronizer, self._server, self._heads, self._intake, self.records, ports.links.misbehaved
        )
        self.follower = LedgerFollower(self._ledger, self.epochs, self._intake)
        """What gossip needs of this."""
        self.refused_payloads: dict[str, int] = {}
        """Payloads that were no messages, by peer; only registered nodes are connected, so there are as many."""

    def _make_duties(self, genesis: Genesis, node_id: str, key: SigningKey | None) -> Duties | None:
        if key is None:
            return None
        ports = self._ports
        return Duties(
            ports.clock,
            ports.executor,
            network_id(genesis),
            node_id,
            key,
            lambda: self.head.lifetime_ms // 2,
            lambda transaction: self._intake.submit([transaction], lambda _: None, own=True),
            lambda: max(ports.clock.now_ms() + self.head.clock_offset_ms, self.head.header.timestamp_ms),
        )

    # --- life

    def start(self) -> None:
        self.epochs.register()
        self._driver.start()
        self._ledger.start()
        if self._duties is not None:
            self._duties.membership_changed = True
            self._duties.start()
        self._on_tick()

    def stop(self) -> None:
        self._stopped = True
        self._driver.stop()
        self._ledger.stop()
        self._server.stop()
        self._intake.stop()
        self.records.stop()
        self.epochs.stop()
        if self._duties is not None:
            self._duties.stop()
        if self._tick is not None:
            self._tick.cancel()

    def set_before_sync(self, before_sync: BeforeSync) -> None:
        """Have somebody asked before blocks are fetched."""
        self._ledger.before_sync = before_sync

    def use_gossip(self, blocks_come: Callable[[], bool], spread: Callable[[Sequence[bytes]], bool]) -> None:
        """Leave to gossip what it does: bring blocks while `blocks_come`, and `spread` transactions."""
        self._ledger.blocks_come, self._ledger.spread = blocks_come, spread

    def subscribe(self, listener: Listener) -> None:
        self._ledger.announcements.subscribe(listener)

    def _on_tick(self) -> None:
        """A Status period passed. Who gets no Status, or may not believe one, asks for what is certified."""
        self._tick = self._ports.clock.call_later(self._period_ms, self._on_tick)
        self._asked.clear()
        if self.epochs.follows_only and not self._ledger.blocks_come():
            self._heads.ask(self.epochs.epoch, self.certified_height)
        if self._duties is not None:
            self._duties.caught_up = self.synchronizer.target_height is None

    def _ask_for_more(self) -> None:
        """An epoch has begun here, and may be over elsewhere; nobody tells that to a node that does not vote."""
        if self.epochs.follows_only:
            self._heads.ask(self.epochs.epoch, self.certified_height)

    # --- links

    def on_peer_connected(self, node_id: str) -> None:
        replica = self.epochs.index.get(node_id)
        if replica is not None:
            self._driver.handle(PeerConnected(ReplicaId(replica)))
        if self.epochs.follows_only:
            self._heads.ask_peer(node_id, self.epochs.epoch, self.certified_height)

    def on_peer_disconnected(self, node_id: str) -> None:
        """Consensus depends on no link: what is lost is sent again after the next Status."""
        self.synchronizer.on_peer_disconnected(node_id)

    def on_payload(self, node_id: str, channel: Channel, payload: bytes) -> None:
        """Take what a peer sent on one of our channels."""
        if self._stopped:
            return
        try:
            if channel is Channel.SYNC:
                self._desk.on_message(node_id, decode_sync(payload))
                return
            received = decode_message(payload)
            if channel_of(received) is not channel:
                raise CodecError(f"{type(received).__name__} does not travel here")
        except (CodecError, ConsensusError) as error:
            self.refused_payloads[node_id] = self.refused_payloads.get(node_id, 0) + 1
            self._links.misbehaved(node_id, f"malformed payload on {channel.name.lower()}: {error}"[:200])
            return
        if received.epoch != self.epochs.epoch:
            self._on_other_epoch(node_id, received)
            return
        replica = self.epochs.index.get(node_id)
        self._driver.handle(MessageReceived(received, None if replica is None else ReplicaId(replica)))

    def _on_other_epoch(self, node_id: str, message: Message) -> None:
        """It counts for nothing here. Whoever is behind learns how its epoch ended."""
        if message.epoch > self.epochs.epoch:
            if node_id not in self._asked:
                self._asked.add(node_id)
                self._heads.ask_peer(node_id, self.epochs.epoch, self.certified_height)
        elif isinstance(message, Status):
            self._heads.tell(node_id, message.epoch, 0 if message.stable is None else message.stable.height)

    def _on_head_shown(self, node_id: str, certificate: FinalityCertificate) -> None:
        replica = self.epochs.index.get(node_id)
        self._driver.handle(CertificateShown(certificate, None if replica is None else ReplicaId(replica)))

    def _transmit(self, message: Message, to: tuple[int, ...] | None) -> None:
        if message.epoch != self.epochs.epoch:
            return  # its epoch has ended meanwhile
        payload, channel = encode_message(message), channel_of(message)
        nodes, own = self.epochs.node_ids, self.epochs.replica_id
        for replica in range(len(nodes)) if to is None else to:
            if replica != own:
                self._links.send(nodes[replica], channel, payload)

    # --- transactions

    def submit(self, transactions: Sequence[bytes], done: Callable[[list[Admission]], None]) -> None:
        """Judge, verify and take transactions; `done` hears what became of each, in order."""
        self._intake.submit(transactions, done)

    def is_pending(self, identifier: bytes) -> bool:
        """Whether a transaction waits here to be executed."""
        return identifier in self._intake.pool

    def check_vote_log(self) -> None:
        """Have the file of the vote log read again: what has decayed of it is written anew from memory."""
        self._journal.check()

    # --- status

    @property
    def synchronizer(self) -> Synchronizer:
        return self._ledger.synchronizer

    @property
    def pool(self) -> Pool:
        return self._intake.pool

    @property
    def head(self) -> Head:
        return self._ledger.head

    @property
    def certified_height(self) -> int:
        return self._ledger.announcements.certified_height

    @property
    def own_account(self) -> bytes:
        """The account of this node's validator; empty while the ledger knows of none."""
        return self.epochs.own_account

    def engine_status(self) -> EngineStatus:
        return self._driver.engine.status()

    def status(self) -> CoreStatus:
        engine = self.engine_status()
        head = self.head
        sync = self.synchronizer.progress()
        return CoreStatus(
            height=head.header.height,
            block_hash=head.block_hash,
            state_root=head.header.state_root,
            block_time_ms=head.header.timestamp_ms,
            clock_offset_ms=head.clock_offset_ms,
            certified_height=self.certified_height,
            pool_transactions=len(self.pool),
            pool_bytes=self.pool.size_bytes,
            sync=sync,
            diverged=self._ledger.diverged,
            engine=engine,
            contradictions=dict(sorted(self._ledger.announcements.contradictions.items())),
            refused_payloads=sum(self.refused_payloads.values()),
            messages_dropped=self._driver.dropped_messages,
            why=tuple(explain(engine, self.epochs.node_ids, self._links.connected(), sync, self.epochs.why())),
        )
