"""One connection: its hello, frames in, segments out, and the deadlines of all of these.

A link is an `asyncio.Protocol` over a TLS transport. It starts no task and raises nothing into the loop: whatever the
peer sends ends in a payload for the owner, or in the end of the link with a reason.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol, cast

from p2p.channels import CONTROL, Channel
from p2p.errors import InvalidCertificate, LinkRefused, Reason
from p2p.frames import HEADER_BYTES, SEGMENT_BYTES_MAX, FrameDecoder
from p2p.hello import Accept, Control, Goodbye, Hello, Ping, Pong, check_hello, decode_control, encode_control
from p2p.identity import node_id_of_certificate
from p2p.options import LinkOptions
from p2p.outbox import Outbox
from p2p.statistics import Statistics
from primitives.identifiers import NodeId

WRITE_BYTES_MAX: Final = SEGMENT_BYTES_MAX + HEADER_BYTES
"""One joined write. The TCP transport under TLS takes 64 KiB and the write that crosses that line, TLS then keeps one
write more: 128 KiB that nothing can overtake."""
WRITES_PER_TURN_MAX: Final = 4
"""Then other peers and callbacks have their turn."""
UNSENT_KERNEL_BYTES_MAX: Final = 128 * 1024
"""TCP_NOTSENT_LOWAT: the kernel's send buffer would otherwise hide megabytes of chunks in front of a vote."""


class LinkOwner(Protocol):
    """What a link needs of the network that it belongs to."""

    options: LinkOptions
    counters: Statistics

    def link_admitted(self, link: Link, node_id: NodeId, certificate_der: bytes) -> Hello:
        """Compare with the registry and return the hello for this peer. Raises LinkRefused."""
        ...

    def link_hello(self, link: Link, hello: Hello) -> None:
        """Judge a good hello: it may be a duplicate. Raises LinkRefused."""
        ...

    def link_up(self, link: Link) -> None: ...

    def link_payload(self, link: Link, channel: Channel, payload: bytes) -> None: ...

    def link_closed(self, link: Link, reason: Reason, detail: str) -> None:
        """Called once for each link that was made, up or not."""
        ...


