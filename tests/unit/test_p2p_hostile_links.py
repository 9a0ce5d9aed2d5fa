"""What registered peers can do to a link, and what becomes of them: a reason, a count, and nobody else suffers."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable

import pytest
from p2p_kit import LOOPS, Members, eventually, run
from p2p_raw import RawPeer

from p2p.channels import CONTROL, LIMITS, MIB, Channel
from p2p.errors import Reason
from p2p.frames import FIRST, HEADER, LAST, encode_frames
from p2p.hello import Accept, Goodbye, Ping, Pong
from p2p.options import LinkOptions

both_loops = pytest.mark.parametrize("loop_name", sorted(LOOPS))


def header(size: int, channel: int, flags: int, message: int) -> bytes:
    return HEADER.pack(size, channel, flags, message)


BAD_FRAMES: dict[str, tuple[bytes, Reason]] = {
    "a segment of 4 GiB": (header(2**32 - 1, 0, FIRST | LAST, 2**32 - 1), Reason.FRAME_TOO_LARGE),
    "a message of 4 GiB": (header(1, 2, FIRST, 2**32 - 1), Reason.FRAME_TOO_LARGE),
    "a length of zero": (header(0, 0, FIRST | LAST, 0), Reason.FRAME_EMPTY),
    "an unknown channel": (header(1, 77, FIRST | LAST, 1) + b"x", Reason.FRAME_CHANNEL_UNKNOWN),
    "a segment longer than its message": (header(9, 0, FIRST | LAST, 3), Reason.FRAME_OUT_OF_ORDER),
    "a middle without a start": (header(5, 0, LAST, 5), Reason.FRAME_OUT_OF_ORDER),
    "unknown flags": (header(1, 0, 8 | FIRST | LAST, 1), Reason.FRAME_OUT_OF_ORDER),
    "a second hello": (b"hello", Reason.HELLO_UNEXPECTED),
    "a second accept": (b"accept", Reason.HELLO_UNEXPECTED),
    "a pong nobody asked for": (b"pong", Reason.CONTROL_MALFORMED),
    "no control message": (encode_frames(CONTROL, b"\xc1")[0], Reason.CONTROL_MALFORMED),
    "an unknown control message": (encode_frames(CONTROL, b"\x91\xa3foo")[0], Reason.CONTROL_MALFORMED),
    "a control message above its bound": (header(5_000, CONTROL, FIRST | LAST, 5_000), Reason.FRAME_TOO_LARGE),
}


@pytest.mark.parametrize("name", sorted(BAD_FRAMES))
def test_a_frame_no_honest_peer_sends_closes_the_link_and_names_the_reason(name: str) -> None:
    """N3, N4, N11: before anything is allocated; the other members do not notice."""
    data, reason = BAD_FRAMES[name]

    async def story() -> None:
        async with Members(3) as members:
            await members.start(0)
            await members.start(1)
            members.introduce()
            await members.all_connected()
            raw = await RawPeer.connect(members, 2)
            await raw.agree()
            await members.recorders[0].linked(2)
            match data:
                case b"hello":
                    raw.say(raw.hello())
                case b"accept":
                    raw.say(Accept())
                case b"pong":
                    raw.say(Pong(10**9))
                case _:
                    raw.writer.write(data)
            await raw.until_closed()
            await members.recorders[0].linked(1)
            node_id, why = members.recorders[0].disconnected[-1]
            assert node_id == members.entries[2].node_id
            assert why.startswith(reason.value)
            assert raw.controls()[-1] == Goodbye(reason.value)
            assert members.networks[0].statistics().refusals[reason] == 1
            assert members.networks[0].is_connected(members.networks[1].node_id)
            await raw.close()

    run("asyncio", story())


BAD_HELLOS: dict[str, tuple[Callable[[RawPeer], None], Reason]] = {
    "other network": (lambda raw: raw.say(raw.hello(network_id=b"o" * 32)), Reason.OTHER_NETWORK),
    "other version": (lambda raw: raw.say(raw.hello(protocol_version=2)), Reason.OTHER_PROTOCOL),
    "N6: the node id of another member": (
        lambda raw: raw.say(raw.hello(sender=raw.members.entries[2].node_id)),
        Reason.IDENTITY_MISMATCH,
    ),
    "meant for another node": (
        lambda raw: raw.say(raw.hello(recipient=raw.members.entries[2].node_id)),
        Reason.IDENTITY_MISMATCH,
    ),
    "fields missing": (lambda raw: raw.control(["hello", 1]), Reason.CONTROL_MALFORMED),
    "instance too short": (lambda raw: raw.say(raw.hello(instance=b"")), Reason.CONTROL_MALFORMED),
    "head too long": (lambda raw: raw.say(raw.hello(head=bytes(3_000))), Reason.CONTROL_MALFORMED),
    "a payload first": (
        lambda raw: raw.writer.write(encode_frames(Channel.GOSSIP, b"x")[0]),
        Reason.HELLO_UNEXPECTED,
    ),
    "a ping first": (lambda raw: raw.say(Ping(1)), Reason.HELLO_UNEXPECTED),
    "silence": (lambda raw: None, Reason.HELLO_TIMEOUT),
    "a hello without an accept": (lambda raw: raw.say(raw.hello()), Reason.HELLO_TIMEOUT),
}


@pytest.mark.parametrize("name", sorted(BAD_HELLOS))
def test_a_link_without_a_proper_hello_is_never_up(name: str) -> None:
    """N5, N6: TLS says who somebody is, the hello that both are in one network and mean each other."""
    misbehave, reason = BAD_HELLOS[name]

    async def story() -> None:
        async with Members(3, LinkOptions(hello_timeout_ms=200)) as members:
            await members.start(0)
            raw = await RawPeer.connect(members, 1)
            misbehave(raw)
            await raw.until_closed()
            await eventually(lambda: members.networks[0].statistics().refusals[reason] == 1)
            assert members.recorders[0].connections == 0
            await raw.close()

    run("asyncio", story())


@both_loops
def test_random_bytes_and_random_payloads_never_reach_the_loop_as_an_exception(loop_name: str) -> None:
    """N4: 30 seeds; what is no frame closes the link, what is one arrives as opaque bytes."""

    async def story() -> None:
        async with Members(2, LinkOptions(segment_timeout_ms=100)) as members:
            await members.start(0)
            for seed in range(30):
                chance = random.Random(seed)
                raw = await RawPeer.connect(members, 1)
                await raw.agree()
                raw.writer.write(b"".join(encode_frames(Channel.GOSSIP, chance.randbytes(chance.randrange(1, 99)))))
                raw.writer.write(chance.randbytes(chance.randrange(10, 500)))
                await raw.until_closed()
                await raw.close()
            await members.recorders[0].received(30)
            refusals = members.networks[0].statistics().refusals
            assert refusals.total() == 30
            assert members.networks[0].statistics().log_lines_suppressed > 0

    run(loop_name, story())


@both_loops
def test_a_peer_that_falls_silent_is_dropped_by_the_deadline(loop_name: str) -> None:
    """N1: half open; its kernel may go on acknowledging bytes for as long as it likes."""

    async def story() -> None:
        async with Members(2, LinkOptions(silence_timeout_ms=150, ping_interval_ms=20)) as members:
            await members.start(0)
            raw = await RawPeer.connect(members, 1)
            await raw.agree()
            await members.recorders[0].linked(1)
            await members.recorders[0].linked(0)
            assert members.recorders[0].disconnected[-1][1] == "silent-peer"
            await raw.until_closed()
            assert any(isinstance(message, Ping) for message in raw.controls())
            await raw.close()

    run(loop_name, story())


def test_a_peer_that_talks_but_answers_no_ping_is_dropped() -> None:
    async def story() -> None:
        async with Members(2, LinkOptions(pong_timeout_ms=150, ping_interval_ms=20)) as members:
            await members.start(0)
            raw = await RawPeer.connect(members, 1)
            await raw.agree()
            recorder = members.recorders[0]
            await recorder.linked(1)
            while recorder.connected:
                raw.writer.write(encode_frames(Channel.GOSSIP, b"still here")[0])
                await asyncio.sleep(0.01)
            assert recorder.disconnected[-1][1] == "not-reading: leaves a ping unanswered"
            await raw.close()

    run("asyncio", story())


def test_one_byte_at_a_time_is_not_a_segment() -> None:
    """N3: a header that promises more than comes holds nothing for long."""

    async def story() -> None:
        async with Members(2, LinkOptions(segment_timeout_ms=150)) as members:
            await members.start(0)
            raw = await RawPeer.connect(members, 1)
            await raw.agree()
            recorder = members.recorders[0]
            await recorder.linked(1)
            for byte in struct.pack(">IBBI", 30_000, Channel.SYNC, FIRST | LAST, 30_000) + bytes(30_000):
                if not recorder.connected:
                    break
                raw.writer.write(bytes([byte]))
                await asyncio.sleep(0.01)
            assert recorder.disconnected[-1][1] == "frame-too-slow"
            await raw.close()

    run("asyncio", story())


async def not_reading(members: Members) -> RawPeer:
    """Connect a member that stops reading after the hello, through a small window."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    connection.connect(("127.0.0.1", members.port(0)))
    connection.setblocking(False)
    raw = await RawPeer.over(members, 1, connection)
    await raw.agree()
    await members.recorders[0].linked(1)
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return raw


