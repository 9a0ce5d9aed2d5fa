"""How evidence and payments lose weight with block time: half in 180 days, linear between.

    D(t) = 2^-k * (2H - o) / 2H        where t = k*H + o, 0 <= o < H = 180 days

What weighs w at t0 weighs w * D(t) / D(t0) at t: exactly half a half-life later, from whatever time on. All of it
decays alike, so w / D(t0), the weight in *grid units*, is added up once and for all, and a sum is read at any later
time by one multiplication: nobody has to visit what was added before. A grid weight is rounded up once, when it is
made; sums of them are exact; a reading is rounded down once. So what is read right after it was entered is what was
entered.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final, TypeAlias

import msgspec

HALF_LIFE_MS: Final = 180 * 86_400_000
PERIODS_MAX: Final = 800
"""Half-lives since 1970 after which nothing decays any more (in the year 2364): sums stay below GRID_BYTES_MAX."""
GRID_BYTES_MAX: Final = 128
SCALES_MAX: Final = 256
"""Block times whose place on the grid is remembered; beyond, the least recently asked for is worked out again."""

Grid: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=GRID_BYTES_MAX)]
"""A sum in grid units, big endian without leading zeros; empty is 0."""


def to_grid(weight: int, at_ms: int) -> int:
    """Return in grid units what weighs `weight` at a block time."""
    whole, left = _scale(at_ms)
    return -(-(weight * whole) // left)


def from_grid(value: int, at_ms: int) -> int:
    """Return what a sum in grid units weighs at a block time, rounded down."""
    whole, left = _scale(at_ms)
    return value * left // whole


def wide(value: int) -> bytes:
    """Write a `Grid`."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def narrow(value: bytes) -> int:
    """Read a `Grid`."""
    return int.from_bytes(value, "big")


@lru_cache(maxsize=SCALES_MAX)
def _scale(at_ms: int) -> tuple[int, int]:
    """Return 1 / D(t) as a fraction: numerator, denominator."""
    period, offset = divmod(at_ms, HALF_LIFE_MS)
    if period > PERIODS_MAX:
        period, offset = PERIODS_MAX, HALF_LIFE_MS - 1
    return 2 * HALF_LIFE_MS << period, 2 * HALF_LIFE_MS - offset
