"""HTTP to any of several nodes: the next is asked when one is silent, and all again, ever slower, until a deadline.

Only requests that may be repeated without harm go through here, and all of this API may: transactions have an id,
blocks of artifacts a hash. An answer of a node is final unless it says that this node cannot help now (429, 5xx).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
import stamina

from guildmark import retries
from guildmark.errors import Denied, GuildmarkError, InvalidArgument, NotFound, Refused, Unreachable

RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A longer answer is refused: no answer of the API is near it."""
CONNECTIONS_MAX: Final = 32
CONNECT_TIMEOUT_S: Final = 3.0
REQUEST_TIMEOUT_S: Final = 10.0
"""Longest silence of a node within one request, beside the time that it is asked to wait."""
SPREAD_S: Final = 2.0
"""How long the other nodes may take for what one has taken already, where all are to have it."""
RETRY_TIMEOUT_S: Final = 15.0
"""How long all nodes together may fail before the caller hears of it."""
AT_LEAST_WAIT_S: Final = 30.0
"""How long a node waits for a height before it says that it is not there yet."""
_WAIT_INITIAL_S: Final = 0.05
_WAIT_MAX_S: Final = 1.0


class Problem(msgspec.Struct, frozen=True):
    """The members of a problem document (RFC 9457) that we use; others are ignored."""

    title: str = ""
    detail: str = ""
    code: str = ""


