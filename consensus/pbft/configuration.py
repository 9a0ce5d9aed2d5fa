"""What a replica is told at its birth. Sizes that must be equal everywhere come from the genesis; times are local."""

from __future__ import annotations

import msgspec


class Configuration(msgspec.Struct, frozen=True):
    window: int = 256
    """Sequences between the watermarks (genesis)."""
    proposal_bytes_max: int = 4 * 1024 * 1024
    """Bytes of items in one proposal (genesis)."""
    batches_per_proposal_max: int = 64
    """Genesis."""
    pipeline_depth: int = 4
    """Sequences that a primary keeps undecided at once, 1..window."""
    execution_lag_max: int = 2
    """Decided sequences awaiting execution above which a primary proposes nothing new."""
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
