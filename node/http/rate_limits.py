"""How often one client may ask: a token bucket for each address, in a bounded map.

Loopback is exempt: what runs on the machine, a reverse proxy above all, sets its own limits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from node.configuration import is_loopback

CLIENTS_MAX: Final = 4_096
"""Addresses remembered; beyond it the one that was silent longest starts anew with a full bucket."""
BURST_FACTOR: Final = 2


class RateLimits:
    def __init__(self, requests_per_second: int) -> None:
        self._rate = requests_per_second
        self._burst = requests_per_second * BURST_FACTOR
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> (tokens, time in seconds at which there were so many)."""

    def take(self, address: str, now_s: float) -> bool:
        """Take one token for a request of `address`; False when there is none."""
        if is_loopback(address):
            return True
        tokens, since = self._buckets.pop(address, (float(self._burst), now_s))
        tokens = min(float(self._burst), tokens + (now_s - since) * self._rate)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > CLIENTS_MAX:
            self._buckets.popitem(last=False)
        return allowed
