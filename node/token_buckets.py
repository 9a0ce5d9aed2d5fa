"""Token buckets, one for each name, in a bounded map."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

BURST_FACTOR: Final = 2
"""A full bucket holds what two seconds bring."""


class TokenBuckets:
    """How often each name may do something."""

    def __init__(self, per_second: int, names_max: int) -> None:
        """`names_max` are remembered; beyond it the one that was silent longest starts anew with a full bucket."""
        self._per_second = per_second
        self._burst = float(per_second * BURST_FACTOR)
        self._names_max = names_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Name -> (tokens, time in seconds at which there were so many)."""

    def left(self, name: str, now_s: float) -> int:
        """Return how many whole tokens there are for a name."""
        tokens, since_s = self._buckets.get(name, (self._burst, now_s))
        return int(min(self._burst, tokens + max(0.0, now_s - since_s) * self._per_second))

    def take(self, name: str, now_s: float) -> bool:
        """Take one token of a name; False when there is none. A clock that steps back brings nothing."""
        tokens, since_s = self._buckets.pop(name, (self._burst, now_s))
        tokens = min(self._burst, tokens + max(0.0, now_s - since_s) * self._per_second)
        allowed = tokens >= 1
        self._buckets[name] = (tokens - 1 if allowed else tokens, now_s)
        if len(self._buckets) > self._names_max:
            self._buckets.popitem(last=False)
        return allowed
