"""Weights and scores: pure functions of integers. S, the unit of weight, is 1,000,000."""

from __future__ import annotations

from math import isqrt
from typing import Final

from ledger.modules.fields import PPM

S: Final = PPM
REVIEW_MAX: Final = 20 * S
"""The most that one review weighs, whatever was paid."""
RATER_MAX: Final = 30 * S
"""The most that all evidence of one account about another weighs at a time."""
ORGANIZATION_MAX: Final = 60 * S
"""The most that all evidence of one organization about an account, or about another organization, weighs at a time."""
LOST_DISPUTE: Final = 20 * S
"""What a lost dispute weighs against who lost it; several who lost it together share it by their parts."""
TIER_MAX: Final = 10


def review_weight(paid: int) -> int:
    """Return the weight of a review by somebody who has paid so many units: S for a credit of 1,000,000 units, growing
    with the square root."""
    return min(isqrt(paid) * 1_000, REVIEW_MAX)


def weight_together(paid: int) -> int:
    """Return what reviews weigh at most that so many units were paid for together: many small payments weigh no more
    than one of their sum."""
    return isqrt(paid) * 1_000


def attestation_weight(tier: int) -> int:
    """Return the weight of what an accredited account of a tier from 1 to TIER_MAX states."""
    assert 1 <= tier <= TIER_MAX
    return tier * S


def net_factor(net: int, claimed: int) -> int:
    """Return the millionths of the weight of reviews that remain where of `claimed` units that they say were paid only
    `net` did not return: the square root, as weights grow with it."""
    return S if net >= claimed else isqrt(net * S * S // claimed)


def score(weight_for: int, weight_against: int) -> int:
    """Return the score in millionths; half of them without evidence."""
    return S * (weight_for + 2 * S) // (weight_for + weight_against + 4 * S)


def confidence(weight_for: int, weight_against: int) -> int:
    """Return in millionths how much the score rests on evidence; 0 without."""
    return S * (weight_for + weight_against) // (weight_for + weight_against + 10 * S)
