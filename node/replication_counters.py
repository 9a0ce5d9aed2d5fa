"""Counts of what a node's replication did, for its metrics."""

from __future__ import annotations

import msgspec


class ReplicationCounters(msgspec.Struct):
    """All since the start."""

    blocks_fetched: int = 0
    """Blocks that came from peers and were stored."""
    bytes_fetched: int = 0
    blocks_served: int = 0
    bytes_served: int = 0
    blocks_wrong: int = 0
    """Blocks from peers that were not what was asked for."""
    answers_late: int = 0
    interests_unheard: int = 0
    """Interests beyond a peer's rate."""
