"""A replica's state and the few primitives that every part of the protocol uses: emit, sign, verify, record.

The parts (`ordering`, `checkpoints`, `view_change`, `batches`, `repair`, `timers`) are functions over this state. It
has no behavior of the protocol in it.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from consensus.engine import (
    Broadcast,
    Effect,
    EvidenceFound,
    Persist,
    ReplicaId,
    Send,
    StartTimer,
    StopTimer,
    TimerKind,
)
from consensus.evidence import bare, build_evidence
from consensus.messages import (
    Batch,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    S,
    Signed,
    Status,
    ViewChange,
    sign,
    verify_signed,
)
from consensus.pbft.configuration import Configuration
from consensus.pbft.numbers import FinishedNumbers
from consensus.pbft.records import Finished, HeldBatch, Record, SeenPositions, encode_record
from consensus.pbft.slots import Slot
from consensus.ports import Signer, Verifier
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate

LATE_PERIODS_MAX: Final = 8
"""Status periods that a replica waits for decisions which come, but later than their certificates."""
EVIDENCE_PER_REPLICA_MAX: Final = 16
"""Contradictions reported of one replica in a process's life; more prove nothing new."""


class State:
    """Everything that a replica knows."""

    def __init__(
        self,
        configuration: Configuration,
        validators: ValidatorSet,
        replica_id: int | None,
        signer: Signer | None,
        verifier: Verifier,
    ) -> None:
        self.configuration = configuration
        self.validators = validators
        self.replica_id = replica_id
        self.signer = signer
        self.verifier = verifier
        self.now_ms = 0
        self.effects: list[Effect] = []
        self.timers: set[TimerKind] = set()
        self.refusals: Counter[str] = Counter()
        """Peers' messages refused, by reason."""
        self.accused: Counter[int] = Counter()
        # Positions: ours, and the highest that we verified of each other replica.
        self.position = 0
        self.positions_seen: dict[int, int] = {}
        self.positions_to_note: set[int] = set()
        """Replicas whose position has risen since our log last said how far it was."""
        self.newest: dict[int, Signed] = {}
        """The message of each replica with the highest position seen, a batch without its items: shown to one whose log
        ends below it."""
        self.outdated_by = 0
        """A message of our own turned up at this position, above our log's last: the log forgot what we promised."""
        self.lost = False
        """The vote log is known to be missing or of another life."""
        self.gated = False
        """Not proven yet that the log is no older than what we promised: silent until a quorum's Status says so."""
        self.agreeing: set[int] = set()
        """Whose Status, while gated, knows no position above our log's last."""
        self.claiming: dict[int, int] = {}
        """Whose Status claims a higher one, and which."""
        self.claimed_since: dict[int, int] = {}
        """The Status period, while gated, in which a replica claimed one first."""
        self.gated_periods = 0
        """Status periods that passed while gated."""
        self._begin_view(validators.base)
        self._begin_ordering(validators.base)
        self._begin_batches()
        self._begin_checkpoints(validators.base)

    def _begin_view(self, base: int) -> None:
        """The view, what T follows from, and who asks for which view."""
        self.view = 0
        self.changing_view = False
        self.view_base = base
        """The sequence that the view starts above: `min_s` of its NewView, the epoch's base in view 0."""
        self.view_top = base
        """The highest sequence that the view's NewView re-issued."""
        self.view_decided_any = False
        self.views_without_progress = 0
        self.may_vote_from_view = 0
        """Votes below this view are forbidden: a ViewChange for it was signed."""
        self.progress_mark = (0, 0)
        """(last delivered, low watermark) when the suspicion timer was last started."""
        self.own_view_change: ViewChange | None = None
        self.view_changes: dict[int, ViewChange] = {}
        """The newest valid ViewChange of each replica, ours included."""
        self.new_view: NewView | None = None
        self.new_view_changes: dict[bytes, ViewChange] = {}
        """The ViewChanges that the newest accepted NewView names, by digest."""
        self.pending_new_views: dict[int, NewView] = {}
        """The newest NewView of each primary that waits for ViewChanges it names: one a replica."""
        self.fetched_view_changes: dict[bytes, ViewChange] = {}
        """ViewChanges that pending NewViews name and that are not in `view_changes`."""

    def _begin_ordering(self, base: int) -> None:
        """The window."""
        self.slots: dict[int, Slot] = {}
        self.last_proposed = base
        self.proposed_at_ms = 0
        """When this replica last proposed something, by its clock."""
        self.prepared: dict[int, PreparedCertificate] = {}
        """The prepared certificate of the highest view for each sequence above the low watermark."""
        self.decided: dict[int, Proposal] = {}
        """Decided proposals that are not executed here yet."""
        self.last_delivered = base
        """The last sequence handed to the ledger (or synchronized)."""
        self.last_executed = base
        self.early: dict[int, list[PrePrepare | Prepare | Commit]] = {}
        """Messages of views above ours, by replica, bounded."""
        self.early_for_view = 0
        """The view for which `early` was last looked through."""

    def _begin_batches(self) -> None:
        """Who authored what, and what became of it."""
        self.batches: dict[bytes, Batch] = {}
        self.batch_bytes: dict[bytes, int] = {}
        """Bytes of items of each held batch."""
        self.numbers: dict[int, dict[int, bytes]] = {}
        """Author -> batch number -> digest, for the latest numbers."""
        self.finished: dict[int, FinishedNumbers] = {}
        """Author -> the numbers of batches that were executed."""
        self.executed_at: dict[bytes, int] = {}
        """Digests of held batches that were executed -> their sequence."""
        self.waiting: dict[int, list[bytes]] = {}
        """Author -> digests held and not in flight, oldest first."""
        self.in_flight: dict[bytes, int] = {}
        """Digests that this view's proposals named -> the sequence, for a window below the low watermark."""
        self.requested: set[bytes] = set()
        """Digests asked for since the last Status period."""
        self.own_number = 0

    def _begin_checkpoints(self, base: int) -> None:
        """Certificates, ours and others'."""
        self.stable: FinalityCertificate | None = None
        self.blocks: dict[int, tuple[bytes, int]] = {}
        """Hash and epoch end of our own executed blocks above the low watermark."""
        self.epoch_end = 0
        """The epoch's last sequence, 0 while unknown. Nothing above it is accepted."""
        self.checkpoints: dict[int, dict[int, Checkpoint]] = {}
        self.highest_certificate: FinalityCertificate | None = None
        self.certificate_holders: set[int] = set()
        self.certified_at_status = deque([base], LATE_PERIODS_MAX)
        """The highest certified height that we knew of in each of the last Status periods, oldest first."""
        self.delivered_since_status = False
        """Whether decisions of ours went to the ledger in this Status period."""
        self.diverged_at: int | None = None
        self.repairs_left: dict[int, int] = {}
        """Messages that each replica may still be sent for its Status, until our next Status period."""

    # --- derived ---

    @property
    def low(self) -> int:
        """The low watermark: the stable checkpoint's sequence."""
        return self.validators.base if self.stable is None else self.stable.height

    @property
    def high(self) -> int:
        high = self.low + self.configuration.window
        return min(high, self.epoch_end) if self.epoch_end else high

    @property
    def ended(self) -> bool:
        """Whether the epoch's last block is certified: nothing is left to do here."""
        return 0 < self.epoch_end <= self.low

    @property
    def primary(self) -> int:
        return self.validators.primary(self.view)

    @property
    def is_primary(self) -> bool:
        return self.replica_id is not None and self.primary == self.replica_id

    @property
    def silent(self) -> bool:
        """Whether this replica must not sign anything that promises."""
        forgetful = self.gated or self.lost or self.outdated_by > 0
        return self.replica_id is None or self.diverged_at is not None or forgetful or self.ended

    @property
    def outdated(self) -> bool:
        """Whether our log is known to lack promises, so that no vote of ours is safe in this epoch."""
        return self.lost or self.outdated_by > 0

    @property
    def may_vote(self) -> bool:
        return not self.silent and not self.changing_view and self.view >= self.may_vote_from_view

    @property
    def own_id(self) -> int:
        assert self.replica_id is not None
        return self.replica_id

    @property
    def others(self) -> list[int]:
        return [replica for replica in range(self.validators.n) if replica != self.replica_id]

    # --- primitives ---

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def next_position(self) -> int:
        self.position += 1
        return self.position

    def sign(self, message: S) -> S:
        assert self.signer is not None
        return sign(self.validators.network_id, self.signer, message)

    def verify(self, message: Signed) -> None:
        """Check epoch, membership and signature, and note the signer's position. Raises Refusal."""
        verify_signed(self.validators, self.verifier, message)
        note_position(self, message)

    def accuse(self, first: Signed, second: Signed) -> None:
        """Report two verified messages that contradict each other."""
        self.accused[first.replica] += 1
        if self.accused[first.replica] <= EVIDENCE_PER_REPLICA_MAX:
            self.emit(EvidenceFound(build_evidence(first, second)))

    def persist(self, record: Record) -> None:
        """Append a record. With our votes goes how far we saw the others sign: it costs no sync of its own."""
        if self.positions_to_note and not isinstance(record, HeldBatch | Finished):
            seen = tuple(sorted((replica, self.positions_seen[replica]) for replica in self.positions_to_note))
            self.positions_to_note.clear()
            self.emit(Persist(encode_record(SeenPositions(seen))))
        self.emit(Persist(encode_record(record)))

    def broadcast(self, message: Message) -> None:
        if self.validators.n > 1:
            self.emit(Broadcast(message))

    def send(self, message: Message, *to: int) -> None:
        others = tuple(ReplicaId(replica) for replica in to if replica != self.replica_id)
        if others:
            self.emit(Send(message, others))

    def start_timer(self, timer: TimerKind, delay_ms: int) -> None:
        self.timers.add(timer)
        self.emit(StartTimer(timer, delay_ms))

    def stop_timer(self, timer: TimerKind) -> None:
        if timer in self.timers:
            self.timers.discard(timer)
            self.emit(StopTimer(timer))

    def slot(self, sequence: int) -> Slot:
        found = self.slots.get(sequence)
        if found is None:
            found = self.slots[sequence] = Slot()
        return found


def note_position(state: State, message: Signed) -> None:
    """Remember the highest position that a replica is known to have signed."""
    if isinstance(message, Checkpoint | Status):
        return
    if message.position > state.positions_seen.get(message.replica, 0):
        state.positions_seen[message.replica] = message.position
        state.positions_to_note.add(message.replica)
        state.newest[message.replica] = bare(message)
