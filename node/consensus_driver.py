"""Feeds the ordering engine and performs its effects, in order. It decides nothing.

The one law here: what others can see, and what the ledger is told, waits until every record that precedes it is
durable. What is drained together is synced together; while a sync is under way, everything that follows waits for the
next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from consensus.engine import (
    BatchClosed,
    BatchesReleased,
    BatchHeld,
    Broadcast,
    Certified,
    Diverged,
    Effect,
    Engine,
    Event,
    EvidenceFound,
    Execute,
    MessageReceived,
    Outdated,
    Persist,
    Send,
    StartTimer,
    StopTimer,
    SyncNeeded,
    TimerExpired,
    TimerKind,
)
from consensus.messages import Message
from node.journal import Journal
from node.ports import Cancelable, Clock

Transmit = Callable[[Message, tuple[int, ...] | None], None]
"""Sends a message to replicas, or to all others (None)."""

Outward: TypeAlias = (
    Send
    | Broadcast
    | Execute
    | Certified
    | SyncNeeded
    | Diverged
    | Outdated
    | EvidenceFound
    | BatchesReleased
    | BatchHeld
)
"""Effects that wait for the records before them."""

EVENTS_PER_SYNC_MAX: Final = 1_000
"""Events taken before what they ask to persist is synced: a flood must not put off the answers without bound."""
OUTWARD_WAITING_MAX: Final = 10_000
"""Effects that wait for a sync under way; with so many, no event is taken until it is done."""
UNSYNCED_BYTES_MAX: Final = 64 * 1024 * 1024
"""Records that wait for a sync under way; with so many bytes, the same."""
EVENTS_WAITING_MAX: Final = 10_000
"""Events waiting; with so many, messages are dropped and counted, as a network may lose them. Other events are few."""


class EffectHandler(Protocol):
    """Who gets the effects that are not about storage, links or time."""

    def on_execute(self, effect: Execute) -> None: ...

    def on_certified(self, effect: Certified) -> None: ...

    def on_sync_needed(self, effect: SyncNeeded) -> None: ...

    def on_diverged(self, effect: Diverged) -> None: ...

    def on_outdated(self, effect: Outdated) -> None: ...

    def on_evidence(self, effect: EvidenceFound) -> None: ...

    def on_released(self, effect: BatchesReleased) -> None: ...

    def on_batch_held(self, effect: BatchHeld) -> None: ...


class ConsensusDriver:
    """One engine, its log, its timers and its outgoing messages."""

    def __init__(
        self, engine: Engine, journal: Journal, clock: Clock, transmit: Transmit, handler: EffectHandler
    ) -> None:
        self.engine = engine
        self._journal = journal
        self._clock = clock
        self._transmit = transmit
        self._handler = handler
        self._events: deque[Event] = deque()
        self._outward: deque[Outward] = deque()
        self._working = False
        self._syncing = False
        self._ledger_height = -1
        self._to_rewrite: list[Callable[[], None]] = []
        """Who waits for the log to be written anew; while somebody does, it is."""
        self._epoch = journal.head.epoch
        self._incarnation = journal.head.incarnation
        self.dropped_messages = 0
        """Messages that came while too much waited for the disk."""
        self._timers: dict[TimerKind, Cancelable] = {}
        self._fired: set[TimerKind] = set()
        """Expired, and the engine has neither heard of it nor stopped or started the timer since."""
        self._stopped = False

    def start(self) -> None:
        self._sort(self.engine.start(self._clock.now_ms()))
        self._work()

    def replace(self, engine: Engine, epoch: int, incarnation: int) -> None:
        """Go on with the engine of another epoch, or of another incarnation, and a log of its own.

        What the old one still wanted to send is dropped: nobody counts it any more. So is what it has not heard of yet,
        for replica ids and heights mean something else to the new one; transactions it will put into batches.
        """
        for timer in [*self._timers, *self._fired]:
            self._stop_timer(timer)
        self._events = deque(event for event in self._events if isinstance(event, BatchClosed))
        self._outward = deque(effect for effect in self._outward if not isinstance(effect, Send | Broadcast))
        self.engine, self._epoch, self._incarnation = engine, epoch, incarnation
        self._to_rewrite.append(lambda: None)
        self._sort(engine.start(self._clock.now_ms()))
        self._work()

    def adopt(self, incarnation: int, done: Callable[[], None]) -> None:
        """Note durably that this directory must not vote in the name of another incarnation; then call `done`."""
        self._incarnation = incarnation
        self._to_rewrite.append(done)
        self._work()

    def stop(self) -> None:
        """No event is taken any more, and nothing is sent."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def handle(self, *events: Event) -> None:
        """Feed events. Effects of one may bring about further ones; they are taken in turn."""
        if self._stopped:
            return
        for event in events:
            if len(self._events) >= EVENTS_WAITING_MAX and isinstance(event, MessageReceived):
                self.dropped_messages += 1
            else:
                self._events.append(event)
        self._work()

    def on_ledger_durable(self, height: int) -> None:
        """The ledger holds the block at `height` and a certificate for it durably: the log may be truncated to that."""
        self._ledger_height = max(self._ledger_height, height)
        self._work()

    @property
    def wants_truncation(self) -> bool:
        """Whether the log waits for a durable certificate to be truncated to."""
        return self._journal.wants_rewrite

    def _work(self) -> None:
        """Take events, sync, perform, until nothing is left or a sync is under way. Never within itself."""
        if self._working:
            return
        self._working = True
        try:
            while not self._stopped and (self._may_take() or (not self._syncing and self._pending())):
                self._take_events()
                if not self._syncing:
                    self._sync_or_perform()
        finally:
            self._working = False

    def _may_take(self) -> bool:
        """Whether there is an event, and room for what comes of it."""
        if not self._events or not self._syncing:
            return bool(self._events)
        return len(self._outward) < OUTWARD_WAITING_MAX and self._journal.unsynced_bytes < UNSYNCED_BYTES_MAX

    def _pending(self) -> bool:
        return bool(self._outward or self._to_rewrite) or self._journal.dirty or self._may_truncate()

    def _may_truncate(self) -> bool:
        """The log has grown, and the ledger holds durably what the engine would no longer retain."""
        return self._journal.wants_rewrite and self._stable() <= self._ledger_height

    def _stable(self) -> int:
        return self.engine.stable_checkpoint

    def _take_events(self) -> None:
        for _ in range(EVENTS_PER_SYNC_MAX):
            if self._stopped or not self._may_take():
                return
            event = self._events.popleft()
            if isinstance(event, TimerExpired):
                if event.timer not in self._fired:
                    continue  # stopped or restarted by an event that waited before it
                self._fired.discard(event.timer)
            self._sort(self.engine.step(event, self._clock.now_ms()))

    def _sort(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record=record):
                    self._journal.append(record)
                case StartTimer(timer=timer, delay_ms=delay_ms):
                    self._start_timer(timer, delay_ms)
                case StopTimer(timer=timer):
                    self._stop_timer(timer)
                case _:
                    self._outward.append(effect)

    def _sync_or_perform(self) -> None:
        covered, self._outward = self._outward, deque()
        rewrite = bool(self._to_rewrite) or self._may_truncate()
        if not self._journal.dirty and not rewrite:
            self._perform(covered)
            return
        waiting, self._to_rewrite = self._to_rewrite, []

        def synced() -> None:
            self._syncing = False
            for done in waiting:
                done()
            # In a turn of its own or within `_work`: what is performed may feed events, which must wait their turn.
            nested, self._working = self._working, True
            try:
                self._perform(covered)
            finally:
                self._working = nested
            self._work()

        self._syncing = True
        if rewrite:
            height = min(max(self._ledger_height, self._journal.head.ledger_height), self._stable())
            self._journal.rewrite(self.engine.retained_records(), self._epoch, height, self._incarnation, synced)
        else:
            self._journal.sync(synced)

    def _perform(self, effects: deque[Outward]) -> None:
        handler = self._handler
        while effects and not self._stopped:
            match effect := effects.popleft():
                case Send():
                    self._transmit(effect.message, effect.to)
                case Broadcast():
                    self._transmit(effect.message, None)
                case Execute():
                    handler.on_execute(effect)
                case Certified():
                    handler.on_certified(effect)
                case SyncNeeded():
                    handler.on_sync_needed(effect)
                case Diverged():
                    handler.on_diverged(effect)
                case Outdated():
                    handler.on_outdated(effect)
                case EvidenceFound():
                    handler.on_evidence(effect)
                case BatchesReleased():
                    handler.on_released(effect)
                case BatchHeld():
                    handler.on_batch_held(effect)

    def _start_timer(self, timer: TimerKind, delay_ms: int) -> None:
        self._stop_timer(timer)

        def expired() -> None:
            # A timer that was restarted after it fired is another handle by now, and this one was cancelled.
            del self._timers[timer]
            self._fired.add(timer)
            self.handle(TimerExpired(timer))

        self._timers[timer] = self._clock.call_later(delay_ms, expired)

    def _stop_timer(self, timer: TimerKind) -> None:
        self._fired.discard(timer)
        running = self._timers.pop(timer, None)
        if running is not None:
            running.cancel()
