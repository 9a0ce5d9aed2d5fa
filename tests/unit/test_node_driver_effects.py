"""The driver: what may be seen before what is durable, timers, and what waits while a disk is slow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from node_core_kit import Clock, Disk, Jobs

from consensus.engine import (
    BatchClosed,
    BatchesReleased,
    BatchHeld,
    BlockExecuted,
    Broadcast,
    Certified,
    Diverged,
    Effect,
    EngineStatus,
    Event,
    EvidenceFound,
    Execute,
    MessageReceived,
    Outdated,
    Persist,
    ReplicaId,
    Send,
    StartTimer,
    StopTimer,
    SyncNeeded,
    TimerExpired,
)
from consensus.messages import Batch, BatchRequest, Message, Proposal
from node.consensus_driver import EVENTS_WAITING_MAX, OUTWARD_WAITING_MAX, ConsensusDriver
from node.failures import NodeFailure
from node.journal import FILE_NAME, REWRITE_BYTES_MIN, Journal
from primitives.finality import FinalityCertificate

SECRET = bytes(32)
CERTIFICATE = FinalityCertificate(0, 1, bytes(32), 0, ())


def message(number: int) -> Message:
    """Return a message that carries a number."""
    return BatchRequest(0, (number.to_bytes(32, "big"),))


def number_of(sent: Message) -> int:
    assert isinstance(sent, BatchRequest)
    return int.from_bytes(sent.digests[0], "big")


def closed(name: str) -> BatchClosed:
    return BatchClosed((name.encode(),))


class ScriptedEngine:
    """Answers each event with the effects that a test has put down for it."""

    def __init__(self, **script: Sequence[Effect]) -> None:
        self.script = script
        self.events: list[Event] = []
        self.retained = [b"retained"]
        self.stable = 0

    def start(self, now_ms: int) -> list[Effect]:
        return list(self.script.get("start", ()))

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        self.events.append(event)
        name = event.items[0].decode() if isinstance(event, BatchClosed) else type(event).__name__
        return list(self.script.get(name, ()))

    def retained_records(self) -> list[bytes]:
        return self.retained

    @property
    def proven(self) -> bool:
        return True

    @property
    def stable_checkpoint(self) -> int:
        return self.stable

    def undecided_items(self, authors: frozenset[int]) -> tuple[bytes, ...]:
        return ()

    def status(self) -> EngineStatus:
        values: dict[str, Any] = dict.fromkeys(EngineStatus.__struct_fields__, 0)
        return EngineStatus(**(values | {"stable_checkpoint": self.stable}))


class World:
    """A driver over a disk whose jobs wait, and everything that became visible of it, in order."""

    def __init__(self, engine: ScriptedEngine, *, held: bool = True) -> None:
        self.disk, self.jobs, self.clock = Disk(), Jobs(held=held), Clock()
        self.fatal: list[NodeFailure] = []
        self.seen: list[tuple[str, Any]] = []
        self.durable_when_seen: list[bytes] = []
        self.then: deque[Event] = deque()
        """Events that the next visible effects bring about, one each."""
        self.journal = Journal(self.disk, self.jobs, self.fatal.append, SECRET)
        self.journal.begin(0, 0, ())
        self.engine = engine
        self.driver = ConsensusDriver(engine, self.journal, self.clock, self._transmit, self)

    def _note(self, kind: str, value: Any) -> None:
        self.seen.append((kind, value))
        self.durable_when_seen.append(self.disk.durable[FILE_NAME])
        if self.then:
            self.driver.handle(self.then.popleft())

    def _transmit(self, sent: Message, to: tuple[int, ...] | None) -> None:
        self._note("send", (number_of(sent), to))

    def on_execute(self, effect: Execute) -> None:
        self._note("execute", effect.sequence)

    def on_certified(self, effect: Certified) -> None:
        self._note("certified", effect.certificate.height)

    def on_sync_needed(self, effect: SyncNeeded) -> None:
        self._note("sync", effect.certificate.height)

    def on_diverged(self, effect: Diverged) -> None:
        self._note("diverged", effect.certificate.height)

    def on_outdated(self, effect: Outdated) -> None:
        self._note("outdated", effect.promised)

    def on_evidence(self, effect: EvidenceFound) -> None:
        self._note("evidence", effect.evidence)

    def on_released(self, effect: BatchesReleased) -> None:
        self._note("released", effect.items)

    def on_batch_held(self, effect: BatchHeld) -> None:
        self._note("held", effect.batch.number)


def broadcast(number: int) -> Broadcast:
    return Broadcast(message(number))


EXECUTE = Execute(3, Proposal(None, 0, ()), ())
OUTWARD: list[Effect] = [
    broadcast(1),
    Send(message(2), (ReplicaId(2),)),
    EXECUTE,
    Certified(CERTIFICATE),
    SyncNeeded(CERTIFICATE, ()),
    Diverged(CERTIFICATE, bytes(32)),
    Outdated(1, 2),
    BatchesReleased((b"item",)),
    BatchHeld(Batch(0, 0, 0, 7, bytes(32), (), bytes(64)), False),
]


@pytest.mark.parametrize("effect", OUTWARD, ids=lambda effect: type(effect).__name__)
def test_nothing_is_seen_before_the_record_that_precedes_it_is_durable(effect: Effect) -> None:
    """R1, R2, I6"""
    world = World(ScriptedEngine(a=[Persist(b"promise"), effect]))
    world.driver.handle(closed("a"))
    assert world.seen == []
    assert b"promise" not in world.disk.durable[FILE_NAME]
    world.jobs.go_on()
    assert len(world.seen) == 1
    assert b"promise" in world.durable_when_seen[0]


def test_what_precedes_every_record_is_seen_at_once() -> None:
    world = World(ScriptedEngine(a=[broadcast(1), EXECUTE]))
    world.driver.handle(closed("a"))
    assert world.seen == [("send", (1, None)), ("execute", 3)]


def test_effects_are_performed_in_order_over_several_events_and_syncs() -> None:
    world = World(
        ScriptedEngine(
            a=[Persist(b"record-a"), broadcast(1)],
            b=[broadcast(2), Persist(b"record-b"), broadcast(3)],
            c=[Certified(CERTIFICATE)],
        )
    )
    for name in "abc":
        world.driver.handle(closed(name))
    world.jobs.one()
    assert world.seen == [("send", (1, None))]
    assert b"record-b" not in world.disk.durable[FILE_NAME]
    world.jobs.go_on()
    assert world.seen[1:] == [("send", (2, None)), ("send", (3, None)), ("certified", 1)]


def test_what_is_drained_together_is_synced_once() -> None:
    world = World(ScriptedEngine(a=[Persist(b"r"), broadcast(1)]))
    syncs = world.disk.syncs
    world.driver.handle(*[closed("a")] * 100)
    world.jobs.go_on()
    assert (len(world.seen), world.disk.syncs - syncs) == (100, 1)


def test_one_sync_is_under_way_at_a_time() -> None:
    world = World(ScriptedEngine(a=[Persist(b"r"), broadcast(1)]))
    for _ in range(5):
        world.driver.handle(closed("a"))
    assert len(world.jobs.waiting) == 1


def test_a_failed_fsync_lets_nothing_out() -> None:
    """D5"""
    world = World(ScriptedEngine(a=[Persist(b"promise"), *OUTWARD]))
    world.disk.fail_sync = OSError(5, "Input/output error")
    world.driver.handle(closed("a"))
    world.jobs.go_on()
    world.driver.handle(closed("a"))
    world.jobs.go_on()
    assert world.seen == []
    assert len(world.fatal) == 1


def test_a_stop_during_a_sync_lets_nothing_out() -> None:
    world = World(ScriptedEngine(a=[Persist(b"promise"), broadcast(1), StartTimer("suspicion", 10)]))
    world.driver.handle(closed("a"))
    world.driver.stop()
    world.jobs.go_on()
    world.driver.handle(closed("a"))
    world.clock.advance(100)
    assert world.seen == []
    assert len(world.engine.events) == 1


def test_a_stop_in_the_midst_of_effects_ends_them() -> None:
    world = World(ScriptedEngine(a=[EXECUTE, broadcast(1)]))
    stopping = world.on_execute

    def stop(effect: Execute) -> None:
        stopping(effect)
        world.driver.stop()

    world.on_execute = stop  # type: ignore[method-assign]
    world.driver.handle(closed("a"))
    assert world.seen == [("execute", 3)]


def test_events_that_effects_bring_about_wait_their_turn() -> None:
    """An effect may answer at once: its event comes after the effects that are being performed."""
    world = World(ScriptedEngine(a=[EXECUTE, broadcast(1)], BlockExecuted=[broadcast(2)]))
    world.then.append(BlockExecuted(3, bytes(32)))
    world.driver.handle(closed("a"))
    assert [value for _, value in world.seen] == [3, (1, None), (2, None)]


def test_the_same_holds_after_a_sync() -> None:
    world = World(ScriptedEngine(a=[Persist(b"r"), EXECUTE, broadcast(1)], BlockExecuted=[Persist(b"s"), broadcast(2)]))
    world.then.append(BlockExecuted(3, bytes(32)))
    world.driver.handle(closed("a"))
    world.jobs.one()
    assert [value for _, value in world.seen] == [3, (1, None)]
    world.jobs.go_on()
    assert world.seen[-1] == ("send", (2, None))
    assert b"s" in world.durable_when_seen[-1]


# --- timers


def test_a_timer_is_named_by_its_kind_and_restarts() -> None:
    world = World(ScriptedEngine(a=[StartTimer("suspicion", 100)], b=[StopTimer("suspicion")]))
    world.driver.handle(closed("a"))
    world.clock.advance(60)
    world.driver.handle(closed("a"))
    world.clock.advance(60)
    assert TimerExpired("suspicion") not in world.engine.events
    world.clock.advance(60)
    assert world.engine.events.count(TimerExpired("suspicion")) == 1
    world.driver.handle(closed("a"), closed("b"), closed("b"))
    world.clock.advance(1_000)
    assert world.engine.events.count(TimerExpired("suspicion")) == 1
    assert world.clock.timers == 0


def test_a_timer_may_start_itself_again_when_it_expires() -> None:
    again = [StartTimer("status", 10)]
    world = World(ScriptedEngine(start=again, TimerExpired=again))
    world.driver.start()
    world.clock.advance(100)
    assert world.engine.events == [TimerExpired("status")] * 10
    world.driver.stop()
    assert world.clock.timers == 0


@pytest.mark.parametrize("effect", [StopTimer("suspicion"), StartTimer("suspicion", 1_000)])
def test_a_timer_that_an_earlier_event_stops_is_not_told_although_it_had_fired(effect: Effect) -> None:
    """While a disk is slow events wait, expired timers among them."""
    world = World(ScriptedEngine(start=[StartTimer("suspicion", 100)], a=[broadcast(1)], b=[effect]))
    world.driver.start()
    noting = world._note

    def note(kind: str, value: Any) -> None:
        world.driver.handle(closed("b"))
        world.clock.advance(200)
        noting(kind, value)

    world._note = note  # type: ignore[method-assign]
    world.driver.handle(closed("a"))
    assert world.engine.events == [closed("a"), closed("b")]
    world.clock.advance(1_000)
    assert world.engine.events.count(TimerExpired("suspicion")) == isinstance(effect, StartTimer)


# --- truncating the log


def grown(world: World) -> None:
    """Let the log grow until it wants to be truncated."""
    world.engine.script["grow"] = [Persist(bytes(REWRITE_BYTES_MIN))]
    world.driver.handle(closed("grow"))
    world.jobs.go_on()


def test_the_log_is_truncated_only_up_to_what_the_ledger_holds() -> None:
    world = World(ScriptedEngine())
    world.engine.stable = 5
    grown(world)
    world.driver.on_ledger_durable(4)
    assert not world.jobs.waiting
    world.driver.on_ledger_durable(5)
    world.jobs.go_on()
    journal = Journal(world.disk, Jobs(), world.fatal.append, SECRET)
    assert (journal.records, journal.head.ledger_height) == ([b"retained"], 5)


def test_what_comes_while_the_log_is_rewritten_waits_and_is_in_the_new_one() -> None:
    """A rewrite and a sync never overlap; what precedes a message is durable in the new file before it leaves."""
    world = World(ScriptedEngine(a=[Persist(b"promise"), broadcast(1)]))
    grown(world)
    world.driver.on_ledger_durable(0)
    world.driver.handle(closed("a"))
    assert len(world.jobs.waiting) == 1
    world.jobs.one()
    assert world.seen == []
    world.jobs.go_on()
    assert world.seen == [("send", (1, None))]
    assert b"retained" in world.durable_when_seen[0]
    assert b"promise" in world.durable_when_seen[0]


def test_a_rewrite_covers_what_was_not_yet_synced() -> None:
    """The engine retains what it has just asked to persist: its messages wait for the rewrite instead of a sync."""
    world = World(ScriptedEngine(a=[Persist(b"promise"), broadcast(1)]))
    grown(world)
    world.engine.retained = [b"retained", b"promise"]
    world.driver._ledger_height = 0  # as if the ledger had said so in the same turn
    world.driver.handle(closed("a"))
    assert world.seen == []
    world.jobs.go_on()
    assert Journal(world.disk, Jobs(), world.fatal.append, SECRET).records == [b"retained", b"promise"]
    assert b"promise" in world.durable_when_seen[0]


# --- bounds


def test_a_slow_disk_holds_back_events_and_then_loses_messages_but_nothing_else() -> None:
    """N2: memory stays bounded while fsync takes its time, and everything that is not a message is kept."""
    world = World(ScriptedEngine(a=[Persist(b"r")], MessageReceived=[broadcast(1)], BlockExecuted=[broadcast(2)]))
    world.driver.handle(closed("a"))
    flood = MessageReceived(message(0), None)
    taken = OUTWARD_WAITING_MAX + EVENTS_WAITING_MAX
    for _ in range(taken + 7):
        world.driver.handle(flood)
    world.driver.handle(BlockExecuted(1, bytes(32)))
    assert world.driver.dropped_messages == 7
    assert len(world.engine.events) == 1 + OUTWARD_WAITING_MAX
    world.jobs.go_on()
    assert len(world.seen) == taken + 1
    assert world.seen[-1] == ("send", (2, None))
