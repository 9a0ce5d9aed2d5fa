"""The garbage collector, told what a node is like: much that stays, little that forms cycles."""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (100_000, 20, 100)
"""What may be there more than at the last look before the youngest are looked at (about as much as a large block makes,
and gives back), of those looks before the middle ones are, of these before all are: a look at all takes tens of
milliseconds with a large state. Python's defaults are made for small programs, and look at all the oftener the more is
frozen."""


def settle() -> None:
    """What was loaded stays: the collector need not look at it again, nor often at what comes to live long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
