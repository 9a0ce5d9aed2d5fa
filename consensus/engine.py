"""The interface between an ordering engine and its driver: events in, effects out.

The contract of effects, kept by every engine and every driver:

1. Effects are performed in list order, lists in the order of their steps.
2. A `Send` or `Broadcast` may leave, and the block of an `Execute` become durable, only when every `Persist` that
   precedes it, in this list and in all earlier ones, is durable (written and fsynced): after a loss of power a ledger
   must not hold what its vote log forgot. A driver may group: one fsync for everything drained together.
3. `Execute` is performed in order of sequence, once each; the driver answers with `BlockExecuted`.
4. A timer is named by its kind. Starting a running timer restarts it. An expired timer that was stopped or restarted
   after it had fired must not be delivered.
5. `step` is total: it never blocks and never raises on anything that a peer can send.

After a crash a new engine is built from the records that were durable and gets the same events as any other.
"""

from __future__ import annotations

from typing import Literal, NewType, Protocol, TypeAlias

import msgspec

from consensus.evidence import Evidence
from consensus.messages import Batch, Message, Proposal
from primitives.finality import FinalityCertificate

ReplicaId = NewType("ReplicaId", int)
"""A replica's index in the validator set of the current epoch, 0..n-1."""

TimerKind: TypeAlias = Literal["suspicion", "forward", "turn", "new-view", "resend", "status", "heartbeat"]


class _Value(msgspec.Struct, frozen=True):
    """Events and effects are immutable values."""


# --- events ---------------------------------------------------------------------------------------------------------


class BatchClosed(_Value, frozen=True):
    """The node closed a batch of its own: author it, make it durable, spread it. No items ask for a block."""

    items: tuple[bytes, ...]


class MessageReceived(_Value, frozen=True):
    """A decoded message arrived. Its signatures are not verified yet, and the link it came by proves nothing."""

    message: Message
    from_replica: ReplicaId | None
    """The replica at the other end of the link, for answers; None when it came from elsewhere."""


class TimerExpired(_Value, frozen=True):
    timer: TimerKind


class BlockExecuted(_Value, frozen=True):
    """The ledger executed a decided sequence and holds the block durably."""

    sequence: int
    block_hash: bytes
    epoch_end: int = 0
    """The epoch's last sequence as this block's header tells it; 0 while no end is known."""


class Synchronized(_Value, frozen=True):
    """The ledger reached `certificate.height` by fetching certified blocks instead of executing decisions."""

    certificate: FinalityCertificate
    executed_batches: tuple[tuple[int, int], ...] = ()
    """(author, number) of the batches in the fetched blocks: they wait no longer."""


class PeerConnected(_Value, frozen=True):
    """A link to a replica came up: exchange Status with it."""

    replica: ReplicaId


class CertificateShown(_Value, frozen=True):
    """Somebody showed a finality certificate outside the engine's own messages. It is not verified yet."""

    certificate: FinalityCertificate
    holder: ReplicaId | None
    """The replica that showed it, if one did."""


Event: TypeAlias = (
    BatchClosed | MessageReceived | TimerExpired | BlockExecuted | Synchronized | PeerConnected | CertificateShown
)


# --- effects --------------------------------------------------------------------------------------------------------


class Persist(_Value, frozen=True):
    """Append `record` to the vote log. It is opaque to the driver, and read back by `Engine.recover`."""

    record: bytes


class Send(_Value, frozen=True):
    message: Message
    to: tuple[ReplicaId, ...]


class Broadcast(_Value, frozen=True):
    """Send to every other replica of the epoch (never to oneself)."""

    message: Message


class Execute(_Value, frozen=True):
    """`sequence` is decided: execute its batches, in order, as the block of that height."""

    sequence: int
    proposal: Proposal
    batches: tuple[Batch, ...]


class Certified(_Value, frozen=True):
    """A finality certificate for a block that this replica executed: the block is committed."""

    certificate: FinalityCertificate


class StartTimer(_Value, frozen=True):
    timer: TimerKind
    delay_ms: int


class StopTimer(_Value, frozen=True):
    timer: TimerKind


