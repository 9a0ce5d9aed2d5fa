"""Hearing of certified blocks from every validator: how many transactions each has, and when the first one said so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

AGAIN_S: Final = 0.5
_REQUEST: Final = "GET /v1/events?ids=0 HTTP/1.1\r\nHost: {host}\r\n\r\n"


class _Block(msgspec.Struct):
    height: int
    count: int


class Follower:
    """Follows the streams of all validators, so that the death of one leaves no gap."""

    def __init__(self, urls: tuple[str, ...], on_certified: Callable[[int], None]) -> None:
        self._urls = urls
        self._on_certified = on_certified
        self._tasks: list[asyncio.Task[None]] = []
        self._heard: list[dict[int, int]] = [{} for _ in urls]
        """Of each validator: height -> monotonic nanoseconds."""
        self._counted: set[int] = set()

    @property
    def heard(self) -> list[dict[int, int]]:
        return self._heard

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(index)) for index in range(len(self._urls))]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, index: int) -> None:
        parts = urlsplit(self._urls[index])
        while True:
            try:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                try:
                    writer.write(_REQUEST.format(host=parts.netloc).encode("ascii"))
                    # Each event is one chunk of the answer, so that no line of it is cut.
                    while line := await reader.readline():
                        if line.startswith(b"data: "):
                            self._on_block(index, msgspec.json.decode(line[6:], type=_Block))
                finally:
                    writer.close()
            except (OSError, msgspec.MsgspecError, ValueError):
                pass  # the node is down, or was cut off in the middle of a line
            await asyncio.sleep(AGAIN_S)

    def _on_block(self, index: int, block: _Block) -> None:
        self._heard[index].setdefault(block.height, time.monotonic_ns())
        if block.height not in self._counted:
            self._counted.add(block.height)
            self._on_certified(block.count)
