"""Metrics as integers in parts per million, computed from counts alone.

Every figure has three values: the one that this run measured, and the least and the greatest that another order of
floating-point additions could have given (`scoring` says which samples are too close to call). The counts bound each
class and each group by itself; all metrics here rise with right answers and fall with wrong ones, so the bounds of
the counts bound the metric. Ratios are exact fractions until the last step, which rounds down. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

import msgspec

PPM: Final = 1_000_000
TOP: Final = 5
"""How many of the best classes `top5-accuracy` looks at; with fewer classes every sample is right."""


class Class(msgspec.Struct, frozen=True, array_like=True):
    """What happened to one class; the triples are (least, measured, greatest)."""

    samples: int
    """With this label."""
    hits: tuple[int, int, int]
    """Of these, how many got the class."""
    false: tuple[int, int, int]
    """Samples of other labels that got the class."""


class Counts(msgspec.Struct, frozen=True):
    """What a run counted. Sums of samples, so the order in which they came does not matter."""

    samples: int
    undecided: int
    """Samples whose best class, or best five, another arithmetic could tell otherwise."""
    classes: tuple[Class, ...]
    top: tuple[int, int, int]
    """Samples whose label was among the best TOP."""
    groups: tuple[tuple[int, int, int, int], ...]
    """Samples of each group, and its right answers: least, measured, greatest."""


class Measured(msgspec.Struct, frozen=True):
    """One metric of one run, in parts per million."""

    value_ppm: int
    least_ppm: int
    greatest_ppm: int

    @property
    def spread_ppm(self) -> int:
        """How far two honest evaluators can lie apart."""
        return self.greatest_ppm - self.least_ppm


def measure(counts: Counts) -> dict[str, Measured]:
    """Every metric that these counts give, by name."""
    return {name: _measured(metric, counts) for name, metric in _METRICS.items()}


def mean(ratios: Iterable[tuple[int, int]]) -> Fraction:
    """The exact mean of fractions; 0 without any. Those of one denominator are added first: so numbers stay short."""
    sums: dict[int, int] = {}
    count = 0
    for numerator, denominator in ratios:
        sums[denominator] = sums.get(denominator, 0) + numerator
        count += 1
    terms = [Fraction(numerator, denominator) for denominator, numerator in sorted(sums.items())]
    while len(terms) > 1:
        terms = [sum(terms[i : i + 2], Fraction(0)) for i in range(0, len(terms), 2)]
    return terms[0] / count if terms else Fraction(0)


def _measured(metric: Callable[[Counts, int], Fraction], counts: Counts) -> Measured:
    least, value, greatest = (_ppm(metric(counts, which)) for which in (0, 1, 2))
    return Measured(value, least, greatest)


def _ppm(ratio: Fraction) -> int:
    return ratio.numerator * PPM // ratio.denominator


def _of(numerator: int, denominator: int) -> Fraction:
    return Fraction(numerator, denominator) if denominator else Fraction(0)


def _accuracy(counts: Counts, which: int) -> Fraction:
    return _of(sum(item.hits[which] for item in counts.classes), counts.samples)


def _top(counts: Counts, which: int) -> Fraction:
    return _of(counts.top[which], counts.samples)


def _recall(counts: Counts, which: int) -> Fraction:
    """Of the classes that have samples: the others have no recall."""
    return mean((item.hits[which], item.samples) for item in counts.classes if item.samples)


def _precision(counts: Counts, which: int) -> Fraction:
    """Of the classes that have samples; 0 for one that no sample got."""
    return mean(
        (item.hits[which], max(1, item.hits[which] + item.false[2 - which])) for item in counts.classes if item.samples
    )


def _f1(counts: Counts, which: int) -> Fraction:
    """The harmonic mean of precision and recall is 2 hits / (samples + samples that got the class)."""
    return mean(
        (2 * item.hits[which], item.samples + item.hits[which] + item.false[2 - which])
        for item in counts.classes
        if item.samples
    )


def _gap(counts: Counts, which: int) -> Fraction:
    """The largest difference of accuracy between two groups; the bounds take each group's own bounds at their worst."""
    groups = [group for group in counts.groups if group[0]]
    if len(groups) < 2:
        return Fraction(0)
    best = max(_of(group[1 + which], group[0]) for group in groups)
    worst = min(_of(group[3 - which], group[0]) for group in groups)
    return max(Fraction(0), best - worst)


_METRICS: Final[Mapping[str, Any]] = {
    "accuracy": _accuracy,
    "top5-accuracy": _top,
    "balanced-accuracy": _recall,
    "precision-macro": _precision,
    "recall-macro": _recall,
    "f1-macro": _f1,
    "accuracy-gap": _gap,
}
METRICS: Final = tuple(_METRICS)
"""What a classifier is measured by. `balanced-accuracy` and `recall-macro` are one figure that has two names."""
