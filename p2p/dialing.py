"""How to dial a peer and when to try again: at once, then after delays that double up to a cap, half of each random.

A peer that is down for an hour costs one SYN in a few seconds, and the nodes of a network that starts again do not
knock in step.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable

from p2p.errors import P2pError
from p2p.link import Link
from p2p.options import LinkOptions


class Backoff:
    """Delays before the next attempt."""

    def __init__(self, options: LinkOptions, chance: random.Random) -> None:
        self._options = options
        self._chance = chance
        self._failures = 0

    def next_delay_s(self) -> float:
        """Return the delay after one more failure, in seconds."""
        # The exponent is bounded before it is used: a peer that is down for a month must not make a huge number.
        doubled_ms = self._options.redial_ms_min << min(self._failures, 16)
        self._failures += 1
        return min(doubled_ms, self._options.redial_ms_max) * self._chance.uniform(0.5, 1.0) / 1_000

    def reset(self) -> None:
        """Start from the shortest delay again: a link was up for long enough."""
        self._failures = 0


class InvalidAddress(P2pError):
    """Not `host:port`."""


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port`, `[v6]:port`.

    Raises:
        InvalidAddress: it is not of that form.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65_535:
        raise InvalidAddress(f"{address[:80]!r} is not host:port")
    return host, int(port)


async def dial(
    loop: asyncio.AbstractEventLoop,
    address: str,
    context: ssl.SSLContext,
    options: LinkOptions,
    new_link: Callable[[], Link],
) -> None:
    """Connect and shake hands. The link then speaks for itself; it may be closed already when this returns.

    Raises:
        OSError: no name of a host, no connection, TLS refused, or too late (TimeoutError and SSLError are OSErrors).
        InvalidAddress: the registry's address cannot be dialed.
    """
    host, port = split_address(address)
    try:
        async with asyncio.timeout(options.dial_timeout_ms / 1_000):
            await loop.create_connection(
                new_link,
                host,
                port,
                ssl=context,
                server_hostname="",  # certificates name nodes, not hosts
                ssl_handshake_timeout=options.handshake_timeout_ms / 1_000,
                ssl_shutdown_timeout=options.close_timeout_ms / 1_000,
            )
    except OSError:
        raise
    except ValueError as error:  # members register what they like: no host can have such a name
        raise OSError(f"{host[:80]!r} is no name of a host: {error}") from error