class Answer(msgspec.Struct, frozen=True):
    """A successful response."""

    status: int
    body: bytes
    url: str

    def json(self) -> Any:
        """Decode the body.

        Raises:
            Unreachable: `node.bad_answer`, the body is not JSON.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unreachable(f"{self.url} did not answer with JSON: {error}", "node.bad_answer") from error


class _Question(NamedTuple):
    """A request, whichever node gets it."""

    method: str
    path: str
    query: Mapping[str, Any] | None
    body: bytes | None
    headers: Mapping[str, str] | None
    wait_s: float
    first: int | None = None
    """Number of the node to begin with; None begins with the last helpful one, and learns which that is."""


class Transport:
    """Connections to the nodes at `urls`. Belongs to one event loop."""

    def __init__(self, urls: str | Sequence[str], *, retry_timeout_s: float = RETRY_TIMEOUT_S) -> None:
        """Raises InvalidArgument `argument.url` for what is no address of a node."""
        self.urls = [_base_url(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not self.urls:
            raise ValueError("a client needs the URL of at least one node")
        self.retry_timeout_s = retry_timeout_s
        self._preferred = 0
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def prefer_next(self) -> None:
        """Begin the next request at another node: the last one answered wrongly."""
        self._preferred = (self._preferred + 1) % len(self.urls)

    async def get_json(self, path: str, query: Mapping[str, Any] | None = None, wait_s: float = 0.0) -> Any:
        """GET a JSON document. Raises as `request`."""
        return (await self.request("GET", path, query=query, wait_s=wait_s)).json()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        other_node_on: Sequence[int] = (),
        wait_s: float = 0.0,
        first: int | None = None,
    ) -> Answer:
        """Ask the nodes in turn, the last helpful one first, or number `first`. `path` is absolute and already quoted.

        `wait_s` is how long the node is asked to wait before it answers. A status in `other_node_on` makes the next
        node be asked; when no node answers better, the first that is no 404 is raised.

        Raises:
            NotFound, Denied, Refused: a node's answer, with its code.
            Unreachable: no node answered within the retry time.
        """
        maybe_received = False
        asked = _Question(method, path, query, body, headers, wait_s, first)
        async for attempt in stamina.retry_context(
            on=Unreachable,
            attempts=None,
            timeout=self.retry_timeout_s,
            wait_initial=_WAIT_INITIAL_S,
            wait_max=_WAIT_MAX_S,
            wait_jitter=_WAIT_INITIAL_S,
        ):
            with attempt:
                try:
                    return await self._round(asked, other_node_on)
                except Unreachable as error:
                    retries.hush()
                    error.maybe_received = maybe_received = maybe_received or error.maybe_received
                    raise
        raise AssertionError("a retry context ends with a return or a raise")

    async def offer_everywhere(self, path: str, body: bytes) -> bool:
        """POST `body` to every node at once; tell whether any has taken it. Those that have not hear no more of it.

        For what one dishonest node alone must not be able to hold back.
        """
        asked = _Question("POST", path, None, body, None, 0.0)
        offers = {asyncio.ensure_future(self._offer(node, asked)) for node in self.urls}
        waiting, taken = offers, False
        try:
            while waiting and not taken:
                answered, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                taken = any(offer.result() for offer in answered)
            if waiting:
                await asyncio.wait(waiting, timeout=SPREAD_S)
        finally:
            for offer in offers:
                offer.cancel()
            await asyncio.gather(*offers, return_exceptions=True)
        return taken

    async def _offer(self, node: str, asked: _Question) -> bool:
        try:
            return (await self._once(node, asked)).status < 400
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def _round(self, asked: _Question, other_node_on: Sequence[int]) -> Answer:
        failures: list[str] = []
        maybe_received = False
        passed_over: GuildmarkError | None = None
        for turn in range(len(self.urls)):
            begin = self._preferred if asked.first is None else asked.first
            index = (begin + turn) % len(self.urls)
            try:
                answer = await self._once(self.urls[index], asked)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failures.append(f"{self.urls[index]}: {_words(error)}")
                maybe_received = maybe_received or not isinstance(error, aiohttp.ClientConnectorError)
                continue
            if answer.status < 400:
                if asked.first is None:
                    self._preferred = index
                return answer
            refusal = _problem(answer)
            if isinstance(refusal, Unreachable):
                failures.append(f"{self.urls[index]}: {refusal.message}")
                maybe_received = maybe_received or answer.status not in (429, 503)
            elif answer.status in other_node_on:
                if passed_over is None or isinstance(passed_over, NotFound):
                    passed_over = refusal  # who refuses knows more than who has not heard of it yet
            else:
                self._preferred = index
                raise refusal
        if passed_over is not None:
            raise passed_over
        raise Unreachable("; ".join(failures), maybe_received=maybe_received)

    async def _once(self, node: str, asked: _Question) -> Answer:
        url = node + asked.path
        binary = {"Content-Type": "application/octet-stream"} if asked.body is not None else {}
        async with self._connections().request(
            asked.method,
            url,
            params={key: _text(value) for key, value in (asked.query or {}).items() if value is not None},
            data=asked.body,
            headers={**binary, **(asked.headers or {})},
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=REQUEST_TIMEOUT_S + asked.wait_s
            ),
        ) as response:
            return Answer(response.status, await _read(response), url)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX), auto_decompress=False
            )
        return self._session


def _base_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no port, or half an IPv6 address
        valid = False
    if not valid:
        raise InvalidArgument("argument.url", f"not a node's URL like http://127.0.0.1:8080: {url[:200]!r}")
    return url.rstrip("/")


def path(*segments: str | int) -> str:
    """Join and quote the segments of a path below `/v1`."""
    return "/v1/" + "/".join(quote(str(segment), safe="") for segment in segments)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.hex() if isinstance(value, bytes) else str(value)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces = bytearray()
    async for piece in response.content.iter_chunked(1 << 18):
        pieces += piece
        if len(pieces) > RESPONSE_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {RESPONSE_BYTES_MAX} bytes")
    return bytes(pieces)


def _words(error: Exception) -> str:
    """Say what the system said of a connection, without the library's repetition of the address."""
    if type(error) is aiohttp.ClientConnectorError and (number := error.os_error.errno) and number > 0:
        return os.strerror(number)
    if isinstance(error, aiohttp.ClientConnectorDNSError) and error.os_error.strerror:
        return error.os_error.strerror
    return str(error) or type(error).__name__


def _problem(answer: Answer) -> GuildmarkError:
    """Turn an error response into ours."""
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        problem = Problem()
    code = problem.code or f"http.{answer.status}"
    message = problem.detail or problem.title or f"status {answer.status}"
    if answer.status == 429 or answer.status >= 500:
        return Unreachable(f"{message} ({code})", "node.busy" if answer.status == 429 else "node.not_serving")
    if answer.status == 404:
        return NotFound(code, message)
    if answer.status in (401, 403):
        return Denied(code, message)
    return Refused(code, message)


async def pause(seconds: float) -> None:
    """Wait; a name of its own so that callers of this room need no asyncio."""
    await asyncio.sleep(seconds)
