"""Who waits for what: transactions, heights, and streams of certified blocks. Belongs to the event loop.

All waits together are bounded by `waiters_max`; beyond it a client is told to come again (429). A wait ends at its
deadline, whatever happens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from node.http.problems import of_code
from node.http.services import BlockSummary

STREAM_BLOCKS_MAX: Final = 256
"""Blocks that a stream's reader may lag behind; then its stream ends, and it asks for the gap by height."""


class Stream:
    """Certified blocks for one reader."""

    def __init__(self, with_ids: bool) -> None:
        self.with_ids = with_ids
        self._blocks: deque[BlockSummary] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def push(self, block: BlockSummary) -> None:
        if len(self._blocks) >= STREAM_BLOCKS_MAX:
            self._ended = True
        else:
            self._blocks.append(block)
        self._arrived.set()

    def end(self) -> None:
        self._ended = True
        self._arrived.set()

    async def blocks(self, silence_s: float) -> AsyncIterator[BlockSummary | None]:
        """Yield blocks as they come, None after each `silence_s` without one; end when the reader lags too far."""
        while True:
            while self._blocks:
                yield self._blocks.popleft()
            if self._ended:
                return
            self._arrived.clear()
            try:
                async with asyncio.timeout(silence_s):
                    await self._arrived.wait()
            except TimeoutError:
                yield None


class Waiters:
    """Everyone that waits."""

    def __init__(self, waiters_max: int) -> None:
        self._waiters_max = waiters_max
        self._waiting = 0
        self._transactions: dict[str, set[asyncio.Event]] = {}
        self._heights: set[tuple[int, asyncio.Future[None]]] = set()
        self._streams: set[Stream] = set()
        self._closed = False

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def closed(self) -> bool:
        """Whether the node stops, so that waiting is pointless."""
        return self._closed

    @property
    def listening(self) -> bool:
        """Whether anybody wants to hear of certified blocks."""
        return bool(self._transactions or self._streams)

    @property
    def wants_ids(self) -> bool:
        """Whether anybody wants to hear which transactions a block has."""
        return bool(self._transactions) or any(stream.with_ids for stream in self._streams)

    # --- the node's side

    def on_executed(self, height: int) -> None:
        """The block `height` can be read."""
        for wanted, future in list(self._heights):
            if wanted <= height and not future.done():
                future.set_result(None)

    def on_certified(self, block: BlockSummary) -> None:
        """A block is certified: its transactions are final."""
        if self._transactions:
            for identifier in block.transactions:
                self.wake(identifier)
        for stream in self._streams:
            stream.push(block)

    def wake(self, identifier: str) -> None:
        """Something became known of a transaction: whoever waits for it looks again."""
        for news in self._transactions.get(identifier, ()):
            news.set()

    def wake_all(self) -> None:
        """Many things changed at once (a jump by synchronization): everyone looks again."""
        for identifier in list(self._transactions):
            self.wake(identifier)

    def close(self) -> None:
        """The node stops: nobody waits any more."""
        self._closed = True
        self.wake_all()
        self.on_executed(2**63)
        for stream in self._streams:
            stream.end()

    # --- the clients' side

    @contextmanager
    def transaction(self, identifier: str) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever something became known of a transaction.

        Enter this before asking for the state: news between the question and the wait would otherwise be missed.
        """
        news = asyncio.Event()
        with self._counted():
            waiting = self._transactions.setdefault(identifier, set())
            waiting.add(news)
            try:
                yield news
            finally:
                waiting.discard(news)
                if not waiting:
                    self._transactions.pop(identifier, None)

    async def height(self, height: int, seconds: float) -> None:
        """Wait until block `height` is executed here, at most `seconds`."""
        future = asyncio.get_running_loop().create_future()
        with self._counted():
            entry = (height, future)
            self._heights.add(entry)
            try:
                await _wait(future, seconds)
            finally:
                self._heights.discard(entry)

    @contextmanager
    def stream(self, *, with_ids: bool = True) -> Iterator[Stream]:
        """Open a stream of the blocks certified from now on; their ids only where they are wanted."""
        stream = Stream(with_ids)
        with self._counted():
            self._streams.add(stream)
            try:
                yield stream
            finally:
                self._streams.discard(stream)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._closed:
            raise of_code("node.stopping", "the node is stopping")
        if self._waiting >= self._waiters_max:
            raise of_code("pool.waiters", f"{self._waiters_max} clients wait already; ask again without waiting")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


async def _wait(future: asyncio.Future[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await future
    except TimeoutError:
        return
