"""Replicas in memory under virtual time: a scripted or random network, durable records, a toy ledger, and the referee.

Everything follows from a seed. The referee checks after every effect that executed prefixes agree, that no replica
signs two digests for one (view, sequence, type), and that whatever leaves was made durable before.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from consensus import engine
from consensus.messages import (
    Batch,
    BatchRequest,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
    ViewChangeRequest,
    decode_message,
    encode_message,
)
from consensus.pbft.configuration import Configuration
from consensus.pbft.records import (
    Accepted,
    AskedForView,
    EnteredView,
    HeldBatch,
    Prepared,
    SignedCheckpoint,
    decode_record,
)
from consensus.pbft.replica import Replica
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate
from primitives.keys import SigningKey, verify

NETWORK_ID = bytes(range(32))
START_MS = 1_800_000_000_000
FAST = Configuration(
    window=16,
    proposal_spacing_ms=0,
    suspicion_timeout_ms=200,
    suspicion_timeout_cap_ms=800,
    turn_ms=0,
    resend_ms=50,
    status_period_ms=50,
)
"""Without distance between proposals, so that several sequences are under way."""


class MemoVerifier:
    """Remembers verdicts, as the node's does; one for all replicas, since they must agree anyway."""

    def __init__(self) -> None:
        self.verdicts: dict[tuple[bytes, bytes, bytes], bool] = {}

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        key = (public_key, message, signature)
        if key not in self.verdicts:
            self.verdicts[key] = verify(public_key, message, signature)
        return self.verdicts[key]


KEYS = [SigningKey(bytes([index + 1]) * 32) for index in range(128)]
VERIFIER = MemoVerifier()

RELEASED_AGAIN_MS = 100


def validator_set(n: int, epoch: int = 0) -> ValidatorSet:
    return ValidatorSet(NETWORK_ID, epoch, tuple(key.public_key for key in KEYS[:n]))


def build_replica(n: int, replica_id: int, configuration: Configuration = FAST, **recovered: Any) -> Replica:
    settings = {"gated": False} | recovered
    return Replica(configuration, validator_set(n), replica_id, KEYS[replica_id], VERIFIER, **settings)


class Violation(AssertionError):
    """A safety property does not hold."""


class Ledger:
    """A chain of hashes; a batch that was executed before changes nothing."""

    def __init__(self) -> None:
        self.blocks: list[tuple[bytes, tuple[tuple[int, int], ...], Any]] = [(bytes(32), (), None)]
        self.certificates: dict[int, FinalityCertificate] = {}
        self.items: list[bytes] = []

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    @property
    def head_hash(self) -> bytes:
        return self.blocks[-1][0]

    @property
    def stable(self) -> FinalityCertificate | None:
        return self.certificates[max(self.certificates)] if self.certificates else None

    def execute(self, proposal: Any, batches: Iterable[Batch]) -> None:
        batches = tuple(batches)
        content = msgspec.msgpack.encode((proposal, [batch.items for batch in batches]))
        block_hash = hashlib.sha256(self.head_hash + content).digest()
        self.blocks.append((block_hash, tuple((b.author, b.number) for b in batches), (proposal, batches)))
        known = set(self.items)
        self.items += [item for batch in batches for item in batch.items if item not in known]


