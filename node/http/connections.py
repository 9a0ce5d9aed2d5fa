"""Connections of clients that may be slow, silent or hostile: deadlines and a cap, where aiohttp has none by itself.

    head     aiohttp's keep-alive deadline, which runs from connecting and from the end of each response until a
             request's head is complete, whatever drips in meanwhile
    body     `read_body`
    write    from the moment that the client leaves the send buffer full until it has read on
    number   beyond `connections_max` a connection is closed as soon as it is made

Pipelined requests are bounded by aiohttp (it stops reading), bodies by `read_body`, the send buffer by asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import getLogger
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from node.configuration import Api as ApiSettings
from node.http.problems import Problem

LINGER_S: Final = 2.0
"""After an early answer: how long the rest of a body is read and thrown away, so that the client sees the answer."""
HEAD_LINE_BYTES_MAX: Final = 8_190
HEAD_FIELDS_MAX: Final = 64

log: Final = structlog.get_logger("node.http")


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_counted", "_server", "_write_deadline")

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._counted = False
        self._write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.open_connections >= self._server.settings.connections_max:
            self._server.connections_refused += 1
            self.force_close()
            return
        self._counted = True
        self._server.open_connections += 1

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._counted:
            self._counted = False
            self._server.open_connections -= 1
        self._cancel_write_deadline()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_deadline is None:
            delay_s = self._server.settings.write_deadline_ms / 1000
            self._write_deadline = asyncio.get_running_loop().call_later(delay_s, self._abort)

    def resume_writing(self) -> None:
        self._cancel_write_deadline()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the base's signature
    ) -> web.StreamResponse:
        """Answer what aiohttp itself refuses (no HTTP, too long a head) in our words, and close."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if isinstance(exc, HttpProcessingError) or status < 500:
            problem = Problem(400, "request.malformed", "this is not a well-formed HTTP/1.1 request")
        else:
            log.error("the HTTP server failed", exc_info=exc)
            problem = Problem(500, "node.internal", "the node failed to answer; its log says why")
        response = problem.response()
        response.force_close()
        return response

    def _abort(self) -> None:
        self._write_deadline = None
        if self.transport is not None:
            self.transport.abort()

    def _cancel_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


class Server(web.Server):
    """Makes a `Connection` for each client, and counts them."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], settings: ApiSettings
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.settings = settings
        self.open_connections = 0
        self.connections_refused = 0

    def __call__(self) -> Connection:
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self.settings.head_deadline_ms / 1000,
            lingering_time=LINGER_S,
            access_log=None,
            logger=getLogger("node.http.protocol"),
            auto_decompress=False,
            max_line_size=HEAD_LINE_BYTES_MAX,
            max_field_size=HEAD_LINE_BYTES_MAX,
            max_headers=HEAD_FIELDS_MAX,
        )


async def read_body(request: web.BaseRequest, bytes_max: int, deadline_ms: int) -> bytes:
    """Read a body of at most `bytes_max` within the deadline; what is longer is not held.

    Raises:
        Problem: 413 `request.too_large`, 408 `request.timeout`, 400 `request.encoding` or `request.malformed`.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(400, "request.encoding", "bodies are taken as they are, without Content-Encoding")
    if not request.body_exists:
        return b""
    if (request.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    pieces = bytearray()
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            while piece := await request.content.readany():
                pieces += piece
                if len(pieces) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as error:
        raise Problem(408, "request.timeout", f"the body was not complete within {deadline_ms} ms") from error
    except web.RequestPayloadError as error:
        raise Problem(400, "request.malformed", "the body's transfer encoding is broken") from error
    return bytes(pieces)


def _too_large(bytes_max: int) -> Problem:
    if bytes_max == 0:
        return Problem(413, "request.too_large", "this request takes no body")
    return Problem(413, "request.too_large", f"a body has at most {bytes_max} bytes here")
