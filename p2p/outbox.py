"""What waits to be written to one peer: a bounded queue for each channel, emptied by priority.

Only segments that are handed to the transport are beyond reach, so a vote overtakes a block however large. A channel
that has been passed over for `YIELD_AFTER_BYTES` gets one segment: synchronization crawls under load, it never stands
still.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from p2p.channels import CONTROL_QUEUE_MESSAGES_MAX, LIMITS, Channel, ChannelLimits

YIELD_AFTER_BYTES: Final = 256 * 1024


class _Queue:
    __slots__ = ("bytes_waiting", "limits", "messages", "passed_over_bytes", "segment_index")

    def __init__(self, limits: ChannelLimits) -> None:
        self.limits = limits
        self.messages: deque[tuple[bytes, ...]] = deque()
        self.segment_index = 0
        """How many segments of the first message are gone."""
        self.bytes_waiting = 0
        self.passed_over_bytes = 0


class Outbox:
    """The queues of one link. Segments are shared with other peers' outboxes and never copied here."""

    def __init__(self, limits: Mapping[Channel, ChannelLimits] = LIMITS) -> None:
        self._control: deque[bytes] = deque()
        self._queues = {channel: _Queue(limits[channel]) for channel in sorted(limits)}
        self._ordered = tuple(self._queues.values())

    def __bool__(self) -> bool:
        return bool(self._control) or any(queue.messages for queue in self._ordered)

    def bytes_waiting(self, channel: Channel) -> int:
        """Bytes of `channel` that no transport has yet."""
        return self._queues[channel].bytes_waiting

    def messages_waiting(self, channel: Channel) -> int:
        """Messages of `channel` that no transport has completely."""
        return len(self._queues[channel].messages)

    def push(self, channel: Channel, frames: tuple[bytes, ...], frames_bytes: int) -> bool:
        """Queue one message, `frames_bytes` long with its headers; False at a bound, and then nothing is queued."""
        queue = self._queues[channel]
        limits = queue.limits
        if (
            len(queue.messages) >= limits.queue_messages_max
            or queue.bytes_waiting + frames_bytes > limits.queue_bytes_max
        ):
            return False
        queue.messages.append(frames)
        queue.bytes_waiting += frames_bytes
        return True

    def push_control(self, frame: bytes) -> bool:
        """Queue one control frame, before everything else; False at the bound."""
        if len(self._control) >= CONTROL_QUEUE_MESSAGES_MAX:
            return False
        self._control.append(frame)
        return True

    def take(self, bytes_max: int) -> list[bytes]:
        """Remove the next segments in the order of sending: up to `bytes_max`, but always one if any waits."""
        taken: list[bytes] = []
        left = bytes_max
        while self._control and (not taken or len(self._control[0]) <= left):
            taken.append(self._control.popleft())
            left -= len(taken[-1])
        while (queue := self._next_queue()) is not None:
            segment = queue.messages[0][queue.segment_index]
            if taken and len(segment) > left:
                break
            self._remove_segment(queue, len(segment))
            taken.append(segment)
            left -= len(segment)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._control.clear()
        for queue in self._ordered:
            queue.messages.clear()
            queue.segment_index = queue.bytes_waiting = queue.passed_over_bytes = 0

    def _next_queue(self) -> _Queue | None:
        first = None
        for queue in self._ordered:
            if not queue.messages:
                continue
            if queue.passed_over_bytes >= YIELD_AFTER_BYTES:
                return queue
            if first is None:
                first = queue
        return first

    def _remove_segment(self, queue: _Queue, segment_bytes: int) -> None:
        queue.bytes_waiting -= segment_bytes
        queue.segment_index += 1
        if queue.segment_index == len(queue.messages[0]):
            queue.messages.popleft()
            queue.segment_index = 0
        queue.passed_over_bytes = 0
        below = False
        for other in self._ordered:
            if below and other.messages:
                other.passed_over_bytes += segment_bytes
            below = below or other is queue
