"""The validators as the generator sees them: connections, and who is down."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from benchmarks.generator.connection import Answer, Connection, request_head

CONNECTIONS_MAX: Final = 128
"""To one validator. With so many requests unanswered, further ones wait in the generator, and their latency runs on."""
RECONNECT_S: Final = 0.5
PATH: Final = "/v1/transactions:batch"


class Waiting(NamedTuple):
    body: memoryview
    sent: Callable[[], None]
    answered: Callable[[Answer | None], None]


class Node:
    """One validator's API."""

    def __init__(self, url: str, on_lost: Callable[[], None]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._on_lost = on_lost
        self._idle: deque[Connection] = deque()
        self._queue: deque[Waiting] = deque()
        self._open = 0
        """Connections that are up or being made."""
        self._heads: dict[int, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.down = False
        self.unanswered = 0
        """Requests that were offered and are neither answered nor given up."""
        self.paused_until_s = 0.0
        """The loop's time until which the node asked not to be sent more."""

    def offer(self, request: Waiting) -> None:
        """Send it at once, or as soon as a connection is free."""
        if self._idle:
            self._send(self._idle.pop(), request)
            return
        self._queue.append(request)
        if self._open < CONNECTIONS_MAX:
            self.connect()

    def connect(self) -> None:
        """Open one more connection."""
        self._open += 1
        task = asyncio.get_running_loop().create_task(self._connect())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        self._closed = True
        for connection in self._idle:
            connection.close()
        for task in self._tasks:
            task.cancel()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: Connection(self._freed, self._lost), self._host, self._port)
        except OSError:
            self._open -= 1
            self._fail()
            await asyncio.sleep(RECONNECT_S)
            if not self._closed and self._open == 0:
                self.connect()
        else:
            self.down = False

    def _freed(self, connection: Connection) -> None:
        if self._queue:
            self._send(connection, self._queue.popleft())
        else:
            self._idle.append(connection)

    def _send(self, connection: Connection, request: Waiting) -> None:
        head = self._heads.get(len(request.body))
        if head is None:
            head = self._heads[len(request.body)] = request_head(f"{self._host}:{self._port}", PATH, len(request.body))
        request.sent()
        connection.send(head, request.body, request.answered)

    def _lost(self, connection: Connection) -> None:
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if self._open == 0 and not self._closed:
            self.connect()  # a server also ends what was idle for long: only who cannot be reached is down

    def _fail(self) -> None:
        """Nobody answers there: what waits was never sent, and somebody else can have it."""
        if self._closed:
            return
        if not self.down:
            self.down = True
            self._on_lost()
        waiting, self._queue = self._queue, deque()
        for request in waiting:
            request.answered(None)


class Validators:
    """Takes turns among those that are up."""

    def __init__(self, urls: tuple[str, ...], on_lost: Callable[[], None]) -> None:
        self.nodes = [Node(url, on_lost) for url in urls]
        self._next = 0

    def choose(self, now_s: float, unanswered_max: int = sys.maxsize) -> int | None:
        """Return whose turn it is; None while nobody takes anything.

        Who has not answered `unanswered_max` requests is passed over.
        """
        count = len(self.nodes)
        for step in range(count):
            index = (self._next + step) % count
            node = self.nodes[index]
            if not node.down and node.paused_until_s <= now_s and node.unanswered < unanswered_max:
                self._next = (index + 1) % count
                return index
        return None
