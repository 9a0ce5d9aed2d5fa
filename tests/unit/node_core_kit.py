"""A node's surroundings for tests: a disk that can fail, jobs and answers that wait until a test lets them go, a clock
that a test moves, links that remember."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ledger.errors import LedgerError
from node.ports import Answer
from p2p.channels import Channel


class Disk:
    """node.ports.Files in memory. What was synced is `durable`."""

    def __init__(self) -> None:
        self.current: dict[str, bytearray] = {}
        self.durable: dict[str, bytes] = {}
        self.fail_sync: OSError | None = None
        self.fail_append: OSError | None = None
        self.syncs = 0

    def read(self, name: str) -> bytes | None:
        return bytes(self.current[name]) if name in self.current else None

    def open_append(self, name: str) -> DiskFile:
        self.current.setdefault(name, bytearray())
        return DiskFile(self, name)

    def replace(self, name: str, data: bytes) -> None:
        self.current[name] = bytearray(data)
        self.durable[name] = bytes(data)

    def truncate(self, name: str, size: int) -> None:
        del self.current[name][size:]
        self.durable[name] = bytes(self.current[name])


class DiskFile:
    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._open = True

    def append(self, data: bytes) -> None:
        self._check(self._disk.fail_append)
        self._disk.current[self._name] += data

    def sync(self) -> None:
        self._disk.syncs += 1
        self._check(self._disk.fail_sync)
        self._disk.durable[self._name] = bytes(self._disk.current[self._name])

    def size(self) -> int:
        self._check(None)
        return len(self._disk.current[self._name])

    def close(self) -> None:
        self._open = False

    def _check(self, failure: OSError | None) -> None:
        if not self._open:
            raise OSError(9, "Bad file descriptor")
        if failure is not None:
            raise failure


class Jobs:
    """node.ports.Jobs: runs at once, or when told to."""

    def __init__(self, *, held: bool = False) -> None:
        self.held = held
        self.waiting: deque[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = deque()

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        self.waiting.append((job, done))
        if not self.held:
            self.go_on()

    def go_on(self) -> None:
        """Run what waits, one after the other."""
        while self.waiting:
            self.one()

    def one(self) -> None:
        job, done = self.waiting.popleft()
        failure: BaseException | None = None
        try:
            job()
        except OSError as error:
            failure = error
        done(failure)


class _Handle:
    def __init__(self) -> None:
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True


class Clock:
    """node.ports.Clock: time stands still until it is moved."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self.set_by_ms = 0
        """How far somebody has set the wall clock; timers do not notice."""
        self._order = 0
        self._heap: list[tuple[int, int, _Handle, Callable[[], None]]] = []

    def now_ms(self) -> int:
        return self._now_ms + self.set_by_ms

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> _Handle:
        handle = _Handle()
        self._order += 1
        heapq.heappush(self._heap, (self._now_ms + delay_ms, self._order, handle, callback))
        return handle

    @property
    def timers(self) -> int:
        return sum(not handle.canceled for _, _, handle, _ in self._heap)

    def advance(self, duration_ms: int) -> None:
        end_ms = self._now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end_ms:
            due_ms, _, handle, callback = heapq.heappop(self._heap)
            self._now_ms = max(self._now_ms, due_ms)
            if not handle.canceled:
                callback()
        self._now_ms = end_ms


class Links:
    """node.ports.Links: remembers what was sent and complained about."""

    def __init__(self, *peers: str) -> None:
        self.peers = list(peers)
        self.sent: list[tuple[str, Channel, bytes]] = []
        self.complaints: list[tuple[str, str]] = []
        self.refuses: set[str] = set()

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        if node_id not in self.peers or node_id in self.refuses:
            return False
        self.sent.append((node_id, channel, payload))
        return True

    def connected(self) -> Sequence[str]:
        return list(self.peers)

    def misbehaved(self, node_id: str, reason: str) -> None:
        self.complaints.append((node_id, reason))


class Executor:
    """node.ports.ExecutorPort over any service: answers at once, or when told to."""

    def __init__(self, service: Any, *, held: bool = False) -> None:
        self.service = service
        self.held = held
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.waiting: deque[tuple[str, tuple[Any, ...], Answer]] = deque()

    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        self.calls.append((method, arguments))
        self.waiting.append((method, arguments, answer))
        if not self.held:
            self.go_on()

    def go_on(self) -> None:
        while self.waiting:
            self.one()

    def one(self) -> None:
        method, arguments, answer = self.waiting.popleft()
        try:
            result = getattr(self.service, method)(*arguments)
        except LedgerError as error:
            answer(None, error)
        else:
            answer(result, None)
