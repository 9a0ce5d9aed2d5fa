"""Where consensus and the ledger meet: decisions become blocks, blocks become checkpoints, certificates are kept.

Performs those effects of the engine that are not about storage, links or time, and feeds back what came of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from consensus.engine import (
    BatchClosed,
    BatchesReleased,
    BatchHeld,
    BlockExecuted,
    Certified,
    Diverged,
    EvidenceFound,
    Execute,
    Outdated,
    PeerConnected,
    ReplicaId,
    Synchronized,
    SyncNeeded,
)
from consensus.messages import Batch
from ledger.errors import InvalidBlock
from ledger.execution import DecidedBatch, DecidedProposal
from node.announcements import Announcements
from node.block_ranges import SignaturePolicy, Trust, check_range
from node.chain_service import BlockResult, BlocksTaken, Head, KnownBlock
from node.consensus_driver import ConsensusDriver
from node.deadline_offers import DeadlineOffers
from node.duties import Duties
from node.epoch_keeper import EpochKeeper
from node.executed_batches import ExecutedBatches
from node.failures import NodeFailure
from node.intake import Intake
from node.ports import Ports
from node.sync_desk import TransactionOffers
from node.synchronizer import SyncHost, Synchronizer
from primitives.finality import FinalityCertificate

PUSHED_SOON_MS: Final = 1_000
"""While blocks come by gossip, how long the next is waited for before it is fetched."""
DIVERGED_ADVICE: Final = "Keep its data directory for examination, and leave it stopped: the others go on without it"


BeforeSync = Callable[[int, int, int | None, Callable[[], None]], bool]
"""(own height, certified height, the oldest block that peers have where that is above the next one, what asks for the
blocks between) -> whether blocks wait because there may be a shorter way; then that is called when they need not wait
any longer."""


def _without_delay(_height: int, _target: int, _oldest: int | None, _need: Callable[[], None]) -> bool:
    return False


class LedgerSide:
    """consensus_driver.EffectHandler. Belongs to the deciding thread."""

    def __init__(
        self,
        ports: Ports,
        head: Head,
        intake: Intake,
        epochs: EpochKeeper,
        duties: Duties | None,
        on_fatal: Callable[[BaseException], None],
        sync_signatures: SignaturePolicy,
    ) -> None:
        self.driver: ConsensusDriver
        """Set before anything is started."""
        self.on_entered: Callable[[], None] = lambda: None
        """Called when another epoch has begun here."""
        self.before_sync: BeforeSync = _without_delay
        """Asked before blocks are; see there."""
        self.head = head
        self.announcements = Announcements(head.certified_height)
        self.diverged = False
        self.blocks_come: Callable[[], bool] = lambda: False
        """Whether gossip brings blocks; set by whoever speaks it."""
        self.spread: Callable[[Sequence[bytes]], bool] = lambda _: False
        """Gives transactions to gossip; False when it has nobody to give them to."""
        self._clock = ports.clock
        self._workers = ports.workers
        self._links = ports.links
        self._executor = ports.executor
        self._intake = intake
        self._epochs = epochs
        self._duties = duties
        self._offers = TransactionOffers(ports.clock, ports.links)
        self._on_fatal = on_fatal
        self._stopped = False
        self._pushed_batches = ExecutedBatches()
        """Of blocks that gossip brought."""
        self._to_execute: deque[tuple[Sequence[Batch], Callable[[list[bytes]], None]]] = deque()
        """Decisions, no more than the window has sequences, whose signatures may still be being checked."""
        self._deadlines = DeadlineOffers(ports.clock, epochs.replica_id, lambda: self.driver.handle(BatchClosed(())))
        self._sync_signatures: SignaturePolicy = sync_signatures
        self.synchronizer = Synchronizer(
            ports.clock,
            ports.links,
            ports.executor,
            ports.workers,
            SyncHost(
                height=lambda: self.head.header.height,
                trust=self._trust,
                on_blocks=self._on_synchronized_blocks,
                on_reached=self._on_synchronized,
                on_diverged=self._on_sync_diverged,
            ),
        )

    def start(self) -> None:
        self._plan_deadlines()

    def stop(self) -> None:
        self._stopped = True
        self.synchronizer.stop()
        self._deadlines.stop()

    # --- effects

    def on_execute(self, effect: Execute) -> None:
        proposal = DecidedProposal(effect.proposal.proposer, effect.proposal.timestamp_ms)

        def executed(result: Any, error: BaseException | None) -> None:
            if self._stopped:
                return
            if error is not None:
                self._on_fatal(error)
                return
            if isinstance(result, KnownBlock):
                # Synchronization was faster, and may not have reached the certificate that it is told with.
                self.driver.handle(BlockExecuted(result.height, result.block_hash, result.epoch_end))
                return
            self._executed(result)
            header = result.block.header
            self.driver.handle(BlockExecuted(header.height, result.block.block_hash, header.epoch_end))
            self._intake.poll()

        def checked(verdicts: list[bytes]) -> None:
            batches = [
                DecidedBatch(batch.author, batch.number, batch.items, verified)
                for batch, verified in zip(effect.batches, verdicts, strict=True)
            ]
            self._executor.call("execute", (effect.sequence, proposal, batches), executed)

        self._to_execute.append((effect.batches, checked))
        if len(self._to_execute) == 1:
            self._execute_checked()

    def _execute_checked(self) -> None:
        """Hand over decisions, in their order, whose signatures are no longer being checked."""
        while self._to_execute and not self._stopped:
            batches, checked = self._to_execute[0]
            verdicts = self._intake.batch_verdicts.take(batches, self._execute_checked)
            if verdicts is None:
                return
            self._to_execute.popleft()
            checked(verdicts)

    def on_batch_held(self, effect: BatchHeld) -> None:
        self._intake.batch_verdicts.on_held(effect.batch, checked=effect.made_here)

    def on_certified(self, effect: Certified) -> None:
        certificate = effect.certificate
        # Else the sync of a later block is early enough.
        durably = self.driver.wants_truncation or certificate.height == certificate.epoch_end

        def kept(height: Any, error: BaseException | None) -> None:
            if self._stopped:
                return
            if error is not None:
                self._on_fatal(error)
                return
            self.announcements.certified(certificate.height)
            if durably:
                self.driver.on_ledger_durable(int(height))
            self._follow_epoch(certificate)

        self._executor.call("add_certificate", (certificate, durably), kept)

    def on_sync_needed(self, effect: SyncNeeded) -> None:
        if effect.certificate.epoch == self._epochs.epoch:
            nodes = self._epochs.node_ids
            holders = [nodes[holder] for holder in effect.holders]
            if self._epochs.follows_only and self.blocks_come():
                self._clock.call_later(PUSHED_SOON_MS, lambda: self.reach(effect.certificate, holders))
            else:
                self.reach(effect.certificate, holders)

    def reach(self, certificate: FinalityCertificate, holders: Sequence[str]) -> None:
        """Go to a height that a verified certificate tells, unless the head is there."""

        def need() -> None:
            self.synchronizer.need(certificate, holders)

        height = self.head.header.height
        if self._stopped or certificate.height <= height:
            return
        oldest = self.synchronizer.fetching.needs_snapshot
        if not self.before_sync(height, certificate.height, oldest, need):
            need()

    def on_diverged(self, effect: Diverged) -> None:
        self._fail_diverged(
            f"block {effect.certificate.height} was certified as {effect.certificate.block_hash.hex()}, but this "
            f"node computed {effect.own_block_hash.hex()}: its state has diverged"
        )

    def _on_sync_diverged(self, refusal: InvalidBlock) -> None:
        self._fail_diverged(f"this node's state has diverged: {refusal.message}")

    def _fail_diverged(self, what: str) -> None:
        self.diverged = True
        self._on_fatal(NodeFailure(f"{what}. {DIVERGED_ADVICE}"))

    def on_outdated(self, effect: Outdated) -> None:
        self._epochs.on_outdated(effect, self.driver)

    def on_evidence(self, effect: EvidenceFound) -> None:
        self.announcements.evidence(effect.evidence)
        if self._duties is not None:
            self._duties.on_evidence(effect.evidence)

    def on_released(self, effect: BatchesReleased) -> None:
        if self._epochs.follows_only:
            direct = set(self._epochs.node_ids).intersection(self._links.connected())
            if direct or not self.spread(effect.items):
                self._offers.offer(effect.items, self._epochs.node_ids)
        self._intake.on_released(effect.items)

    # --- blocks

    def _executed(self, result: BlockResult) -> None:
        block = result.block
        certified = self.announcements.certified_height
        deadline_ms, offset_ms = block.next_deadline_ms, result.clock_offset_ms
        self.head = Head(block.header, block.block_hash, certified, offset_ms, deadline_ms, result.lifetime_ms)
        self.announcements.executed(block, self._intake.on_executed(block))
        self._plan_deadlines()
        if block.membership_changed:
            self._epochs.register()
            if self._duties is not None:
                self._duties.membership_changed = True

    def _plan_deadlines(self) -> None:
        self._deadlines.set_index(self._epochs.replica_id)
        self._deadlines.plan(self.head.next_deadline_ms, self.head.clock_offset_ms)

    def _trust(self) -> Trust:
        """Against whose certificates blocks are checked."""
        members = self._epochs.membership
        keys = tuple([validator.signing_key for validator in members.validators])
        return Trust(self.head.header.network_id, members.epoch, keys, self._sync_signatures)

    def take_certified(
        self, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate, done: Callable[[], None]
    ) -> None:
        """Execute a block that gossip brought, as synchronization does what it fetched; `done` hears of the end."""

        def taken(result: Any, error: BaseException | None) -> None:
            if self._stopped:
                return
            if error is None:
                self._take_pushed(certificate, result)
            done()

        def checked(result: Any, error: BaseException | None) -> None:
            if self._stopped:
                return
            if error is None:
                self._executor.call("take_blocks", (result.blocks, certificate), taken)
            elif isinstance(error, InvalidBlock) and error.code == "sync.diverged":
                self._on_sync_diverged(error)
            else:  # the epoch has ended meanwhile: what is missing is fetched
                done()

        trust, height = self._trust(), self.head.header.height + 1
        job = partial(check_range, trust, height, height, [block], headers, certificate)
        self._workers.run(job, checked, len(block))

    def _take_pushed(self, certificate: FinalityCertificate, taken: BlocksTaken) -> None:
        if taken.results:
            self._on_synchronized_blocks(taken.results)
            self._pushed_batches.note(taken.results)
        if taken.refusal is not None and taken.refusal.code == "sync.diverged":
            self._on_sync_diverged(taken.refusal)
        elif taken.refusal is None and self.head.header.height >= certificate.height:
            self._on_synchronized(Synchronized(certificate, self._pushed_batches.take()))

    def _on_synchronized_blocks(self, results: Sequence[BlockResult]) -> None:
        for result in results:
            self._executed(result)

    def _on_synchronized(self, event: Synchronized) -> None:
        self.announcements.certified(event.certificate.height)
        if event.certificate.epoch == self._epochs.epoch:
            self.driver.handle(event)
            self.driver.on_ledger_durable(event.certificate.height)
        self._intake.poll()
        self._follow_epoch(event.certificate)

    def _follow_epoch(self, certificate: FinalityCertificate) -> None:
        self._epochs.on_certified(certificate, self.driver, lambda: self.head, self._entered)

    def _entered(self) -> None:
        """Another epoch has begun here: greet the others, and take this validator's new place."""
        self._plan_deadlines()
        for node in self._links.connected():
            if (replica := self._epochs.index.get(node)) is not None:
                self.driver.handle(PeerConnected(ReplicaId(replica)))
        self.on_entered()
        self._intake.poll()
