"""Accepting connections from strangers, within caps.

asyncio's own server starts TLS for whoever connects, and a silent connection then holds about 300 KiB until its
handshake times out. Here a connection is counted from `accept` until its hello is acknowledged, and TLS begins only
when the first byte of a handshake has come.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from p2p.anchors import Anchors
from p2p.errors import LinkRefused, Reason
from p2p.link import Link
from p2p.options import LinkOptions
from primitives.identifiers import NodeId

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Starts a coroutine; given by the node, where tasks are born and their failures are seen."""

BACKLOG: Final = 128
ACCEPTS_PER_TURN_MAX: Final = 32
RETRY_ACCEPT_AFTER_S: Final = 0.5
"""When the process is out of file descriptors."""
_TLS_HANDSHAKE_RECORD: Final = 0x16
_EXPIRED_VERIFY_CODES: Final = frozenset({9, 10})
"""OpenSSL: not yet valid, has expired."""


class ListenerOwner(Protocol):
    """What the listener needs of the network."""

    options: LinkOptions
    anchors: Anchors

    def new_link(self, dialed: NodeId | None) -> Link: ...

    def is_registered_address(self, host: str) -> bool: ...

    def connection_refused(self, host: str, reason: Reason, detail: str) -> None: ...


class Listener:
    """Owns the listening socket and counts the connections that are not links yet."""

    def __init__(self, owner: ListenerOwner, loop: asyncio.AbstractEventLoop, spawn: Spawn) -> None:
        self._owner = owner
        self._loop = loop
        self._spawn = spawn
        self._socket: socket.socket | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._by_host: Counter[str] = Counter()
        self._strangers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._raw: set[socket.socket] = set()
        """Connections that no transport owns yet."""

    @property
    def unauthenticated(self) -> int:
        """Accepted connections whose hello is not acknowledged yet."""
        return self._by_host.total()

    def start(self, host: str, port: int) -> tuple[str, int]:
        """Bind and begin to accept. Return the bound address.

        Raises:
            OSError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._accept)
        bound = self._socket.getsockname()
        return str(bound[0]), int(bound[1])

    async def stop(self) -> None:
        """Stop accepting and give up what is not a link yet."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._retry is not None:
            self._retry.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN_MAX):
            if self._socket is None:
                return
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of descriptors: the queue of the kernel waits, the loop must not spin on it.
                self._owner.connection_refused("", Reason.TOO_MANY_CONNECTIONS, str(error))
                self._loop.remove_reader(self._socket)
                self._retry = self._loop.call_later(RETRY_ACCEPT_AFTER_S, self._resume_accepting)
                return
            self._admit(connection, str(address[0]))

    def _resume_accepting(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._accept)

    def _admit(self, connection: socket.socket, host: str) -> None:
        """Count the connection in, or close it. Addresses of registered nodes have room that strangers cannot fill."""
        options = self._owner.options
        stranger = not self._owner.is_registered_address(host)
        full = stranger and self._strangers >= options.unauthenticated_max
        if full or self._by_host[host] >= options.unauthenticated_per_address_max:
            connection.close()
            self._forget_if_zero(host)
            self._owner.connection_refused(host, Reason.TOO_MANY_CONNECTIONS, f"{self.unauthenticated} wait already")
            return
        connection.setblocking(False)
        self._by_host[host] += 1
        self._strangers += stranger
        self._raw.add(connection)
        task = self._spawn(self._shake_hands(connection, host))
        self._tasks.add(task)

        def done(finished: asyncio.Task[None]) -> None:
            self._tasks.discard(finished)
            self._by_host[host] -= 1
            self._forget_if_zero(host)
            self._strangers -= stranger
            if connection in self._raw:  # refused or canceled before a transport owned it
                self._raw.discard(connection)
                connection.close()

        task.add_done_callback(done)

    def _forget_if_zero(self, host: str) -> None:
        if not self._by_host[host]:
            del self._by_host[host]

    async def _shake_hands(self, connection: socket.socket, host: str) -> None:
        timeout_s = self._owner.options.handshake_timeout_ms / 1_000
        try:
            await self._first_byte(connection, timeout_s)
            link = self._owner.new_link(None)
        except LinkRefused as refusal:
            self._owner.connection_refused(host, refusal.reason, refusal.detail)
            return
        self._raw.discard(connection)
        try:
            await self._loop.connect_accepted_socket(
                lambda: link,
                connection,
                ssl=self._owner.anchors.server,
                ssl_handshake_timeout=timeout_s,
                ssl_shutdown_timeout=self._owner.options.close_timeout_ms / 1_000,
            )
        except OSError as error:  # ssl.SSLError is one
            self._owner.connection_refused(host, reason_of(error), str(error))
            return
        await link.settled

    async def _first_byte(self, connection: socket.socket, timeout_s: float) -> None:
        """Wait for the first byte and look at it, without taking it."""
        readable = self._loop.create_future()

        def on_readable() -> None:
            if not readable.done():
                readable.set_result(None)

        self._loop.add_reader(connection, on_readable)
        try:
            async with asyncio.timeout(timeout_s):
                await readable
            first = connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            raise LinkRefused(Reason.SILENT_CONNECT) from None
        except OSError as error:
            raise LinkRefused(Reason.HANDSHAKE_FAILED, str(error)) from error
        finally:
            self._loop.remove_reader(connection)
        if not first:
            raise LinkRefused(Reason.SILENT_CONNECT, "closed without a byte")
        if first[0] != _TLS_HANDSHAKE_RECORD:
            raise LinkRefused(Reason.NOT_TLS, f"first byte 0x{first[0]:02x}")


def reason_of(error: OSError) -> Reason:
    """Classify the failure of a TLS handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        expired = error.verify_code in _EXPIRED_VERIFY_CODES
        return Reason.CERTIFICATE_EXPIRED if expired else Reason.CERTIFICATE_REFUSED
    if isinstance(error, ssl.SSLError):
        no_certificate = error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
        return Reason.NO_CERTIFICATE if no_certificate else Reason.HANDSHAKE_FAILED
    if isinstance(error, TimeoutError) or "taking longer" in str(error):
        return Reason.HANDSHAKE_TIMEOUT
    return Reason.HANDSHAKE_FAILED
