"""A replica's state and the few primitives that every part of the protocol uses: emit, sign, record, refuse.

The parts (`ordering`, `checkpoints`, `view_change`, `batches`, `repair`) are functions over this state. It has no
behavior of the protocol in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from consensus.engine import Broadcast, Effect, Persist, Send, StartTimer, StopTimer, TimerKind
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
    Signed,
    ViewChange,
    sign,
)
from consensus.pbft.configuration import Configuration
from consensus.pbft.records import Record, encode_record
from consensus.ports import Signer, Verifier
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate


class Slot(msgspec.Struct):
    """The votes for one sequence in the current view."""

    candidate: PrePrepare | None = None
    """Signed by the primary, waiting for its batches or its predecessor."""
    candidate_is_reissue: bool = False
    pre_prepare: PrePrepare | None = None
    """Accepted: this replica prepared it."""
    digest: bytes = b""
    prepares: dict[int, Prepare] = {}
    commits: dict[int, Commit] = {}
    own_prepare: Prepare | None = None
    own_commit: Commit | None = None
    decided: bool = False


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
        # Positions: ours, and the highest that we saw of each other replica.
        self.position = 0
        self.positions_seen: dict[int, int] = {}
        # The view.
        self.view = 0
        self.changing_view = False
        self.view_base = validators.base
        """The sequence that the view starts above: `min_s` of its NewView, the epoch's base in view 0."""
        self.view_top = validators.base
        """The highest sequence that the view's NewView re-issued."""
        self.view_decided_any = False
        self.views_without_progress = 0
        self.may_vote_from_view = 0
        """Votes below this view are forbidden: a ViewChange for it was signed."""
        # Ordering.
        self.slots: dict[int, Slot] = {}
        self.last_proposed = validators.base
        self.prepared: dict[int, PreparedCertificate] = {}
        """The prepared certificate of the highest view for each sequence above the stable checkpoint."""
        self.decided: dict[int, Proposal] = {}
        self.last_delivered = validators.base
        """The last sequence handed to the ledger (or synchronized)."""
        self.last_executed = validators.base
        self.early: dict[int, list[Message]] = {}
        """Messages of views above ours, by replica, bounded."""
        # Batches.
        self.batches: dict[bytes, Batch] = {}
        self.numbers: dict[int, dict[int, bytes]] = {}
        """Author -> batch number -> digest, for the latest numbers."""
        self.waiting: dict[int, list[bytes]] = {}
        """Author -> digests held and not in flight, oldest first."""
        self.proposed_in_view: set[bytes] = set()
        self.finished: dict[bytes, int] = {}
        """Digest -> the sequence at which it was executed, while it is above the stable checkpoint less a window."""
        self.requested: set[bytes] = set()
        """Digests asked for since the last Status period."""
        self.own_number = 0
        # Checkpoints.
        self.stable: FinalityCertificate | None = None
        self.block_hashes: dict[int, bytes] = {}
        """Own hashes of executed blocks above the stable checkpoint."""
        self.checkpoints: dict[int, dict[int, Checkpoint]] = {}
        self.highest_certificate: FinalityCertificate | None = None
        self.certificate_holders: set[int] = set()
        self.diverged_at: int | None = None
        # View changes.
        self.own_view_change: ViewChange | None = None
        self.view_changes: dict[int, ViewChange] = {}
        """The newest valid ViewChange of each replica, ours included."""
        self.new_view: NewView | None = None
        self.new_view_changes: dict[bytes, ViewChange] = {}
        """The ViewChanges that the newest accepted NewView names, by digest."""
        self.pending_new_view: NewView | None = None
        self.fetched_view_changes: dict[bytes, ViewChange] = {}

    # --- derived ---

    @property
    def low(self) -> int:
        """The low watermark: the stable checkpoint's sequence."""
        return self.validators.base if self.stable is None else self.stable.height

    @property
    def high(self) -> int:
        return self.low + self.configuration.window

    @property
    def primary(self) -> int:
        return self.validators.primary(self.view)

    @property
    def is_primary(self) -> bool:
        return self.replica_id is not None and self.primary == self.replica_id

    @property
    def may_vote(self) -> bool:
        return (
            self.replica_id is not None
            and not self.changing_view
            and self.diverged_at is None
            and self.view >= self.may_vote_from_view
        )

    # --- primitives ---

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def next_position(self) -> int:
        self.position += 1
        return self.position

    def sign(self, message: Signed) -> Any:
        assert self.signer is not None
        return sign(self.validators.network_id, self.signer, message)

    def persist(self, record: Record) -> None:
        self.emit(Persist(encode_record(record)))

    def broadcast(self, message: Message) -> None:
        if self.validators.n > 1:
            self.emit(Broadcast(message))

    def send(self, message: Message, *to: int) -> None:
        others = tuple(replica for replica in to if replica != self.replica_id)
        if others:
            self.emit(Send(message, others))  # type: ignore[arg-type]  # ReplicaId is an int

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