class SyncNeeded(_Value, frozen=True):
    """A quorum certified a height that this replica cannot reach by itself."""

    certificate: FinalityCertificate
    holders: tuple[ReplicaId, ...]
    """Replicas that said they have it, to be asked first."""


class Diverged(_Value, frozen=True):
    """This replica's block differs from the one a quorum certified: it has stopped voting and must resynchronize."""

    certificate: FinalityCertificate
    own_block_hash: bytes


class Outdated(_Value, frozen=True):
    """This replica's log is older than what it promised: it stays silent in this epoch. Told once."""

    position: int
    """The log's last position."""
    promised: int
    """The position of a message that this replica has signed, or that f + 1 others say they saw."""


class EvidenceFound(_Value, frozen=True):
    evidence: Evidence


class BatchesReleased(_Value, frozen=True):
    """These items of this replica are given back undecided, for the pool to keep and offer again later.

    Too many of its batches wait already, it must stay silent, or the epoch ended.
    """

    items: tuple[bytes, ...]


class BatchHeld(_Value, frozen=True):
    """A batch has come to be held here: what it holds may be looked at before it is ordered."""

    batch: Batch
    made_here: bool
    """Of items that the node gave to this engine. One that merely came in this replica's name may hold anything: an
    earlier life has made it, or somebody who has the key."""


Effect: TypeAlias = (
    Persist
    | Send
    | Broadcast
    | Execute
    | Certified
    | StartTimer
    | StopTimer
    | SyncNeeded
    | Diverged
    | Outdated
    | EvidenceFound
    | BatchesReleased
    | BatchHeld
)


class EngineStatus(msgspec.Struct, frozen=True):
    """What `status --why` and `/v1/consensus` tell of an engine, in values."""

    engine: str
    epoch: int
    view: int
    primary: int
    replica_id: int | None
    changing_view: bool
    voting: bool
    """False while the replica must stay silent; `silent_because` says why."""
    silent_because: str
    low_watermark: int
    high_watermark: int
    last_proposed: int
    last_decided: int
    last_executed: int
    stable_checkpoint: int
    batches_waiting: int
    sequences_in_flight: int
    running_timers: tuple[str, ...]
    view_changes_seen: dict[int, int]
    """Replica -> the view that it asks for, where above ours."""
    missing: tuple[str, ...]
    """Sentences: which certificate lacks whom, which batch is awaited from whom."""
    epoch_end: int = 0
    """The epoch's last sequence; 0 while no end is known."""
    outdated: bool = False
    """The vote log is missing or older than what was promised: a vote has to wait for another epoch."""
    timeout_ms: int = 0
    """How long work may wait before the primary is suspected, as things stand."""
    failed_views: int = 0
    """Views in a row that decided nothing."""
    highest_certified: int = 0
    """The highest block that is known to be certified, executed here or not."""
    own_batches_waiting: int = 0
    """This replica's own batches that no proposal names yet; beyond a bound further ones come back."""


class Engine(Protocol):
    """An ordering engine: PBFT is the first."""

    def start(self, now_ms: int) -> list[Effect]:
        """Return the effects that begin (or, after recovery, resume) operation. Called once, before any `step`."""
        ...

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Process one event. `now_ms` is the local wall clock (Unix ms); only proposals' timestamps use it."""
        ...

    def retained_records(self) -> list[bytes]:
        """Return the records that a truncated vote log must still hold, oldest first.

        They are what `recover` needs if everything up to the stable checkpoint is already durable in the ledger.
        """
        ...

    def undecided_items(self, authors: frozenset[int]) -> tuple[bytes, ...]:
        """Return the items of the batches of `authors` held here that no decision named, in order of author and number.

        At the end of an epoch they go back to a pool, and into batches of the next.
        """
        ...

    @property
    def stable_checkpoint(self) -> int:
        """The height up to which nothing is retained: a certificate proves it."""
        ...

    @property
    def proven(self) -> bool:
        """Whether the vote log is known to hold all that this replica promised."""
        ...

    def status(self) -> EngineStatus: ...
