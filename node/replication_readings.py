"""What the metrics say about replication."""

from __future__ import annotations

from collections.abc import Iterator

from node.metrics import Reading
from node.replication import Replication


def replication_readings(replication: Replication) -> Iterator[Reading]:
    """Read the counters of one node's replication."""
    counters = replication.counters
    yield Reading("guildmark_artifacts_pending", "Versions not yet held and stated", replication.pending)
    yield Reading("guildmark_artifacts_waiting", "Artifacts that are not being fetched: no source", replication.waiting)
    for name, text, value in (
        ("blocks_fetched", "Blocks taken from peers", counters.blocks_fetched),
        ("bytes_fetched", "Bytes of blocks taken from peers", counters.bytes_fetched),
        ("blocks_served", "Blocks given to peers", counters.blocks_served),
        ("bytes_served", "Bytes of blocks given to peers", counters.bytes_served),
        ("blocks_wrong", "Blocks from peers that were not what was asked for", counters.blocks_wrong),
        ("answers_late", "Blocks that a peer did not send in time", counters.answers_late),
        ("interests_unheard", "Interests of peers beyond their rate", counters.interests_unheard),
    ):
        yield Reading(f"guildmark_artifact_{name}", text, value, kind="counter")