@both_loops
def test_a_peer_that_never_reads_costs_one_queue_and_then_its_link(loop_name: str) -> None:
    """N2: lower channels drop and count; the link ends when no byte was taken for the deadline."""

    async def story() -> None:
        async with Members(2, LinkOptions(write_stall_timeout_ms=500)) as members:
            network = await members.start(0)
            raw = await not_reading(members)
            victim = members.entries[1].node_id
            chunk = bytes(MIB)
            taken = 0
            while network.send(victim, Channel.CHUNKS, chunk):
                taken += 1
                await asyncio.sleep(0)
            assert taken * MIB <= LIMITS[Channel.CHUNKS].queue_bytes_max + 4 * MIB
            statistics = network.statistics()
            assert statistics.messages_dropped[Channel.CHUNKS] == 1
            assert statistics.queue_bytes[Channel.CHUNKS] <= LIMITS[Channel.CHUNKS].queue_bytes_max
            assert network.send(victim, Channel.CONSENSUS, b"a vote still has room")
            await members.recorders[0].linked(0)
            assert members.recorders[0].disconnected[-1][1] == "not-reading: takes no bytes"
            assert network.statistics().queue_bytes.total() == 0
            await eventually(lambda: not network._open)
            await raw.close()

    run(loop_name, story())


