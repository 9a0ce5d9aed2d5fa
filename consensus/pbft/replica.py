"""The PBFT engine: dispatch of events to the parts of the protocol.

Castro & Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999, with batches, turns and a certificate per block.
Spec: docs/spec/consensus.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from consensus.engine import (
    BatchClosed,
    BlockExecuted,
    CertificateShown,
    Effect,
    EngineStatus,
    Event,
    MessageReceived,
    PeerConnected,
    Synchronized,
    TimerExpired,
)
from consensus.errors import Refusal
from consensus.messages import (
    Batch,
    BatchRequest,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Signed,
    Status,
    ViewChange,
    ViewChangeRequest,
)
from consensus.pbft import (
    batches,
    checkpoints,
    early,
    entering,
    ordering,
    recovery,
    repair,
    standing,
    timers,
    view_change,
)
from consensus.pbft.configuration import Configuration
from consensus.pbft.state import State
from consensus.pbft.status import describe
from consensus.ports import Signer, Verifier
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate

T = TypeVar("T")


class Replica:
    """One replica of one epoch. `replica_id` None follows without voting."""

    def __init__(
        self,
        configuration: Configuration,
        validators: ValidatorSet,
        replica_id: int | None,
        signer: Signer | None,
        verifier: Verifier,
        *,
        records: Sequence[bytes] = (),
        last_executed: int | None = None,
        last_block: tuple[bytes, int] | None = None,
        stable: FinalityCertificate | None = None,
        gated: bool = True,
    ) -> None:
        """Build a replica, from nothing or from what was durable.

        Args:
            records: the vote log, oldest first.
            last_executed: the ledger's height; None means the epoch's base.
            last_block: hash and epoch end of the block at that height, where it belongs to this epoch.
            stable: the highest certificate that the ledger holds for a block of this epoch.
            gated: stay silent until a quorum's Status shows that the log is no older than what was promised. False is
                for a replica whose predecessor in the same process was past that, and for tests of one replica.

        Raises:
            ConsensusError: a record that is none.
        """
        self._state = State(configuration, validators, replica_id, signer, verifier)
        self._state.gated = gated
        self._stable_in_ledger = stable
        recovery.recover(self._state, records, last_executed, last_block, stable)

    def distrust_log(self) -> None:
        """The log is known to be missing, or of another life than the ledger: stay silent for the whole epoch."""
        self._state.lost, self._state.gated = True, False

    def foresee_end(self, epoch_end: int) -> None:
        """The ledger knew the epoch's end when it began: go there, also if nobody has anything to order."""
        checkpoints.learn_end(self._state, epoch_end)

    @property
    def refusals(self) -> Counter[str]:
        """Peers' messages refused, by reason."""
        return self._state.refusals

    def start(self, now_ms: int) -> list[Effect]:
        state = self._begin(now_ms)
        state.start_timer("status", state.configuration.status_period_ms)
        if state.configuration.heartbeat_ms:
            state.start_timer("heartbeat", state.configuration.heartbeat_ms)
        standing.doubt_empty_log(state)
        recovery.restore_certificate(state, self._stable_in_ledger)
        standing.try_to_open(state)  # alone in its set, a replica is its own quorum
        recovery.resume(state)
        return self._finish()

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Process one event; see `consensus.engine` for the contract of the effects."""
        self._begin(now_ms)
        self._attempt(self._dispatch, event)
        return self._finish()

    @property
    def proven(self) -> bool:
        """Whether the log is known to hold all that this replica promised."""
        return not (self._state.gated or self._state.outdated)

    @property
    def stable_checkpoint(self) -> int:
        return self._state.low

    def undecided_items(self, authors: frozenset[int]) -> tuple[bytes, ...]:
        return batches.undecided_items(self._state, authors)

    def retained_records(self) -> list[bytes]:
        return recovery.retained(self._state)

    def status(self) -> EngineStatus:
        return describe(self._state)

    def _begin(self, now_ms: int) -> State:
        self._state.now_ms = now_ms
        self._state.effects = []
        return self._state

    def _attempt(self, handle: Callable[[T], None], subject: T) -> None:
        """Run a handler; what a peer did wrong is counted and changes nothing else."""
        try:
            handle(subject)
        except Refusal as refusal:
            self._state.refusals[refusal.reason] += 1

    def _finish(self) -> list[Effect]:
        """Do what became possible: lead or join a view, replay what came early for it, hand over, propose."""
        state = self._state
        view_change.act_on_view_changes(state)
        while messages := early.take(state):
            for message in messages:
                self._attempt(self._receive, message)
            view_change.act_on_view_changes(state)
        ordering.deliver(state)
        ordering.propose(state)
        timers.update(state)
        return state.effects

    def _dispatch(self, event: Event) -> None:
        state = self._state
        match event:
            case MessageReceived(message=message, from_replica=sender):
                if isinstance(message, BatchRequest | ViewChangeRequest):
                    self._serve(message, sender)
                else:
                    self._receive(message)
            case BatchClosed(items=items):
                batches.author_batches(state, items)
            case TimerExpired(timer=timer):
                state.timers.discard(timer)
                if timer == "status":
                    repair.on_status_timer(state)
                else:
                    timers.expire(state, timer)
            case BlockExecuted(sequence=sequence, block_hash=block_hash, epoch_end=epoch_end):
                checkpoints.on_executed(state, sequence, block_hash, epoch_end)
            case Synchronized(certificate=certificate, executed_batches=executed):
                checkpoints.on_synchronized(state, certificate, executed)
                self._reconsider()
            case CertificateShown(certificate=certificate, holder=holder):
                checkpoints.receive_certificate(state, certificate, holder)
                if state.replica_id is None or state.outdated:
                    checkpoints.ask_for_synchronization(state)  # no votes lead there
            case PeerConnected(replica=replica):
                repair.greet(state, replica)

    def _serve(self, request: BatchRequest | ViewChangeRequest, sender: int | None) -> None:
        if request.epoch != self._state.validators.epoch:
            raise Refusal("other_epoch")
        if isinstance(request, BatchRequest):
            batches.serve_request(self._state, request, sender)
        else:
            view_change.serve_request(self._state, request, sender)

    def _receive(self, message: Signed) -> None:
        """Sort out what is not for this epoch or is our own, keep what is early, pass on the rest."""
        state = self._state
        if message.epoch != state.validators.epoch:
            raise Refusal("other_epoch")
        if message.replica >= state.validators.n:
            raise Refusal("not_a_member")
        if message.replica == state.replica_id:
            recovery.check_own(state, message)
        if isinstance(message, PrePrepare | Prepare | Commit) and message.view > state.view:
            early.keep(state, message)
        else:
            self._handle(message)

    def _handle(self, message: Signed) -> None:
        state = self._state
        match message:
            case Batch():
                if batches.receive_batch(state, message):
                    self._reconsider()
            case PrePrepare():
                ordering.receive_pre_prepare(state, message)
            case Prepare() | Commit():
                ordering.receive_vote(state, message)
            case Checkpoint():
                checkpoints.receive_checkpoint(state, message)
            case ViewChange():
                view_change.receive_view_change(state, message)
            case NewView():
                entering.receive_new_view(state, message)
            case Status():
                repair.receive_status(state, message)

    def _reconsider(self) -> None:
        """A batch or blocks came, or we found our voice: some candidate may be acceptable now."""
        for sequence in sorted(self._state.slots):
            if sequence in self._state.slots:
                ordering.consider(self._state, sequence)
