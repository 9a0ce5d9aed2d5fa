"""The PBFT engine: dispatch of events to the parts of the protocol, and the timers that follow from the state.

Castro & Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999, with batches, turns and a certificate per block.
Spec: docs/spec/consensus.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from consensus.engine import (
    BatchClosed,
    BlockExecuted,
    Effect,
    EngineStatus,
    Event,
    MessageReceived,
    PeerConnected,
    Synchronized,
    TimerExpired,
    TimerKind,
)
from consensus.errors import Refusal
from consensus.messages import (
    Batch,
    BatchRequest,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Signed,
    Status,
    ViewChange,
    ViewChangeRequest,
)
from consensus.pbft import batches, checkpoints, ordering, recovery, repair, view_change
from consensus.pbft.configuration import Configuration
from consensus.pbft.state import State
from consensus.pbft.status import describe
from consensus.ports import Signer, Verifier
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate

EARLY_MESSAGES_MAX: Final = 256
"""Messages of views above ours that are kept for each replica; more are dropped and sent again after a Status."""


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
        last_block_hash: bytes = b"",
        stable: FinalityCertificate | None = None,
    ) -> None:
        """Build a replica, from nothing or from what was durable.

        Args:
            records: the vote log, oldest first.
            last_executed: the ledger's height; None means the epoch's base.
            last_block_hash: the hash of the block at that height.
            stable: the highest certificate that the ledger holds for a block of this epoch.

        Raises:
            ConsensusError: a record that is none.
        """
        self._state = State(configuration, validators, replica_id, signer, verifier)
        self.refusals: Counter[str] = Counter()
        """Peers' messages refused, by reason."""
        recovery.recover(self._state, records, last_executed, last_block_hash, stable)
        self._progress = (0, 0)

    def start(self, now_ms: int) -> list[Effect]:
        state = self._begin(now_ms)
        state.start_timer("status", state.configuration.status_period_ms)
        if state.configuration.heartbeat_ms:
            state.start_timer("heartbeat", state.configuration.heartbeat_ms)
        recovery.resume(state)
        return self._finish()

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Process one event; see `consensus.engine` for the contract of the effects."""
        self._begin(now_ms)
        try:
            self._dispatch(event)
        except Refusal as refusal:
            self.refusals[refusal.reason] += 1
        return self._finish()

    def retained_records(self) -> list[bytes]:
        return recovery.retained(self._state)

    def status(self) -> EngineStatus:
        return describe(self._state)

    def _begin(self, now_ms: int) -> State:
        self._state.now_ms = now_ms
        self._state.effects = []
        return self._state

    def _finish(self) -> list[Effect]:
        state = self._state
        ordering.deliver(state)
        ordering.propose(state)
        self._update_timers()
        return state.effects

    def _dispatch(self, event: Event) -> None:
        state = self._state
        match event:
            case MessageReceived(message=message, from_replica=sender):
                self._receive(message, sender)
            case BatchClosed(items=items):
                if state.replica_id is not None:
                    batches.author_batch(state, items)
            case TimerExpired(timer=timer):
                state.timers.discard(timer)
                self._expire(timer)
            case BlockExecuted(sequence=sequence, block_hash=block_hash):
                checkpoints.on_executed(state, sequence, block_hash)
            case Synchronized(certificate=certificate):
                checkpoints.on_synchronized(state, certificate, event.executed_batches)
            case PeerConnected(replica=replica):
                if state.replica_id is not None:
                    state.send(repair.build_status(state, replica), replica)

    def _receive(self, message: Message, sender: int | None) -> None:
        """Sort out what is not for this epoch, keep what is early, pass on the rest."""
        state = self._state
        if message.epoch != state.validators.epoch:
            raise Refusal("other_epoch")
        if isinstance(message, BatchRequest):
            batches.serve_request(state, message, sender)
            return
        if isinstance(message, ViewChangeRequest):
            view_change.serve_request(state, message, sender)
            return
        if message.replica >= state.validators.n:
            raise Refusal("not_a_member")
        if isinstance(message, PrePrepare | Prepare | Commit) and message.view > state.view:
            self._keep_early(message)
            return
        view_before = state.view
        self._handle(message)
        if not isinstance(message, Checkpoint | Status):
            seen = state.positions_seen
            seen[message.replica] = max(seen.get(message.replica, 0), message.position)
        if state.view != view_before:
            self._replay_early()

    def _handle(self, message: Signed) -> None:
        state = self._state
        match message:
            case Batch():
                batches.receive_batch(state, message)
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
                view_change.receive_new_view(state, message)
            case Status():
                repair.receive_status(state, message)

    def _reconsider(self) -> None:
        """A batch came: some candidate may be acceptable now."""
        for sequence in sorted(self._state.slots):
            if self._state.slots[sequence].candidate is not None:
                ordering.consider(self._state, sequence)

    def _keep_early(self, message: PrePrepare | Prepare | Commit) -> None:
        kept = self._state.early.setdefault(message.replica, [])
        if len(kept) >= EARLY_MESSAGES_MAX:
            kept.pop(0)
        kept.append(message)

    def _replay_early(self) -> None:
        """A view began: messages of it that came before it count now."""
        early, self._state.early = self._state.early, {}
        for replica in sorted(early):
            for message in early[replica]:
                try:
                    self._receive(message, None)
                except Refusal as refusal:
                    self.refusals[refusal.reason] += 1

    def _expire(self, timer: TimerKind) -> None:
        state = self._state
        match timer:
            case "suspicion":
                view_change.ask(state, state.view + 1)
            case "turn":
                if state.view_decided_any or self._work_pending():
                    view_change.ask(state, state.view + 1)
            case "forward":
                self._forward_waiting()
            case "new-view":
                view_change.on_new_view_timeout(state)
            case "resend":
                view_change.on_resend(state)
            case "status":
                repair.on_status_timer(state)
            case "heartbeat":
                ordering.propose(state, empty=not self._work_pending())
                state.start_timer("heartbeat", state.configuration.heartbeat_ms)

    def _forward_waiting(self) -> None:
        """T / 2 passed: an author may have shown a batch to some only, so that the primary cannot propose it."""
        state = self._state
        for author in sorted(state.waiting):
            for digest in state.waiting[author][: batches.REQUEST_DIGESTS_MAX]:
                state.broadcast(state.batches[digest])

    def _work_pending(self) -> bool:
        state = self._state
        return (
            any(state.waiting.values())
            or any(not slot.decided for slot in state.slots.values() if slot.pre_prepare or slot.candidate)
            or state.last_executed > state.low
            or state.last_delivered > state.last_executed
        )

    def _update_timers(self) -> None:
        """Suspicion and forwarding run while work is pending, from the last progress; a view with work has its turn."""
        state = self._state
        if state.replica_id is None or state.changing_view:
            return
        progress = (state.last_delivered, state.low)
        progressed, self._progress = progress != self._progress, progress
        pending = self._work_pending()
        timeout_ms = view_change.timeout_ms(state)
        for timer, delay_ms in (("suspicion", timeout_ms), ("forward", timeout_ms // 2)):
            if not pending:
                state.stop_timer(timer)  # type: ignore[arg-type]  # each is a TimerKind
            elif progressed or (timer not in state.timers and timer == "suspicion"):
                state.start_timer(timer, delay_ms)  # type: ignore[arg-type]
                if timer == "suspicion" and "forward" not in state.timers:
                    state.start_timer("forward", timeout_ms // 2)
        if state.configuration.turn_ms and "turn" not in state.timers and (pending or state.view_decided_any):
            state.start_timer("turn", state.configuration.turn_ms)
