"""Whether two sets of runs differ in a figure.

The ratio of the medians gets an interval by a bootstrap over runs: a run is the unit of chance, never a request in it,
because requests of one run share its luck. What the same program differs from itself by is estimated from A alone: its
runs are split in two at random, many times, and compared as if they were A and B. The verdict is "no difference" unless
the interval excludes 1 **and** the effect is larger than that noise floor.

With no true difference a figure is called different in less than one of twenty comparisons; `tests/unit` holds that
for even, skewed, heavy-tailed and drifting runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

RUNS_MIN: Final = 5
"""Runs of each that any verdict but "no difference" takes: with fewer, resampling repeats too few values."""
RUNS_DEFAULT: Final = 10
RESAMPLES: Final = 4_000
SPLITS: Final = 1_000
CONFIDENCE: Final = 0.95


class Verdict(msgspec.Struct, frozen=True):
    """One figure of B against A."""

    ratio: float
    """Median of B by median of A."""
    low: float
    high: float
    """The interval of `ratio`, at `CONFIDENCE`."""
    floor: float
    """How far A is from itself, as a share: 0.03 is a ratio of up to 1.03, or down to 1/1.03, by chance."""
    different: bool
    enough: bool
    """Whether there were enough runs to show a difference at all."""

    @property
    def text(self) -> str:
        if not self.different:
            return "no difference" if self.enough else f"no difference (fewer than {RUNS_MIN} runs show none)"
        return "B is higher" if self.ratio > 1 else "B is lower"


def judge(a: Sequence[float], b: Sequence[float], *, seed: int = 1) -> Verdict:
    """Compare positive figures of runs; the same values and seed give the same verdict. Raises ValueError."""
    import numpy as np

    if not a or not b or min(*a, *b) <= 0:
        raise ValueError("figures of runs must be positive and there must be some of each")
    rng = np.random.default_rng(seed)
    one, other = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    ratio = float(np.median(other) / np.median(one))
    ratios = _resampled_medians(other, rng) / _resampled_medians(one, rng)
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(value) for value in np.quantile(ratios, [tail, 1 - tail]))
    floor = _noise_floor(one, rng)
    enough = min(len(a), len(b)) >= RUNS_MIN
    effect = max(ratio, 1 / ratio) - 1
    different = enough and not low <= 1 <= high and effect > floor
    return Verdict(ratio, low, high, floor, different, enough)


def _resampled_medians(values: NDArray[numpy.float64], rng: numpy.random.Generator) -> Any:
    import numpy as np

    return np.median(rng.choice(values, (RESAMPLES, len(values))), axis=1)


def _noise_floor(values: NDArray[numpy.float64], rng: numpy.random.Generator) -> float:
    """The effect that halves of one set of runs stay below with probability `CONFIDENCE`; 0 for a single run."""
    import numpy as np

    half = len(values) // 2
    if not half:
        return 0.0
    shuffled = rng.permuted(np.tile(values, (SPLITS, 1)), axis=1)
    ratios = np.median(shuffled[:, :half], axis=1) / np.median(shuffled[:, half:], axis=1)
    return float(np.quantile(np.maximum(ratios, 1 / ratios), CONFIDENCE)) - 1