class Link(asyncio.Protocol):
    """One connection to one peer, dialed or accepted."""

    def __init__(self, owner: LinkOwner, loop: asyncio.AbstractEventLoop, *, dialed: NodeId | None) -> None:
        self.dialed = dialed
        """The node that was dialed; None on an accepted connection."""
        self.node_id: NodeId | None = None
        """The node at the other end, once its certificate was compared with the registry."""
        self.peer_hello: Hello | None = None
        self.remote_address = ""
        self.is_up = False
        self.up_since_s = 0.0
        self.round_trip_ms: float | None = None
        self.outbox = Outbox()
        self.ended = loop.create_future()
        """Done when the transport is gone."""
        self.settled = loop.create_future()
        """Done when the link is up or closed."""
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._decoder = FrameDecoder()
        self._our_hello: Hello | None = None
        self._accepted = False
        self._closed: Reason | None = None
        self._doomed = False
        self._paused_since_s: float | None = None
        self._flush_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._opened_s = self._heard_s = loop.time()
        self._segment_since_s: float | None = None
        self._ping_sent_s: float | None = None
        self._next_ping_s = 0.0
        self._nonce = 0
        self._awaited_nonce = 0

    def is_closed(self) -> bool:
        """Whether the link ended, for whatever reason; nothing is sent or received any more."""
        return self._doomed or self._closed is not None

    @property
    def silent_ms(self) -> int:
        """Since anything was heard."""
        return int((self._loop.time() - self._heard_s) * 1_000)

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=1, low=0)  # see WRITE_BYTES_MAX
        peername = transport.get_extra_info("peername")
        self.remote_address = str(peername[0]) if peername else ""
        set_socket_options(transport.get_extra_info("socket"))
        self._opened_s = self._heard_s = self._loop.time()
        tls = transport.get_extra_info("ssl_object")
        try:
            certificate = tls.getpeercert(True) if tls is not None else None
            if not certificate:
                raise LinkRefused(Reason.NO_CERTIFICATE)
            self.node_id = node_id_of_certificate(certificate)
            if self.dialed is not None and self.node_id != self.dialed:
                raise LinkRefused(Reason.WRONG_NODE, f"{self.node_id} answers at the address of {self.dialed}")
            self._our_hello = self._owner.link_admitted(self, self.node_id, certificate)
        except InvalidCertificate as error:
            self.close(Reason.CERTIFICATE_REFUSED, str(error))
            return
        except LinkRefused as refusal:
            self.close(refusal.reason, refusal.detail)
            return
        self._send_control(self._our_hello)
        self._tick()

    def data_received(self, data: bytes) -> None:
        if self.is_closed():
            return
        now = self._heard_s = self._loop.time()
        self._owner.counters.bytes_received += len(data)
        segments_before = self._decoder.segments_received
        try:
            for channel, message in self._decoder.feed(data):
                if channel == CONTROL:
                    self._on_control(decode_control(message))
                elif not self.is_up:
                    raise LinkRefused(Reason.HELLO_UNEXPECTED, f"a payload on channel {channel} before the hello")
                else:
                    self._owner.counters.messages_received[Channel(channel)] += 1
                    self._owner.link_payload(self, Channel(channel), message)
                if self.is_closed():
                    return
        except LinkRefused as refusal:
            self.close(refusal.reason, refusal.detail)
            return
        if not self._decoder.inside_segment:
            self._segment_since_s = None
        elif self._segment_since_s is None or self._decoder.segments_received != segments_before:
            self._segment_since_s = now

    def eof_received(self) -> bool:
        return False  # TLS has no half-closed state

    def connection_lost(self, exc: Exception | None) -> None:
        detail = "" if exc is None else f"{type(exc).__name__}: {exc}"
        if self.dialed is not None and self.peer_hello is None:
            detail = detail or "before it said hello, as by a node that does not know this one"
        self._finish(Reason.CONNECTION_LOST, detail)
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        self._paused_since_s = self._loop.time()

    def resume_writing(self) -> None:
        self._paused_since_s = None
        self._schedule_flush()

    # --- for the owner ---

    def send(self, channel: Channel, frames: tuple[bytes, ...], frames_bytes: int) -> bool:
        """Queue a message; False when it was not. A full consensus queue ends the link."""
        if not self.is_up or self.is_closed():
            return False
        if not self.outbox.push(channel, frames, frames_bytes):
            self._owner.counters.messages_dropped[channel] += 1
            if channel is Channel.CONSENSUS:
                self.close_soon(Reason.QUEUE_FULL, "consensus")
            return False
        self._owner.counters.messages_sent[channel] += 1
        self._schedule_flush()
        return True

    def close_soon(self, reason: Reason, detail: str = "") -> None:
        """End the link in the next turn, and take or deliver nothing until then.

        For callers in the middle of their own work, who would otherwise hear of the end before they are done.
        """
        if not self.is_closed():
            self._doomed = True
            self._loop.call_soon(self.close, reason, detail)

    def close(self, reason: Reason, detail: str = "") -> None:
        """End the link; the peer is told the reason if it reads. The owner hears of it before this returns."""
        if self._closed is not None:
            return
        if self._transport is None:
            self._finish(reason, detail)
            if not self.ended.done():
                self.ended.set_result(None)
            return
        # A TLS transport that is told to close first hands over what it has read, before `close` returns.
        self._doomed = True
        transport = self._transport
        if not transport.is_closing() and self._paused_since_s is None:
            transport.write(encode_control(Goodbye(reason.value)))
        transport.close()
        # A peer that does not read would keep a closing transport for ever.
        self._abort_timer = self._loop.call_later(self._owner.options.close_timeout_ms / 1_000, transport.abort)
        self._finish(reason, detail)

    # --- inside ---

    def _finish(self, reason: Reason, detail: str) -> None:
        if self._closed is not None:
            return
        self._closed = reason
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.outbox.clear()
        if not self.settled.done():
            self.settled.set_result(None)
        self._owner.link_closed(self, reason, detail)

    def _on_control(self, message: Control) -> None:
        match message:
            case Hello():
                self._on_hello(message)
            case Accept():
                if self._accepted:
                    raise LinkRefused(Reason.HELLO_UNEXPECTED, "a second accept")
                self._accepted = True
                self._rise_if_agreed()
            case Ping():
                if not self.is_up:
                    raise LinkRefused(Reason.HELLO_UNEXPECTED, "a ping before the hello")
                self._send_control(Pong(message.nonce))
            case Pong():
                self._on_pong(message.nonce)
            case Goodbye():
                self.close(Reason.CLOSED_BY_PEER, message.reason)

    def _on_hello(self, message: Hello) -> None:
        assert self._our_hello is not None
        if self.peer_hello is not None:
            raise LinkRefused(Reason.HELLO_UNEXPECTED, "a second hello")
        check_hello(message, self._our_hello)
        self._owner.link_hello(self, message)
        self.peer_hello = message
        self._send_control(Accept())
        self._rise_if_agreed()

    def _on_pong(self, nonce: int) -> None:
        if not 1 <= nonce <= self._nonce:
            raise LinkRefused(Reason.CONTROL_MALFORMED, "a pong that was not asked for")
        if self._ping_sent_s is not None and nonce >= self._awaited_nonce:
            self.round_trip_ms = (self._loop.time() - self._ping_sent_s) * 1_000
            self._ping_sent_s = None

    def _rise_if_agreed(self) -> None:
        if not self._accepted or self.peer_hello is None or self._closed is not None:
            return
        self.is_up = True
        self.up_since_s = self._loop.time()
        self._next_ping_s = self.up_since_s + self._owner.options.ping_interval_ms / 1_000
        if not self.settled.done():
            self.settled.set_result(None)
        self._owner.link_up(self)

    def _tick(self) -> None:
        options, now = self._owner.options, self._loop.time()

        def late(since_s: float | None, deadline_ms: int) -> bool:
            return since_s is not None and (now - since_s) * 1_000 >= deadline_ms

        if not self.is_up and late(self._opened_s, options.hello_timeout_ms):
            self.close(Reason.HELLO_TIMEOUT)
        elif late(self._heard_s, options.silence_timeout_ms):
            self.close(Reason.SILENT_PEER)
        elif late(self._segment_since_s, options.segment_timeout_ms):
            self.close(Reason.FRAME_TOO_SLOW)
        elif late(self._paused_since_s, options.write_stall_timeout_ms):
            self.close(Reason.NOT_READING, "takes no bytes")
        elif late(self._ping_sent_s, options.pong_timeout_ms):
            self.close(Reason.NOT_READING, "leaves a ping unanswered")
        else:
            if self.is_up and now >= self._next_ping_s:
                self._ping(now)
            self._timer = self._loop.call_later(options.tick_s(), self._tick)

    def _ping(self, now: float) -> None:
        """Pings go out at every interval, answered or not: they are also what proves to the peer that we live."""
        self._next_ping_s = now + self._owner.options.ping_interval_ms / 1_000
        self._nonce += 1
        if self._ping_sent_s is None:
            self._ping_sent_s, self._awaited_nonce = now, self._nonce
        self._send_control(Ping(self._nonce))

    def _send_control(self, message: Control) -> None:
        if not self.outbox.push_control(encode_control(message)):
            self.close(Reason.QUEUE_FULL, "control")
            return
        self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled and self._paused_since_s is None and self._closed is None:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what waits, joined, while the transport takes it; the rest in the next turn."""
        self._flush_scheduled = False
        for _ in range(WRITES_PER_TURN_MAX):
            if self._paused_since_s is not None or self.is_closed() or self._transport is None:
                return
            segments = self.outbox.take(WRITE_BYTES_MAX)
            if not segments:
                return
            data = b"".join(segments) if len(segments) > 1 else segments[0]
            self._owner.counters.bytes_sent += len(data)
            self._transport.write(data)
        if self.outbox:
            self._schedule_flush()


def set_socket_options(connection: socket.socket | None) -> None:
    """Send small segments at once, and keep little in the kernel."""
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_KERNEL_BYTES_MAX)
