"""Deadlines and caps of the links, with their defaults and allowed ranges."""

from __future__ import annotations

from typing import Annotated

import msgspec


def _range(low: int, high: int) -> msgspec.Meta:
    return msgspec.Meta(ge=low, le=high)


_Deadline = Annotated[int, _range(10, 600_000)]


class LinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What may be tuned. `checked()` refuses values out of their range."""

    software_version: Annotated[str, msgspec.Meta(max_length=64)] = "guildmark"
    """Told to peers, and to nobody before TLS has named them."""
    dial_timeout_ms: _Deadline = 8_000
    """From the first SYN to the end of the TLS handshake."""
    handshake_timeout_ms: Annotated[int, _range(10, 5_000)] = 5_000
    """TLS handshake, and the wait for its first byte on an accepted connection."""
    hello_timeout_ms: _Deadline = 5_000
    """From the end of the TLS handshake to the acknowledged hello."""
    ping_interval_ms: _Deadline = 2_000
    silence_timeout_ms: _Deadline = 10_000
    """A peer from which not a byte came for so long is dead (its own pings would have come)."""
    pong_timeout_ms: _Deadline = 30_000
    """A peer that sends but leaves a ping unanswered for so long does not read."""
    write_stall_timeout_ms: _Deadline = 15_000
    """Our bytes wait and the transport takes none of them for so long."""
    segment_timeout_ms: _Deadline = 30_000
    """From the first to the last byte of one segment (at most 32 KiB)."""
    close_timeout_ms: _Deadline = 1_000
    """What a closed connection has to flush its goodbye before it is reset."""
    redial_ms_min: _Deadline = 100
    redial_ms_max: _Deadline = 5_000
    """A failed dial is repeated after a delay that doubles from min to max, half of it random."""
    stable_ms: _Deadline = 5_000
    """A link that was up for so long lets the delay start from its minimum again."""
    later_dialer_delay_ms: Annotated[int, _range(0, 60_000)] = 300
    """Between two nodes the larger id waits so long before it dials, which spares most pairs a duplicate."""
    unauthenticated_max: Annotated[int, _range(1, 4_096)] = 64
    """Accepted connections without an acknowledged hello, not counting those from addresses of registered nodes
    that are not `limited`."""
    unauthenticated_per_address_max: Annotated[int, _range(1, 4_096)] = 16
    """The same, for any one IP address."""
    limited_links_max: Annotated[int, _range(0, 4_096)] = 16
    """Links with peers whose entry says `limited`, whoever dialed. A further one is told to go elsewhere."""

    def checked(self) -> LinkOptions:
        """Return self.

        Raises:
            ValueError: a value is out of its range.
        """
        try:
            msgspec.convert(msgspec.to_builtins(self), LinkOptions)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        return self

    def tick_s(self) -> float:
        """How often a link looks at its deadlines, in seconds: a quarter of the shortest."""
        shortest = min(
            self.hello_timeout_ms,
            self.ping_interval_ms,
            self.silence_timeout_ms,
            self.pong_timeout_ms,
            self.write_stall_timeout_ms,
            self.segment_timeout_ms,
        )
        return shortest / 4_000
