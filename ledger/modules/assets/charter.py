"""What an asset's owners may agree on about deciding together. What a charter is for says `ledger.modules.charters`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ledger.modules.fields import Alias, Amount, Part

VOTED_ALIASES_MAX: Final = 16

Guarded: TypeAlias = Literal["contributions", "management", "terms"]
"""What is left to votes, beside aliases: accepting contributions, naming the manager, offering licenses and withdrawing
the offers."""
VotingPeriodMs: TypeAlias = Annotated[int, msgspec.Meta(ge=60_000, le=30 * 24 * 3_600_000)]
"""A minute to 30 days."""


class Majority(Part, frozen=True):
    """What one kind of decision takes."""

    quorum_bps: Annotated[int, msgspec.Meta(ge=1, le=6_667)]
    """Of all shares: so many must vote. At most two thirds, so that a third that is silent holds nothing up."""
    threshold_bps: Annotated[int, msgspec.Meta(ge=5_001, le=9_000)]
    """Of the shares that vote: so many must be in favor."""


class Charter(Part, frozen=True):
    """How the owners of an asset decide together, by the shares that they hold when something is proposed."""

    voting_period_ms: VotingPeriodMs
    terms: Majority
    """Offering licenses, and withdrawing offers."""
    aliases: Majority
    contributions: Majority
    management: Majority
    """Naming the manager."""
    payments: Majority
    """Payments from the asset's treasury."""
    charter: Majority
    """Changing this charter. What a change makes of another kind of decision must have that kind's majority too."""
    dissolution: Majority
    drag_along_bps: Annotated[int, msgspec.Meta(ge=6_667, le=10_000)]
    """Of all shares: so many must be in favor of selling the whole, and all are sold with them."""
    least_price: Amount = 0
    """For the whole, below which nobody is dragged along; beside it counts what shares were sold for."""
    treasury_bps: Annotated[int, msgspec.Meta(ge=0, le=5_000)] = 0
    """Of all income of the owners: so much is set aside in the asset's treasury, and never more than half."""
    voted: Annotated[tuple[Guarded, ...], msgspec.Meta(max_length=3)] = ()
    """What only a vote does, in order; otherwise the manager, or consents, may do it too."""
    voted_aliases: Annotated[tuple[Alias, ...], msgspec.Meta(max_length=VOTED_ALIASES_MAX)] = ()
    """Aliases that only a vote moves, in order."""
