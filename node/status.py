"""What the node says of itself: whether it is ready, and why it is not, in words and in metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from consensus.engine import EngineStatus
from ledger.genesis import Genesis
from node import explanation
from node.core import CoreStatus, NodeCore
from node.disk_space import DiskSpace
from node.explanation import Explanation, Following, Progress, Validator
from node.http.services import GossipSummary, NodeStatus, PeerStatus
from node.metrics import Reading
from node.sync_progress import SyncProgress
from p2p.errors import Reason
from p2p.peers import PeerNetwork
from primitives.quorum import quorum


class StatusReporter:
    """Reads the parts of one node."""

    def __init__(
        self,
        core: NodeCore,
        peers: PeerNetwork,
        genesis: Genesis,
        network_id: bytes,
        version: str,
        space: DiskSpace,
    ) -> None:
        self._core = core
        self._peers = peers
        self._genesis = genesis
        self._network_id = network_id
        self._version = version
        self.space = space
        self.stopping = False
        self.restoring: Callable[[], str] = str
        """Says what is being fetched in place of blocks; empty while nothing is."""
        self.gossip: Callable[[], GossipSummary] = GossipSummary
        """Says how gossip goes; set where it is spoken."""
        self._committed_at_s: float | None = None
        """When a block was last committed, on the monotonic clock."""
        self._waits_since_s: float | None = None
        """Since when work waits; None while none does."""

    def on_certified(self) -> None:
        """A block was committed: what waits now, waits since now."""
        self._committed_at_s = time.monotonic()
        self._waits_since_s = None

    def on_submitted(self) -> None:
        """A client brought something."""
        if self._waits_since_s is None or not len(self._core.pool):
            self._waits_since_s = time.monotonic()

    def readiness(self) -> tuple[str, ...]:
        """Why the node does not take part; empty when it does."""
        if self.stopping:
            return ("the node is stopping",)
        if self.space.suspended:
            return (self.space.suspended,)
        if restoring := self.restoring():
            return (restoring,)
        engine = self._core.engine_status()
        sync = self._core.synchronizer.progress()
        following = self._following()
        obstacles = self._obstacles(engine, sync) if following is None else _not_following(following, sync)
        return (*self._short_of_room(), *obstacles)

    def _short_of_room(self) -> tuple[str, ...]:
        said = self.space.suspended or self.space.refusal
        return (said,) if said else ()

    def _following(self) -> Following | None:
        """What this node depends on where it is neither a validator nor let in as one."""
        role = self._core.epochs.role
        if role == "observer" or role == "unregistered":
            neighbors = len(self._peers.connected())
            said = {peer.goodbye for peer in self._peers.peers()}
            return Following(role, neighbors, not neighbors and Reason.REMOVED_FROM_REGISTRY.value in said)
        return None

    def _obstacles(self, engine: EngineStatus, sync: SyncProgress) -> Iterator[str]:
        members = {validator.node_id for validator in self._validators()}
        reachable = len(members & {str(self._peers.node_id), *(str(peer.node_id) for peer in self._peers.connected())})
        if reachable < quorum(len(members)):
            with_itself = ", this one included" if self._peers.node_id in members else ""
            connected = f"{reachable} of {len(members)} validators are connected{with_itself}"
            yield f"{connected}; {quorum(len(members))} are needed"
        yield from sync.sentences()
        # A replica that asked for the next view votes again when that begins, on an idle network with the next work.
        if engine.replica_id is not None and not engine.voting and not engine.changing_view:
            yield f"not voting: {engine.silent_because or 'still starting'}"

    def _validators(self) -> list[Validator]:
        """The set that consensus counts with."""
        return [
            Validator(validator.node_id, validator.organization, validator.address)
            for validator in self._core.epochs.membership.validators
        ]

    def explanation(self) -> Explanation:
        """Whether blocks are committed here, and if not, why."""
        return self._explain(self._core.status())

    def _explain(self, core: CoreStatus) -> Explanation:
        now_s = time.monotonic()
        if not explanation.work_waits(core.engine, core.pool_transactions):
            self._waits_since_s = None
        elif self._waits_since_s is None:
            self._waits_since_s = now_s  # noticed only now: another node's work
        peers = {str(peer.node_id): peer for peer in self._peers.peers()}
        members = explanation.members_of(core.engine, self._validators(), peers, self._peers.node_id)
        progress = Progress(
            certified_height=core.certified_height,
            pool_transactions=core.pool_transactions,
            committed_ms_ago=_ms_since(self._committed_at_s, now_s),
            waiting_ms=_ms_since(self._waits_since_s, now_s) or 0,
            sync_target=core.sync.target,
            sync=tuple(core.sync.sentences()),
            height=core.height,
            diverged=core.diverged,
        )
        standing = (*self._core.epochs.why(), *self._short_of_room())
        return explanation.explain(core.engine, members, progress, standing, self._following())

    def status(self) -> NodeStatus:
        core = self._core.status()
        engine = core.engine
        reasons = self.readiness()
        said = self._explain(core)
        takes_part = self._following() is None
        return NodeStatus(
            network_id=self._network_id.hex(),
            network_name=self._genesis.name,
            development=self._genesis.development,
            node_id=self._peers.node_id,
            role=self._core.epochs.role,
            version=self._version,
            height=core.height,
            certified_height=core.certified_height,
            block_hash=core.block_hash.hex(),
            state_root=core.state_root.hex(),
            block_time_ms=core.block_time_ms,
            clock_offset_ms=core.clock_offset_ms,
            epoch=engine.epoch,
            view=engine.view if takes_part else None,
            primary_node_id=self._validators()[engine.primary].node_id if takes_part else None,
            ready=not reasons,
            why=tuple(dict.fromkeys((*reasons, *said.why))),
            peers=tuple(PeerStatus(peer.node_id, peer.address, peer.connected) for peer in self._peers.peers()),
            validators=len(said.members),
            sync=core.sync,
            gossip=self.gossip(),
        )

    def readings(self) -> Iterator[Reading]:
        """Metrics of the deciding parts and the links."""
        core = self._core.status()
        yield from _core_readings(core)
        yield Reading("guildmark_disk_free_bytes", "Free space under the ledger", self.space.free_bytes)
        yield Reading("guildmark_ready", "1 when the node takes part", float(not self.readiness()))
        yield Reading("guildmark_role", "1 for what the ledger calls the node", {self._core.epochs.role: 1.0}, "role")
        yield from self._link_readings()

    def _link_readings(self) -> Iterator[Reading]:
        links = self._peers.statistics()
        directions = {"sent": float(links.bytes_sent), "received": float(links.bytes_received)}
        yield Reading("guildmark_p2p_bytes", "Bytes on links to peers", directions, "direction", "counter")
        for name, counts in [
            ("sent", links.messages_sent),
            ("received", links.messages_received),
            ("dropped", links.messages_dropped),
        ]:
            values = {channel.name.lower(): float(count) for channel, count in counts.items()}
            yield Reading(
                f"guildmark_p2p_messages_{name}", f"Messages {name}, by channel", values, "channel", "counter"
            )
        refusals = {reason.value: float(count) for reason, count in links.refusals.items()}
        yield Reading("guildmark_p2p_refusals", "Connections turned away, and links cut", refusals, "reason", "counter")
        queues = {channel.name.lower(): float(count) for channel, count in links.queue_bytes.items()}
        yield Reading("guildmark_p2p_queue_bytes", "Bytes waiting for peers, by channel", queues, "channel")
        yield Reading("guildmark_p2p_peers_connected", "Links that are up", links.peers_connected)


def _not_following(following: Following, sync: SyncProgress) -> Iterator[str]:
    """Say why a node that is no validator does not follow the chain."""
    if following.role == "unregistered":
        yield "this node is not registered: it waits until the ledger names it"
    if following.turned_out:
        yield "the others' ledger does not name this node any more: it was withdrawn, or its organization suspended"
    elif not following.neighbors:
        yield "no node is connected"
    yield from sync.sentences()


def _ms_since(then_s: float | None, now_s: float) -> int | None:
    return None if then_s is None else int((now_s - then_s) * 1_000)


def _core_readings(core: CoreStatus) -> Iterator[Reading]:
    engine = core.engine
    yield Reading("guildmark_height", "Height of the executed head", core.height)
    yield Reading("guildmark_certified_height", "Height of the newest certified block", core.certified_height)
    yield Reading("guildmark_block_time_seconds", "Time of the head, Unix seconds", core.block_time_ms / 1000)
    yield Reading("guildmark_pool_transactions", "Transactions waiting to be executed", core.pool_transactions)
    yield Reading("guildmark_pool_bytes", "Bytes of the waiting transactions", core.pool_bytes)
    yield Reading("guildmark_consensus_epoch", "Epoch", engine.epoch)
    yield Reading("guildmark_consensus_view", "View", engine.view)
    yield Reading("guildmark_consensus_view_changes", "Views left since the epoch began", engine.view, kind="counter")
    yield Reading("guildmark_consensus_voting", "1 while this replica votes", float(engine.voting))
    yield Reading(
        "guildmark_consensus_changing_view", "1 while a view change is under way", float(engine.changing_view)
    )
    yield Reading("guildmark_consensus_stable_checkpoint", "Low watermark", engine.stable_checkpoint)
    yield Reading("guildmark_consensus_last_decided", "Newest decided sequence", engine.last_decided)
    yield Reading("guildmark_consensus_sequences_in_flight", "Sequences under way", engine.sequences_in_flight)
    caught = {str(replica): float(count) for replica, count in core.contradictions.items()}
    yield Reading("guildmark_consensus_contradictions", "Evidence against members", caught, "replica", "counter")
    yield Reading("guildmark_payloads_refused", "Payloads that were no messages", core.refused_payloads, kind="counter")
    yield Reading("guildmark_messages_dropped", "Messages given up: slow disk", core.messages_dropped, kind="counter")
    yield Reading("guildmark_consensus_batches_waiting", "Available undecided batches", engine.batches_waiting)
    certified = max(engine.highest_certified, core.sync.target or 0)
    yield Reading("guildmark_sync_blocks_behind", "Certified blocks not executed here", max(0, certified - core.height))
    yield from _sync_readings(core.sync)


def _sync_readings(sync: SyncProgress) -> Iterator[Reading]:
    yield Reading("guildmark_sync_target", "Certified height that is being fetched; 0 for none", sync.target or 0)
    yield Reading("guildmark_sync_remaining_blocks", "Blocks up to it that are not executed", sync.remaining)
    yield Reading("guildmark_sync_blocks", "Blocks executed by synchronization", sync.blocks, kind="counter")
    yield Reading("guildmark_sync_transactions", "Transactions of these blocks", sync.transactions, kind="counter")
    yield Reading("guildmark_sync_blocks_per_second", "Rate of the last seconds", sync.blocks_per_second)
    yield Reading("guildmark_sync_transactions_per_second", "Rate of the last seconds", sync.transactions_per_second)
    yield Reading("guildmark_sync_peers", "Peers that are being asked for blocks", sync.peers)
    yield Reading("guildmark_sync_buffered_bytes", "Fetched and not yet executed", sync.buffered_bytes)
    yield Reading(
        "guildmark_sync_trusts_certificates",
        "1 where signatures of transactions in fetched blocks are not verified",
        float(sync.signatures == "certified"),
    )
    yield Reading(
        "guildmark_sync_needs_snapshot",
        "1 where no peer has the block that comes next",
        float(sync.needs_snapshot is not None),
    )
