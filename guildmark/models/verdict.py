"""What a measurement says about a claim, so that every honest evaluator says the same.

A run knows between which bounds the runs of others lie (`metrics.Measured`). Where all of that is within the claim's
tolerance, the claim is reproduced; where none of it is, contradicted; else the run states nothing. A value without a
claim is stated where its bounds are as near as its evaluator allows: by default where they are equal.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from guildmark.models.metrics import Measured

Verdict = Literal["reproduced", "contradicted", "no claim", "undecided"]
"""`undecided`: another order of additions could come to another verdict, or to another value; nothing is stated."""


class Claim(msgspec.Struct, frozen=True):
    """What the owner says that the version reaches on this data set."""

    value_ppm: int
    tolerance_ppm: int = 0
    """How far a value may lie from it, on either side."""


def judge(measured: Measured, claim: Claim | None, spread_max_ppm: int = 0) -> Verdict:
    """Compare; `spread_max_ppm` counts where there is no claim."""
    if claim is None:
        return "no claim" if measured.spread_ppm <= spread_max_ppm else "undecided"
    least, greatest = claim.value_ppm - claim.tolerance_ppm, claim.value_ppm + claim.tolerance_ppm
    if least <= measured.least_ppm and measured.greatest_ppm <= greatest:
        return "reproduced"
    if measured.greatest_ppm < least or measured.least_ppm > greatest:
        return "contradicted"
    return "undecided"
