"""Free loopback ports that stay ours between choosing and binding, as far as that is possible.

They lie below the range from which the system takes the local ports of outgoing connections, so that no connection of
our own takes one meanwhile.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from guildmark.errors import ClusterError

_LOWEST: Final = 10_240
_EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_DEFAULT: Final = 32_768
_TRIES_MAX: Final = 2_000


def choose_ports(count: int) -> list[int]:
    """Choose `count` distinct ports of 127.0.0.1 that are free now.

    Raises:
        ClusterError: `cluster.no_ports`.
    """
    highest = _ephemeral_start() - 1
    chosen: list[int] = []
    generator = random.SystemRandom()
    for _ in range(_TRIES_MAX):
        port = generator.randint(_LOWEST, highest)
        if port not in chosen and is_free(port):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise ClusterError("cluster.no_ports", f"found no {count} free ports from {_LOWEST} to {highest}")


def all_free(ports: Iterable[int]) -> bool:
    """Tell whether every port can be bound now."""
    return all(is_free(port) for port in ports)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _EPHEMERAL_DEFAULT
    return start if start > _LOWEST + 1_000 else _EPHEMERAL_DEFAULT
