"""The least that sends a request over HTTP/1.1 and reads its answer: a few microseconds, where a full client takes
longer than the server.

One request at a time a connection (no pipelining), kept alive. Knows what our own server answers, and nothing else: a
status line, headers, `Content-Length`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, cast

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_RETRY: Final = b"retry-after:"


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after_s: float


class Connection(asyncio.Protocol):
    """One connection to one node."""

    def __init__(self, on_free: Callable[[Connection], None], on_lost: Callable[[Connection], None]) -> None:
        self._on_free = on_free
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._head_end = -1
        self._body_end = 0
        self._answered: Callable[[Answer | None], None] | None = None

    def send(self, head: bytes, body: memoryview | bytes, answered: Callable[[Answer | None], None]) -> None:
        """Send a request; `answered` gets None when the connection breaks before the answer."""
        assert self._transport is not None
        assert self._answered is None
        self._answered = answered
        self._transport.writelines([head, body])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not say that it is one
        self._on_free(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._head_end < 0:
            self._head_end = self._received.find(_END_OF_HEAD)
            if self._head_end < 0:
                return
            self._body_end = self._head_end + len(_END_OF_HEAD) + int(self._header(_LENGTH) or 0)
        if len(self._received) >= self._body_end:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        answered, self._answered = self._answered, None
        self._on_lost(self)
        if answered is not None:
            answered(None)

    def _finish(self) -> None:
        head_end, answered = self._head_end, self._answered
        answer = Answer(
            int(self._received[9:12]),
            bytes(self._received[head_end + len(_END_OF_HEAD) : self._body_end]),
            float(self._header(_RETRY) or 0),
        )
        last = (self._header(b"connection:") or b"").strip() == b"close"
        del self._received[: self._body_end]
        self._head_end, self._answered = -1, None
        if last:
            self.close()
        else:
            self._on_free(self)
        if answered is not None:
            answered(answer)

    def _header(self, name: bytes) -> bytes | None:
        head = bytes(self._received[: self._head_end]).lower()
        at = head.find(b"\r\n" + name)
        if at < 0:
            return None
        begin = at + 2 + len(name)
        end = head.find(b"\r\n", begin)
        return head[begin : end if end >= 0 else len(head)]


def request_head(host: str, path: str, length: int) -> bytes:
    """The head of a POST of MessagePack."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/msgpack\r\nContent-Length: {length}\r\n\r\n"
    ).encode("ascii")