class Host:
    """One replica's process: what survives a crash is `records` and `ledger`."""

    def __init__(self, world: World, replica_id: int) -> None:
        self.world = world
        self.id = replica_id
        self.records: list[bytes] = []
        self.unsynced: list[bytes] = []
        self.ledger = Ledger()
        self.alive = False
        self.incarnation = 0
        self.timers: dict[str, int] = {}
        self.executing = False
        self.to_execute: list[engine.Execute] = []
        self.synchronizing = False
        self.evidence: list[Any] = []
        self.outdated: list[engine.Outdated] = []
        self.diverged: list[engine.Diverged] = []
        self.replica: Replica

    def start(self) -> None:
        assert not self.alive
        self.alive = True
        self.incarnation += 1
        self.timers, self.to_execute, self.executing, self.synchronizing = {}, [], False, False
        self.replica = Replica(
            self.world.configuration,
            self.world.validators,
            self.id,
            KEYS[self.id],
            VERIFIER,
            records=self.records,
            last_executed=self.ledger.height,
            last_block=(self.ledger.head_hash, 0) if self.ledger.height else None,
            stable=self.ledger.stable,
            gated=self.incarnation > 1,  # the first life of all is known to have promised nothing
        )
        self.perform(self.replica.start(self.world.clock(self.id)))
        if self.incarnation > 1:
            self.world.after(1, lambda: self.world.greet(self.id))

    def crash(self, *, keep_unsynced: int | None = None) -> None:
        """Stop; of the records that no sent message waited for, only the first `keep_unsynced` survive."""
        self.records += self.unsynced[:keep_unsynced]
        self.unsynced = []
        self.alive = False

    def step(self, event: engine.Event) -> None:
        if self.alive:
            self.perform(self.replica.step(event, self.world.clock(self.id)))

    def perform(self, effects: list[engine.Effect]) -> None:
        crash_at = self.world.crash_point(self, len(effects))
        for index, effect in enumerate(effects):
            if index == crash_at:
                self.crash(keep_unsynced=self.world.random.randint(0, len(self.unsynced)))
                return
            self.world.trace(self.id, effect)
            getattr(self, "on_" + type(effect).__name__)(effect)

    def on_Persist(self, effect: engine.Persist) -> None:
        self.unsynced.append(effect.record)
        self.world.referee.note_persisted(self.id, effect.record)

    def sync_records(self) -> None:
        self.records += self.unsynced
        self.unsynced = []

    def on_Send(self, effect: engine.Send) -> None:
        self.sync_records()
        self.world.referee.check_sent(self.id, effect.message)
        for receiver in effect.to:
            assert receiver != self.id
            self.world.transmit(self.id, receiver, effect.message)

    def on_Broadcast(self, effect: engine.Broadcast) -> None:
        self.sync_records()
        self.world.referee.check_sent(self.id, effect.message)
        for receiver in range(self.world.n):
            if receiver != self.id:
                self.world.transmit(self.id, receiver, effect.message)

    def on_Execute(self, effect: engine.Execute) -> None:
        self.sync_records()
        self.to_execute.append(effect)
        self.execute_next()

    def execute_next(self) -> None:
        if self.executing or not self.to_execute:
            return
        self.executing = True
        incarnation = self.incarnation

        def finish() -> None:
            if not self.alive or self.incarnation != incarnation:
                return
            self.executing = False
            if not self.to_execute:
                return
            effect = self.to_execute.pop(0)
            if effect.sequence <= self.ledger.height:
                self.execute_next()  # synchronization was faster (S15)
                return
            if effect.sequence != self.ledger.height + 1:
                raise Violation(f"replica {self.id} executes {effect.sequence} after {self.ledger.height}")
            self.ledger.execute(effect.proposal, effect.batches)
            self.world.referee.check_block(self.id, self.ledger)
            block_hash = self.ledger.head_hash
            self.execute_next()
            self.step(engine.BlockExecuted(effect.sequence, block_hash))

        self.world.after(self.world.execution_ms(self.id), finish)

    def on_Outdated(self, effect: engine.Outdated) -> None:
        if self.id not in self.world.referee.faulty:
            raise Violation(f"replica {self.id} takes its own log for an old one: {effect}")
        self.outdated.append(effect)

    def on_Certified(self, effect: engine.Certified) -> None:
        self.take_certificate(effect.certificate)

    def take_certificate(self, certificate: FinalityCertificate) -> None:
        if self.ledger.blocks[certificate.height][0] != certificate.block_hash:
            raise Violation(f"replica {self.id} takes a certificate of another block {certificate.height}")
        self.ledger.certificates[certificate.height] = certificate

    def on_StartTimer(self, effect: engine.StartTimer) -> None:
        self.world.timer_generation += 1
        generation = self.timers[effect.timer] = self.world.timer_generation
        incarnation = self.incarnation

        def fire() -> None:
            if self.alive and self.incarnation == incarnation and self.timers.get(effect.timer) == generation:
                del self.timers[effect.timer]
                self.step(engine.TimerExpired(effect.timer))

        self.world.after(effect.delay_ms, fire)

    def on_StopTimer(self, effect: engine.StopTimer) -> None:
        self.timers.pop(effect.timer, None)

    def on_SyncNeeded(self, effect: engine.SyncNeeded) -> None:
        if self.synchronizing:
            return
        self.synchronizing = True
        incarnation = self.incarnation

        def fetch() -> None:
            if not self.alive or self.incarnation != incarnation:
                return
            self.synchronizing = False
            target = effect.certificate
            for holder in self.world.hosts:
                ledger = holder.ledger
                usable = holder.alive and self.world.connected(holder.id, self.id) and ledger.height >= target.height
                if usable and ledger.blocks[target.height][0] == target.block_hash:
                    new = ledger.blocks[self.ledger.height + 1 : target.height + 1]
                    for _, _, content in new:
                        self.ledger.execute(*content)
                        self.world.referee.check_block(self.id, self.ledger)
                    if self.ledger.height == target.height:
                        self.take_certificate(target)
                    pairs = tuple(pair for _, block_pairs, _ in new for pair in block_pairs)
                    self.step(engine.Synchronized(target, pairs))
                    return

        self.world.after(20, fetch)

    def on_Diverged(self, effect: engine.Diverged) -> None:
        self.diverged.append(effect)

    def on_EvidenceFound(self, effect: engine.EvidenceFound) -> None:
        self.evidence.append(effect.evidence)

    def on_BatchHeld(self, effect: engine.BatchHeld) -> None:
        pass

    def on_BatchesReleased(self, effect: engine.BatchesReleased) -> None:
        """As the pool does: offer it again a little later, for as long as this life lasts."""
        incarnation = self.incarnation

        def offer() -> None:
            if self.incarnation == incarnation:
                self.step(engine.BatchClosed(effect.items))

        self.world.after(RELEASED_AGAIN_MS, offer)


