"""What a replica is told at its birth. Sizes that must be equal everywhere come from the genesis; times are local."""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.errors import ConsensusError
from consensus.messages import BATCHES_PER_PROPOSAL_MAX, ITEM_BYTES_MAX, WINDOW_MAX

_RANGES: Final = {
    "window": (8, WINDOW_MAX),
    "proposal_bytes_max": (ITEM_BYTES_MAX, 64 * 1024 * 1024),
    "batches_per_proposal_max": (1, BATCHES_PER_PROPOSAL_MAX),
    "pipeline_depth": (1, 64),
    "execution_lag_max": (0, 64),
    "proposal_spacing_ms": (0, 10_000),
    "suspicion_timeout_ms": (10, 60_000),
    "suspicion_timeout_cap_ms": (10, 300_000),
    "turn_ms": (0, 600_000),
    "resend_ms": (10, 60_000),
    "status_period_ms": (10, 60_000),
    "clock_tolerance_ms": (10, 60_000),
    "heartbeat_ms": (0, 3_600_000),
}
"""Field -> smallest and largest value."""


class Configuration(msgspec.Struct, frozen=True):
    """Raises ConsensusError, naming field and range, when a value is out of its range."""

    window: int = 256
    """Sequences between the watermarks (genesis)."""
    proposal_bytes_max: int = 4 * 1024 * 1024
    """Bytes of items in one proposal (genesis)."""
    batches_per_proposal_max: int = 64
    """Genesis."""
    pipeline_depth: int = 4
    """Sequences that a primary keeps undecided at once."""
    execution_lag_max: int = 2
    """Decided sequences awaiting execution above which a primary proposes nothing new."""
    proposal_spacing_ms: int = 100
    """While anything that it proposed is undecided or unexecuted, a primary proposes at most so often: many small
    blocks cost everybody more than few large ones."""
    suspicion_timeout_ms: int = 1_000
    """T: how long pending work may see no progress before this replica asks for the next view."""
    suspicion_timeout_cap_ms: int = 8_000
    """T doubles with each view in a row that decided nothing, up to this."""
    turn_ms: int = 5_000
    """R: a view with work in it lasts so long; 0 keeps a primary for as long as it works."""
    resend_ms: int = 500
    """How often a ViewChange is sent again until its view begins."""
    status_period_ms: int = 500
    clock_tolerance_ms: int = 2_000
    """How far a fresh proposal's timestamp may be from this replica's clock."""
    heartbeat_ms: int = 0
    """An idle primary makes an empty block so often; 0 never."""

    def __post_init__(self) -> None:
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise ConsensusError(f"{field} is {value}; allowed are {low} to {high}")
        if self.suspicion_timeout_cap_ms < self.suspicion_timeout_ms:
            raise ConsensusError("suspicion_timeout_cap_ms is smaller than suspicion_timeout_ms")
