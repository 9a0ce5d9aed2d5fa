"""Frames: how messages become segments and come back.

A message is cut into segments of `SEGMENT_BYTES_MAX`, all of them full but the last, so that segments of a more urgent
channel fit in between. Each segment starts with ten bytes, big-endian:

    segment length (u32) | channel (u8) | flags (u8) | length of the whole message (u32)

The header is checked before a byte is kept for it. Segments of one message arrive in order, and a channel carries one
unfinished message at a time: what a peer can make us hold is one message of each channel, once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from p2p.channels import MESSAGE_BYTES_MAX
from p2p.errors import LinkRefused, MessageTooLarge, Reason

SEGMENT_BYTES_MAX: Final = 32 * 1024
"""Payload bytes of one segment. 32 KiB and not the 64 KiB that one could afford: three of them fill what may lie in a
transport (its own 64 KiB and one more), and nothing overtakes bytes that lie there."""
HEADER: Final = struct.Struct(">IBBI")
HEADER_BYTES: Final = HEADER.size
FIRST: Final = 1
LAST: Final = 2


def encode_frames(channel: int, payload: bytes, message_bytes_max: int | None = None) -> tuple[bytes, ...]:
    """Return the segments of `payload`, ready to be written to any number of peers.

    Raises:
        MessageTooLarge: the payload is empty or above the channel's maximum.
    """
    size = len(payload)
    limit = MESSAGE_BYTES_MAX[channel] if message_bytes_max is None else message_bytes_max
    if not 1 <= size <= limit:
        raise MessageTooLarge(f"a message of {size} bytes on channel {channel}; 1 to {limit} are allowed")
    if size <= SEGMENT_BYTES_MAX:
        return (HEADER.pack(size, channel, FIRST | LAST, size) + payload,)
    segments = []
    for start in range(0, size, SEGMENT_BYTES_MAX):
        part = payload[start : start + SEGMENT_BYTES_MAX]
        flags = (FIRST if start == 0 else 0) | (LAST if start + len(part) == size else 0)
        segments.append(HEADER.pack(len(part), channel, flags, size) + part)
    return tuple(segments)


class _Partial:
    """An unfinished message. Every segment but the last is full, so the list is short."""

    __slots__ = ("message_bytes", "received_bytes", "segments")

    def __init__(self, message_bytes: int) -> None:
        self.message_bytes = message_bytes
        self.received_bytes = 0
        self.segments: list[bytes] = []


class FrameDecoder:
    """Turns the bytes of one link into messages. After it raised, or was not read to the end, it is of no more use."""

    def __init__(self, message_bytes_max: Mapping[int, int] = MESSAGE_BYTES_MAX) -> None:
        self._message_bytes_max = message_bytes_max
        self._buffer = bytearray()
        self._partials: dict[int, _Partial] = {}
        self.segments_received = 0

    @property
    def inside_segment(self) -> bool:
        """Whether the last bytes fed end in the middle of a segment."""
        return bool(self._buffer)

    @property
    def held_bytes(self) -> int:
        """Bytes kept for messages that are not complete."""
        return len(self._buffer) + sum(partial.received_bytes for partial in self._partials.values())

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (channel byte, payload) of each message that `data` completes.

        Raises:
            LinkRefused: a header that no honest peer sends. Messages before it have been yielded.
        """
        buffered = bool(self._buffer)
        if buffered:
            self._buffer += data
        source: bytes | bytearray = self._buffer if buffered else data
        offset, size = 0, len(source)
        while size - offset >= HEADER_BYTES:
            segment_bytes, channel, flags, message_bytes = HEADER.unpack_from(source, offset)
            self._check(segment_bytes, channel, flags, message_bytes)
            end = offset + HEADER_BYTES + segment_bytes
            if end > size:
                break
            segment = bytes(memoryview(source)[offset + HEADER_BYTES : end])
            offset = end
            self.segments_received += 1
            message = self._assemble(channel, flags, message_bytes, segment)
            if message is not None:
                yield channel, message
        if buffered:
            del self._buffer[:offset]
        else:
            self._buffer += data[offset:]

    def _check(self, segment_bytes: int, channel: int, flags: int, message_bytes: int) -> None:
        limit = self._message_bytes_max.get(channel)
        if limit is None:
            raise LinkRefused(Reason.FRAME_CHANNEL_UNKNOWN, f"channel {channel}")
        if segment_bytes == 0 or message_bytes == 0:
            raise LinkRefused(Reason.FRAME_EMPTY, f"channel {channel}")
        if segment_bytes > SEGMENT_BYTES_MAX or message_bytes > limit:
            raise LinkRefused(
                Reason.FRAME_TOO_LARGE, f"channel {channel}, segment {segment_bytes}, message {message_bytes}"
            )
        partial = self._partials.get(channel)
        received = 0 if partial is None else partial.received_bytes
        left = message_bytes - received
        in_order = (
            (partial is None or partial.message_bytes == message_bytes)
            and segment_bytes == min(left, SEGMENT_BYTES_MAX)
            and flags == ((FIRST if partial is None else 0) | (LAST if segment_bytes == left else 0))
        )
        if not in_order:
            raise LinkRefused(
                Reason.FRAME_OUT_OF_ORDER,
                f"channel {channel}, flags {flags}, segment {segment_bytes} of {message_bytes} after {received}",
            )

    def _assemble(self, channel: int, flags: int, message_bytes: int, segment: bytes) -> bytes | None:
        if flags == FIRST | LAST:
            return segment
        if flags & FIRST:
            self._partials[channel] = _Partial(message_bytes)
        partial = self._partials[channel]
        partial.segments.append(segment)
        partial.received_bytes += len(segment)
        if not flags & LAST:
            return None
        del self._partials[channel]
        return b"".join(partial.segments)