class Referee:
    """Safety, judged from outside over the correct replicas."""

    def __init__(self) -> None:
        self.blocks: dict[int, bytes] = {}
        self.signed: dict[tuple[Any, ...], bytes] = {}
        self.durable: dict[int, set[bytes]] = defaultdict(set)
        self.faulty: set[int] = set()
        self.views: dict[int, int] = {}

    def check_block(self, replica: int, ledger: Ledger) -> None:
        agreed = self.blocks.setdefault(ledger.height, ledger.head_hash)
        if agreed != ledger.head_hash:
            raise Violation(f"replica {replica} has another block {ledger.height}")

    def note_persisted(self, replica: int, record: bytes) -> None:
        for message in promises(record):
            self.durable[replica].add(encode_message(message))

    def check_sent(self, replica: int, message: Message) -> None:
        if replica in self.faulty or isinstance(message, BatchRequest | ViewChangeRequest | Status):
            return
        if message.replica != replica:
            return  # passed on
        encoded = encode_message(message)
        if encoded not in self.durable[replica]:
            raise Violation(f"replica {replica} sends a {message.kind} that it did not persist")
        if (key := identity(message)) is not None and self.signed.setdefault(key, encoded) != encoded:
            raise Violation(f"replica {replica} contradicts itself: {key}")


def promises(record: bytes) -> list[Message]:
    """Return the messages whose sending `record` covers."""
    match decode_record(record):
        case HeldBatch(batch=batch):
            return [batch]
        case Accepted(pre_prepare=pre_prepare, prepare=prepare):
            return [pre_prepare] if prepare is None else [pre_prepare, prepare]
        case Prepared(commit=commit):
            return [] if commit is None else [commit]
        case AskedForView(view_change=view_change):
            return [view_change]
        case EnteredView(new_view=new_view):
            return [new_view]
        case SignedCheckpoint(checkpoint=checkpoint):
            return [checkpoint]
    return []


