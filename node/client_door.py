"""Where clients connect: the listening socket of the API, its TLS, and its end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.configuration import Api as ApiSettings
from node.configuration import split_address
from node.failures import AddressUnusable, ConfigurationError
from node.http.application import Api
from node.http.connections import Server
from node.metrics import Reading

STOP_TIMEOUT_S: Final = 2.0
"""How long answers under way may take when the node stops."""
LISTEN_BACKLOG: Final = 512


class ClientDoor:
    """The API of one node, from `listen` to `stop`."""

    def __init__(self, api: Api, settings: ApiSettings, directory: Path) -> None:
        """`directory` is where the configuration's relative paths begin."""
        self._api = api
        self._settings = settings
        self._directory = directory
        self._server: Server | None = None
        self._listener: asyncio.Server | None = None

    async def listen(self) -> str:
        """Begin to listen; return the base URL.

        Raises:
            ConfigurationError: the certificate or its key cannot be read. AddressUnusable: the address cannot be bound.
        """
        settings = self._settings
        host, port = split_address(settings.listen)
        context = self._tls_context()
        server = self._server = self._api.server()
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                server, host, port, ssl=context, backlog=LISTEN_BACKLOG
            )
        except OSError as error:
            raise AddressUnusable(f"api.listen: {settings.listen}: {error.strerror or error}") from error
        bound = self._listener.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        return f"{'http' if context is None else 'https'}://{shown}:{bound[1]}"

    def _tls_context(self) -> ssl.SSLContext | None:
        settings = self._settings
        if not settings.tls_certificate:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._directory / settings.tls_certificate, self._directory / settings.tls_key)
        except OSError as error:
            raise ConfigurationError(
                f"api.tls_certificate and api.tls_key ({settings.tls_certificate}, {settings.tls_key}): {error}"
            ) from error
        return context

    async def stop(self) -> None:
        """Take no more connections, answer who waits, and end."""
        if self._listener is not None:
            self._listener.close()
        self._api.waiters.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(STOP_TIMEOUT_S)

    def readings(self) -> Iterator[Reading]:
        """Metrics; none before it listens."""
        if self._server is None:
            return
        yield Reading("guildmark_http_connections", "Open connections of clients", self._server.open_connections)
        refused = self._server.connections_refused
        yield Reading("guildmark_http_connections_refused", "Closed at once", refused, kind="counter")
        yield Reading("guildmark_http_waiting", "Clients that wait for news", self._api.waiters.waiting)
