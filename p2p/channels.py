"""The channels of a link: their order of priority and their bounds.

A lower number is served first. What happens at a queue's bound: a full consensus queue ends the link (a replica that
misses votes silently is worse than one that reconnects and is told what it lacks); on any other channel the message is
dropped and counted, and `send` returns False.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

KIB: Final = 1024
MIB: Final = 1024 * 1024


class Channel(IntEnum):
    """What a payload is for; also its byte on the wire."""

    CONSENSUS = 0
    BATCHES = 1
    SYNC = 2
    SNAPSHOTS = 3
    CHUNKS = 4
    GOSSIP = 5


CONTROL: Final = 255
"""The wire byte of hello, accept, ping, pong and goodbye. Served before every channel, never visible outside."""
CONTROL_MESSAGE_BYTES_MAX: Final = 4 * KIB
CONTROL_QUEUE_MESSAGES_MAX: Final = 64
"""Control messages waiting for one peer; at the bound the link ends, for the peer is not reading."""


class ChannelLimits(NamedTuple):
    """Bounds of one channel of one link."""

    message_bytes_max: int
    """Largest payload; checked from the header, before anything is allocated for it."""
    queue_bytes_max: int
    """Bytes waiting to be written to one peer, headers included."""
    queue_messages_max: int
    """Messages waiting to be written to one peer."""


LIMITS: Final[dict[Channel, ChannelLimits]] = {
    Channel.CONSENSUS: ChannelLimits(4 * MIB, 16 * MIB, 8_192),
    Channel.BATCHES: ChannelLimits(8 * MIB, 32 * MIB, 2_048),
    Channel.SYNC: ChannelLimits(16 * MIB, 48 * MIB, 512),
    Channel.SNAPSHOTS: ChannelLimits(8 * MIB, 32 * MIB, 64),
    Channel.CHUNKS: ChannelLimits(4 * MIB, 16 * MIB, 128),
    Channel.GOSSIP: ChannelLimits(1 * MIB, 4 * MIB, 4_096),
}

MESSAGE_BYTES_MAX: Final[dict[int, int]] = {
    CONTROL: CONTROL_MESSAGE_BYTES_MAX,
    **{int(channel): limits.message_bytes_max for channel, limits in LIMITS.items()},
}
"""Wire byte of a channel -> largest payload. A byte that is not a key here names no channel."""