def identity(message: Message) -> tuple[Any, ...] | None:
    """Return what a correct replica signs at most once."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            return (message.kind, message.epoch, message.replica, message.view, message.sequence)
        case Checkpoint():
            return (message.kind, message.epoch, message.replica, message.sequence)
        case Batch():
            return (message.kind, message.epoch, message.replica, message.number)
        case ViewChange():
            return (message.kind, message.epoch, message.replica, message.new_view)
        case NewView():
            return (message.kind, message.epoch, message.replica, message.view)
    return None


Filter = Callable[[int, int, Message], bool]


class World:
    """Virtual time, the network, and chance from one seed."""

    def __init__(self, n: int, seed: int = 0, configuration: Configuration = FAST, *, start: bool = True) -> None:
        self.n = n
        self.random = random.Random(seed)
        self.configuration = configuration
        self.validators = validator_set(n)
        self.now_ms = 0
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.order = 0
        self.timer_generation = 0
        self.referee = Referee()
        self.skew_ms: dict[int, int] = {}
        self.loss = 0.0
        self.duplication = 0.0
        self.delay_ms = (1, 3)
        self.slow_ms: dict[int, int] = {}
        self.crash_chance = 0.0
        self.crashed_max = 0
        self.filter: Filter = lambda sender, receiver, message: True
        self.corrupt: Callable[[int, Message], Message] = lambda sender, message: message
        self.links_down: set[tuple[int, int]] = set()
        self.log: list[str] | None = None
        self.sent: list[tuple[int, Message]] = []
        self.hosts = [Host(self, replica) for replica in range(n)]
        if start:
            for host in self.hosts:
                host.start()

    # --- time ---

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.queue, (self.now_ms + delay_ms, self.order, action))

    def clock(self, replica: int) -> int:
        return START_MS + self.now_ms + self.skew_ms.get(replica, 0)

    def execution_ms(self, replica: int) -> int:
        return self.slow_ms.get(replica, 1)

    def run(self, duration_ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Process events for `duration_ms` of virtual time, or until a condition holds; tell whether it did."""
        end = self.now_ms + duration_ms
        while self.queue and self.queue[0][0] <= end:
            if until():
                return True
            self.now_ms, _, action = heapq.heappop(self.queue)
            action()
        self.now_ms = end
        return until()

    # --- network ---

    def connected(self, sender: int, receiver: int) -> bool:
        return (sender, receiver) not in self.links_down

    def transmit(self, sender: int, receiver: int, message: Message) -> None:
        self.sent.append((sender, message))
        if not self.connected(sender, receiver) or not self.filter(sender, receiver, message):
            return
        if self.loss and self.random.random() < self.loss:
            return
        copies = 2 if self.duplication and self.random.random() < self.duplication else 1
        offered = self.corrupt(sender, message)
        for _ in range(copies):
            self.after(self.random.randint(*self.delay_ms), lambda: self.deliver(sender, receiver, offered))

    def greet(self, replica: int) -> None:
        """The links of a replica that was started again come up."""
        for other in self.hosts:
            if other.id != replica:
                other.step(engine.PeerConnected(engine.ReplicaId(replica)))
                self.hosts[replica].step(engine.PeerConnected(engine.ReplicaId(other.id)))

    def deliver(self, sender: int, receiver: int, message: Message) -> None:
        decoded = decode_message(encode_message(message))
        self.hosts[receiver].step(engine.MessageReceived(decoded, engine.ReplicaId(sender)))

    def partition(self, *groups: set[int]) -> None:
        self.links_down = {
            (a, b) for a in range(self.n) for b in range(self.n) if not any({a, b} <= group for group in groups)
        }

    # --- chance and record ---

    def crash_point(self, host: Host, effects: int) -> int:
        down = sum(not other.alive for other in self.hosts)
        if not self.crash_chance or down >= self.crashed_max or self.random.random() >= self.crash_chance:
            return -1
        self.after(self.random.randint(20, 400), lambda: None if host.alive else host.start())
        return self.random.randint(0, max(effects - 1, 0))

    def trace(self, replica: int, effect: engine.Effect) -> None:
        if self.log is not None:
            self.log.append(f"{self.now_ms} {replica} {describe(effect)}")

    # --- asking ---

    def submit(self, replica: int, *items: bytes) -> None:
        self.hosts[replica].step(engine.BatchClosed(items))

    def all_have(self, *items: bytes, among: Iterable[int] | None = None) -> Callable[[], bool]:
        chosen = list(range(self.n)) if among is None else list(among)
        return lambda: all(set(items) <= set(self.hosts[replica].ledger.items) for replica in chosen)

    def all_certified(self, among: Iterable[int] | None = None) -> bool:
        chosen = [self.hosts[r] for r in (range(self.n) if among is None else among)]
        heights = {host.ledger.height for host in chosen}
        return len(heights) == 1 and all(host.ledger.height in host.ledger.certificates for host in chosen)

    def views(self) -> list[int]:
        return [host.replica.status().view for host in self.hosts]


def describe(effect: engine.Effect) -> str:
    name = type(effect).__name__
    message = getattr(effect, "message", None)
    if message is None:
        height = getattr(getattr(effect, "certificate", None), "height", "")
        return f"{name} {getattr(effect, 'sequence', getattr(effect, 'timer', height))}".rstrip()
    fields = [f for f in ("view", "new_view", "sequence", "number") if hasattr(message, f)]
    return " ".join([name, message.kind, *(f"{field}={getattr(message, field)}" for field in fields)])
