"""When each request is due. Fixed before the run by rate and seed, and never moved by what the network does."""

from __future__ import annotations

import random
from typing import Literal

import numpy
from numpy.typing import NDArray

NS: int = 1_000_000_000


def due_times(
    arrivals: Literal["poisson", "uniform"], requests_per_s: float, seconds: float, seed: int
) -> NDArray[numpy.int64]:
    """Return nanoseconds from the beginning at which requests are due, in order, all before `seconds`.

    A request is what arrives: all its transactions are due at its time.
    """
    if arrivals == "uniform":
        count = int(seconds * requests_per_s)
        return ((numpy.arange(count) + 0.5) / requests_per_s * NS).astype(numpy.int64)
    rng = random.Random(f"arrivals {seed}")
    found: list[int] = []
    at = rng.expovariate(requests_per_s)
    while at < seconds:
        found.append(int(at * NS))
        at += rng.expovariate(requests_per_s)
    return numpy.array(found, dtype=numpy.int64)
