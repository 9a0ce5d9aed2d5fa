"""How often one client may ask.

Loopback is exempt: what runs on the machine, a reverse proxy above all, sets its own limits.
"""

from __future__ import annotations

from typing import Final

from node.configuration import is_loopback
from node.token_buckets import TokenBuckets

CLIENTS_MAX: Final = 4_096
"""Addresses remembered."""


class RateLimits:
    def __init__(self, requests_per_second: int) -> None:
        self._buckets = TokenBuckets(requests_per_second, CLIENTS_MAX)

    def take(self, address: str, now_s: float) -> bool:
        """Take one token for a request of `address`; False when there is none."""
        return is_loopback(address) or self._buckets.take(address, now_s)
