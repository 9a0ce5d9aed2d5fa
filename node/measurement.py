"""Structured events of one node, for measurements: JSON lines in a file, written by a thread.

Off unless node.toml says `[measurement] file = "..."`; then the executor is wrapped, and a timer, the garbage
collector's callbacks and the announcements are listened to. There is nothing per transaction. Times are CLOCK_MONOTONIC
in nanoseconds, which all processes of a machine share.

    {"event": "block", "height", "proposer", "batches": [sizes], "bytes", "decided", "executed"}
    {"event": "certified", "height", "at"}          everything up to `height`
    {"event": "proposed", "height", "at"}           first sent, by the primary alone
    {"event": "second", "at", "view", "lateness_us": [...], "gc": [count, longest, sum in us], "cpu_us", "rss_bytes",
     "bytes_sent", "messages_sent": {channel: count}, "dropped"}
"""

from __future__ import annotations

import asyncio
import gc
import queue
import resource
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from consensus.evidence import Evidence
from consensus.messages import PrePrepare, decode_message
from ledger.chain import ExecutedBlock
from node.ports import Answer, ExecutorPort, Links, RegisteredPeer
from p2p.channels import Channel
from p2p.statistics import Statistics

EVENTS_WAITING_MAX: Final = 10_000
"""Events that wait for the disk; further ones are dropped and counted."""
LATENESS_PERIOD_S: Final = 0.02
_PRE_PREPARE: Final = b"pre-prepare"
_PAGE_BYTES: Final = resource.getpagesize()


class MeasurementFile:
    """Lines on their way into a file."""

    def __init__(self, path: Path) -> None:
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue(EVENTS_WAITING_MAX)
        self._file = path.open("ab")
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="measurement", daemon=True)
        self._thread.start()

    def write(self, event: dict[str, Any]) -> None:
        try:
            self._lines.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Write what waits, then end."""
        self._lines.put(None)
        self._thread.join()

    def _run(self) -> None:
        encoder = msgspec.json.Encoder()
        while (event := self._lines.get()) is not None:
            self._file.write(encoder.encode(event) + b"\n")
            if self._lines.empty():
                self._file.flush()  # who reads along, or finds the file of a killed node, misses little
        self._file.close()


class Measurement:
    """Everything that is measured in one node. Belongs to the event loop."""

    def __init__(self, path: Path) -> None:
        self._file = MeasurementFile(path)
        self._timers: list[asyncio.TimerHandle] = []
        self._lateness_us: list[int] = []
        self._pauses_us: list[int] = []
        self._pause_began_ns = 0
        self._statistics: Callable[[], Statistics] | None = None
        self._view: Callable[[], int] | None = None
        self._stopped = False

    def start(
        self, loop: asyncio.AbstractEventLoop, statistics: Callable[[], Statistics], view: Callable[[], int]
    ) -> None:
        """Begin with what is measured by time."""
        self._statistics, self._view = statistics, view
        gc.callbacks.append(self._on_collection)
        self._every(loop, LATENESS_PERIOD_S, self._on_lateness)
        self._every(loop, 1.0, self._on_second)

    def stop(self) -> None:
        self._stopped = True
        for timer in self._timers:
            timer.cancel()
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)
        self._file.stop()

    def executor(self, inner: ExecutorPort) -> ExecutorPort:
        return _MeasuredExecutor(inner, self._file.write)

    def links(self, inner: Links) -> Links:
        return _MeasuredLinks(inner, self._file.write)

    # --- core's listener

    def on_executed(self, block: ExecutedBlock) -> None:
        """The executor's answer was the moment."""

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:  # noqa: ARG002 - the listener's
        self._file.write({"event": "certified", "height": height, "at": time.monotonic_ns()})

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """Nothing per transaction."""

    def on_evidence(self, evidence: Evidence) -> None:
        """The log has it."""

    # --- by time

    def _every(self, loop: asyncio.AbstractEventLoop, period_s: float, act: Callable[[int], None]) -> None:
        place = len(self._timers)

        def arm() -> asyncio.TimerHandle:
            # The loop's own clock stands still while callbacks run, and uvloop's counts milliseconds.
            due_ns = time.monotonic_ns() + int(period_s * 1e9)

            def fire() -> None:
                act(max(0, (time.monotonic_ns() - due_ns) // 1_000))
                if not self._stopped:
                    self._timers[place] = arm()

            return loop.call_later(period_s, fire)

        self._timers.append(arm())

    def _on_lateness(self, late_us: int) -> None:
        self._lateness_us.append(late_us)

    def _on_second(self, _late_us: int) -> None:
        assert self._statistics is not None
        assert self._view is not None
        statistics, usage = self._statistics(), resource.getrusage(resource.RUSAGE_SELF)
        pauses, self._pauses_us = self._pauses_us, []
        lateness, self._lateness_us = self._lateness_us, []
        self._file.write(
            {
                "event": "second",
                "at": time.monotonic_ns(),
                "view": self._view(),
                "lateness_us": lateness,
                "gc": [len(pauses), max(pauses, default=0), sum(pauses)],
                "cpu_us": int((usage.ru_utime + usage.ru_stime) * 1e6),
                "rss_bytes": _resident_bytes(),
                "bytes_sent": statistics.bytes_sent,
                "messages_sent": {channel.name.lower(): count for channel, count in statistics.messages_sent.items()},
                "dropped": self._file.dropped,
            }
        )

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._pause_began_ns = time.monotonic_ns()
        else:
            self._pauses_us.append((time.monotonic_ns() - self._pause_began_ns) // 1_000)


class _MeasuredExecutor:
    """Notes when decisions come and when they are blocks."""

    def __init__(self, inner: ExecutorPort, write: Callable[[dict[str, Any]], None]) -> None:
        self._inner = inner
        self._write = write

    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        if method != "execute":
            self._inner.call(method, arguments, answer)
            return
        decided_ns = time.monotonic_ns()
        height, proposal, batches = arguments[:3]

        def executed(result: Any, error: BaseException | None) -> None:
            self._write(
                {
                    "event": "block",
                    "height": height,
                    "proposer": proposal.proposer,
                    "batches": [len(batch.transactions) for batch in batches],
                    "bytes": sum(sum(map(len, batch.transactions)) for batch in batches),
                    "decided": decided_ns,
                    "executed": time.monotonic_ns(),
                }
            )
            answer(result, error)

        self._inner.call(method, arguments, executed)


class _MeasuredLinks:
    """Notes when a proposal first leaves."""

    def __init__(self, inner: Links, write: Callable[[dict[str, Any]], None]) -> None:
        self._inner = inner
        self._write = write
        self._last: bytes | None = None

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        # A proposal is sent to several peers in a row, as one bytes object.
        if channel is Channel.CONSENSUS and payload is not self._last and payload[2:13] == _PRE_PREPARE:
            self._last = payload
            self._write({"event": "proposed", "height": _sequence_of(payload), "at": time.monotonic_ns()})
        return self._inner.send(node_id, channel, payload)

    def connected(self) -> Sequence[str]:
        return self._inner.connected()

    def register(self, peers: Sequence[RegisteredPeer]) -> None:
        self._inner.register(peers)

    def misbehaved(self, node_id: str, reason: str) -> None:
        self._inner.misbehaved(node_id, reason)


def _sequence_of(payload: bytes) -> int:
    message = decode_message(payload)
    assert isinstance(message, PrePrepare)
    return message.sequence


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE_BYTES
