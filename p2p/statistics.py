"""What happened on the links, as plain counters for metrics. Every label comes from a closed set."""

from __future__ import annotations

from collections import Counter

import msgspec

from p2p.channels import Channel
from p2p.errors import ORDINARY, Reason


class Statistics(msgspec.Struct):
    """Counters since the start of the process; the last three fields are values of the moment."""

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: Counter[Channel] = msgspec.field(default_factory=Counter)
    """Accepted by a peer's queue."""
    messages_received: Counter[Channel] = msgspec.field(default_factory=Counter)
    messages_dropped: Counter[Channel] = msgspec.field(default_factory=Counter)
    """Refused by a peer's full queue."""
    refusals: Counter[Reason] = msgspec.field(default_factory=Counter)
    """Connections turned away, and links closed for what the peer did."""
    closures: Counter[Reason] = msgspec.field(default_factory=Counter)
    """Links that were up and ended, whoever was the cause."""
    links_opened: int = 0
    dials: int = 0
    log_lines_suppressed: int = 0
    peers_connected: int = 0
    unauthenticated: int = 0
    """Connections accepted whose hello is not acknowledged yet."""
    queue_bytes: Counter[Channel] = msgspec.field(default_factory=Counter)
    """Bytes waiting for all peers."""

    def refused(self, reason: Reason) -> None:
        """Count `reason`, unless it blames nobody."""
        if reason not in ORDINARY:
            self.refusals[reason] += 1
