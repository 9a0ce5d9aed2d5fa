"""Feeds the ordering engine and performs its effects, in order. It decides nothing.

The one law here: a message leaves only when every record that precedes it is durable. What is drained together is
synced together; while a sync is under way, everything that follows waits for the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from consensus.engine import (
    BatchesReleased,
    Broadcast,
    Certified,
    Diverged,
    Effect,
    Engine,
    Event,
    EvidenceFound,
    Execute,
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


class EffectHandler(Protocol):
    """Who gets the effects that are not about storage, links or time."""

    def on_execute(self, effect: Execute) -> None: ...

    def on_certified(self, effect: Certified) -> None: ...

    def on_sync_needed(self, effect: SyncNeeded) -> None: ...

    def on_diverged(self, effect: Diverged) -> None: ...

    def on_evidence(self, effect: EvidenceFound) -> None: ...

    def on_released(self, effect: BatchesReleased) -> None: ...


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
        self._draining = False
        self._outgoing: list[Send | Broadcast] = []
        self._syncing = False
        self._timers: dict[TimerKind, Cancelable] = {}
        self._stopped = False

    def start(self) -> None:
        self._draining = True
        self._perform(self.engine.start(self._clock.now_ms()))
        self._draining = False
        self._drain()

    def stop(self) -> None:
        """No event is taken any more, and nothing is sent."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def handle(self, *events: Event) -> None:
        """Feed events. Effects of one may bring about further ones; they are taken in turn."""
        self._events.extend(events)
        self._drain()

    def rewrite_log(self, done: Callable[[], None]) -> bool:
        """Truncate the vote log to what the engine still needs; False when something is under way."""
        if self._syncing or self._journal.dirty or self._stopped:
            return False
        self._syncing = True

        def rewritten() -> None:
            self._syncing = False
            done()
            self._flush()

        self._journal.rewrite(self.engine.retained_records(), rewritten)
        return True

    def _drain(self) -> None:
        if self._draining or self._stopped:
            return
        self._draining = True
        try:
            while self._events:
                self._perform(self.engine.step(self._events.popleft(), self._clock.now_ms()))
        finally:
            self._draining = False
        self._flush()

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Persist(record=record):
                    self._journal.append(record)
                case Send() | Broadcast():
                    self._outgoing.append(effect)
                case StartTimer(timer=timer, delay_ms=delay_ms):
                    self._start_timer(timer, delay_ms)
                case StopTimer(timer=timer):
                    self._stop_timer(timer)
                case Execute():
                    self._handler.on_execute(effect)
                case Certified():
                    self._handler.on_certified(effect)
                case SyncNeeded():
                    self._handler.on_sync_needed(effect)
                case Diverged():
                    self._handler.on_diverged(effect)
                case EvidenceFound():
                    self._handler.on_evidence(effect)
                case BatchesReleased():
                    self._handler.on_released(effect)

    def _flush(self) -> None:
        """Send what is covered by durable records; sync first if something is not."""
        if self._syncing or self._stopped:
            return
        outgoing, self._outgoing = self._outgoing, []
        if not self._journal.dirty:
            self._send(outgoing)
            return
        self._syncing = True

        def synced() -> None:
            self._syncing = False
            self._send(outgoing)
            self._flush()

        self._journal.sync(synced)

    def _send(self, outgoing: Sequence[Send | Broadcast]) -> None:
        if self._stopped:
            return
        for effect in outgoing:
            self._transmit(effect.message, effect.to if isinstance(effect, Send) else None)

    def _start_timer(self, timer: TimerKind, delay_ms: int) -> None:
        self._stop_timer(timer)

        def expired() -> None:
            # A timer that was restarted after it fired is another handle by now, and this one was cancelled.
            del self._timers[timer]
            self.handle(TimerExpired(timer))

        self._timers[timer] = self._clock.call_later(delay_ms, expired)

    def _stop_timer(self, timer: TimerKind) -> None:
        running = self._timers.pop(timer, None)
        if running is not None:
            running.cancel()