@both_loops
def test_a_full_consensus_queue_ends_the_link(loop_name: str) -> None:
    """N2: a replica must not miss votes in silence."""

    async def story() -> None:
        async with Members(2) as members:
            network = await members.start(0)
            raw = await not_reading(members)
            victim = members.entries[1].node_id
            sent = 0
            while network.send(victim, Channel.CONSENSUS, bytes(MIB)):
                sent += 1
                await asyncio.sleep(0)
            assert sent >= 14
            await members.recorders[0].linked(0)
            assert members.recorders[0].disconnected == [(victim, "queue-full: consensus")]
            assert network.statistics().refusals[Reason.QUEUE_FULL] == 1
            await raw.close()

    run(loop_name, story())


@both_loops
def test_a_large_message_does_not_delay_a_vote(loop_name: str) -> None:
    """Segments interleave: only what a transport and two kernels already hold comes before the vote."""

    async def story() -> None:
        async with Members(2, LinkOptions(write_stall_timeout_ms=60_000)) as members:
            network = await members.start(0)
            raw = await not_reading(members)
            peer = members.entries[1].node_id
            assert network.send(peer, Channel.SYNC, bytes(16 * MIB))
            before = -1

            def stalled() -> bool:
                nonlocal before
                before, unchanged = network.counters.bytes_sent, before == network.counters.bytes_sent
                return unchanged and before > 0

            await eventually(stalled)
            assert network.send(peer, Channel.CONSENSUS, b"vote")
            raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await raw.until(lambda: (Channel.CONSENSUS, b"vote") in raw.messages)
            assert raw.bytes_read < MIB
            await raw.until(lambda: raw.messages[-1] == (Channel.SYNC, bytes(16 * MIB)))
            await raw.close()

    run(loop_name, story())
