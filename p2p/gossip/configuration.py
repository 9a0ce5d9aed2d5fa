"""What a node's gossip is told at its birth. All of it is local: no two nodes need the same values."""

from __future__ import annotations

from typing import Final

import msgspec

from p2p.gossip.messages import SAMPLE_NODES_MAX, WALK_NODES_MAX

_RANGES: Final = {
    "active_max": (2, 32),
    "own_choices": (1, 16),
    "places_left": (0, 31),
    "passive_max": (4, 256),
    "join_steps": (1, WALK_NODES_MAX - 1),
    "passive_steps": (0, WALK_NODES_MAX - 1),
    "shuffle_steps": (1, WALK_NODES_MAX - 1),
    "shuffle_nodes": (1, SAMPLE_NODES_MAX - 1),
    "shuffle_period_ms": (100, 3_600_000),
    "recap_period_ms": (50, 60_000),
    "recap_entries": (1, 128),
    "silence_ms": (100, 600_000),
    "rotation_period_ms": (1_000, 86_400_000),
    "request_timeout_ms": (50, 60_000),
    "retry_ms": (50, 600_000),
    "tick_ms": (5, 1_000),
    "pull_delay_ms": (10, 60_000),
    "pull_step_ms": (0, 10_000),
    "pull_timeout_ms": (10, 60_000),
    "hops_gain_min": (1, 32),
    "seen_max": (64, 1_048_576),
    "seen_age_ms": (1_000, 86_400_000),
    "missing_per_peer_max": (8, 4_096),
    "verifying_per_peer_max": (1, 1_024),
    "messages_per_second": (10, 1_000_000),
    "bytes_per_second": (64 * 1024, 1_073_741_824),
    "purse_seconds": (1, 60),
    "drops_max": (1, 1_000_000),
    "ban_ms": (0, 86_400_000),
}
"""Field -> smallest and largest value."""


class GossipConfiguration(msgspec.Struct, frozen=True):
    """Raises ValueError, naming field and range, when a value is out of its range."""

    active_max: int = 5
    """Neighbors at most: the node's fan-out."""
    own_choices: int = 2
    """Places among them that only nodes fill which this one drew from the registry: those who ask cannot take them. At
    most half, for whom one node chooses must have a place for those who ask."""
    places_left: int = 1
    """Places that are not filled by asking, so that those who ask find one. A source asks until it is full, with 0: the
    links next to it are what makes the tree flat."""
    passive_max: int = 30
    """Nodes remembered as replacements."""
    join_steps: int = 6
    """Length of the walk of a node that joined (HyParView's ARWL)."""
    passive_steps: int = 3
    """Steps left at which the walk leaves its node in a passive view (PRWL)."""
    shuffle_steps: int = 4
    shuffle_nodes: int = 7
    """Names that a shuffle carries beside the origin's."""
    shuffle_period_ms: int = 10_000
    recap_period_ms: int = 2_000
    """How often each neighbor is told of the last payloads again: it repairs lost announcements, and shows life."""
    recap_entries: int = 32
    silence_ms: int = 9_000
    """A neighbor that was not heard for so long is none any more."""
    rotation_period_ms: int = 120_000
    """How often a full view gives up a neighbor that had asked, so that no place is taken forever."""
    request_timeout_ms: int = 3_000
    """How long a link and an answer are waited for."""
    retry_ms: int = 5_000
    """A node that could not be reached, or had no room, is not asked again for so long."""
    tick_ms: int = 50
    """The grain of short timers, and how long announcements are gathered."""
    pull_delay_ms: int = 200
    """How long an announced payload is waited for before it is pulled; and `pull_step_ms` more for each hop of the
    last one that came by the tree: where a push was lost, the uppermost node should pull, and push to those below."""
    pull_step_ms: int = 100
    pull_timeout_ms: int = 400
    """How long a pull may be unanswered."""
    hops_gain_min: int = 2
    """A lazy link is made eager when it would have brought a payload over so many links fewer."""
    seen_max: int = 65_536
    """Ids remembered; the oldest is forgotten first."""
    seen_age_ms: int = 600_000
    missing_per_peer_max: int = 256
    """Announced ids of one neighbor that are waited for; more are ignored, at its cost."""
    verifying_per_peer_max: int = 32
    """Payloads of one neighbor that wait for the host's verdict; more are dropped and come again when announced."""
    messages_per_second: int = 1_000
    """What a peer's purse gains; see `p2p.gossip.purses` for what things cost."""
    bytes_per_second: int = 8 * 1024 * 1024
    purse_seconds: int = 2
    """A full purse holds what so many seconds bring."""
    drops_max: int = 2_000
    """Messages that a peer with an empty purse may go on sending until it is named and cut."""
    ban_ms: int = 60_000
    """How long one that misbehaved is no neighbor."""

    def __post_init__(self) -> None:
        for field, (low, high) in _RANGES.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise ValueError(f"{field} is {value}; allowed are {low} to {high}")
        if 2 * self.own_choices > self.active_max:
            raise ValueError("own_choices is above half of active_max: those that nodes choose would have no places")
