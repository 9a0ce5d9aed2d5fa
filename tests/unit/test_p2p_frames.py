"""The wire, byte by byte, and the order in which an outbox empties."""

from __future__ import annotations

import pytest

from p2p.channels import (
    CONTROL,
    CONTROL_QUEUE_MESSAGES_MAX,
    KIB,
    LIMITS,
    MESSAGE_BYTES_MAX,
    MIB,
    Channel,
    ChannelLimits,
)
from p2p.errors import MessageTooLarge
from p2p.frames import FIRST, HEADER, HEADER_BYTES, LAST, SEGMENT_BYTES_MAX, FrameDecoder, encode_frames
from p2p.hello import Accept, Goodbye, Hello, Ping, Pong, encode_control
from p2p.outbox import YIELD_AFTER_BYTES, Outbox


def test_the_bytes_of_a_frame() -> None:
    assert encode_frames(Channel.SYNC, b"abc") == (bytes.fromhex("00000003020300000003") + b"abc",)
    first, last = encode_frames(Channel.CHUNKS, bytes(SEGMENT_BYTES_MAX) + b"z")
    assert first[:HEADER_BYTES] == bytes.fromhex("00008000040100008001")
    assert last == bytes.fromhex("00000001040200008001") + b"z"


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (
            Hello(1, b"N" * 32, "gmnode1a", "gmnode1b", b"instance", "guildmark/0", b"head"),
            "98 a568656c6c6f 01 c420" + "4e" * 32 + "a8 676d6e6f646531 61 a8 676d6e6f646531 62"
            "c408 696e7374616e6365 ab 6775696c646d61726b2f30 c404 68656164",
        ),
        (Accept(), "91 a6616363657074"),
        (Ping(300), "92 a470696e67 cd012c"),
        (Pong(1), "92 a4706f6e67 01"),
        (Goodbye("stopping"), "92 a7676f6f64627965 a873746f7070696e67"),
    ],
    ids=["hello", "accept", "ping", "pong", "goodbye"],
)
def test_the_bytes_of_control_messages(message: Hello | Accept | Ping | Pong | Goodbye, payload: str) -> None:
    body = bytes.fromhex(payload)
    assert encode_control(message) == HEADER.pack(len(body), CONTROL, FIRST | LAST, len(body)) + body


@pytest.mark.parametrize("channel", sorted(MESSAGE_BYTES_MAX))
def test_a_payload_is_between_one_byte_and_the_maximum_of_its_channel(channel: int) -> None:
    limit = MESSAGE_BYTES_MAX[channel]
    frames = encode_frames(channel, bytes(limit))
    assert list(FrameDecoder().feed(b"".join(frames))) == [(channel, bytes(limit))]
    for size in (0, limit + 1):
        with pytest.raises(MessageTooLarge):
            encode_frames(channel, bytes(size))


def test_every_channel_can_queue_its_largest_message() -> None:
    for channel, limits in LIMITS.items():
        frames = encode_frames(channel, bytes(limits.message_bytes_max))
        assert Outbox().push(channel, frames, sum(map(len, frames)))


def push(outbox: Outbox, channel: Channel, size: int) -> bool:
    frames = encode_frames(channel, bytes(size))
    return outbox.push(channel, frames, sum(map(len, frames)))


def channels_of(segments: list[bytes]) -> list[int]:
    return [HEADER.unpack_from(segment)[1] for segment in segments]


def test_a_more_urgent_channel_goes_between_the_segments_of_a_large_message() -> None:
    outbox = Outbox()
    push(outbox, Channel.SYNC, 100 * KIB)
    assert channels_of(outbox.take(1)) == [Channel.SYNC]
    push(outbox, Channel.GOSSIP, 10)
    push(outbox, Channel.CONSENSUS, 10)
    push(outbox, Channel.BATCHES, 10)
    outbox.push_control(encode_control(Ping(1)))
    order = channels_of(outbox.take(MIB))
    assert order == [CONTROL, Channel.CONSENSUS, Channel.BATCHES, *[Channel.SYNC] * 3, Channel.GOSSIP]


def test_a_channel_that_was_passed_over_for_long_gets_one_segment() -> None:
    outbox = Outbox()
    push(outbox, Channel.GOSSIP, 10)
    push(outbox, Channel.CHUNKS, 10)
    for _ in range(4):
        push(outbox, Channel.CONSENSUS, MIB)
    order = channels_of(outbox.take(YIELD_AFTER_BYTES + 3 * SEGMENT_BYTES_MAX))
    assert order.index(Channel.CHUNKS) == YIELD_AFTER_BYTES // SEGMENT_BYTES_MAX
    assert order.index(Channel.GOSSIP) == order.index(Channel.CHUNKS) + 1
    assert order[-1] == Channel.CONSENSUS


def test_a_queue_is_bounded_in_bytes_and_in_messages_and_recovers() -> None:
    outbox = Outbox({channel: ChannelLimits(1_000, 1_000, 3) for channel in Channel})
    assert push(outbox, Channel.SYNC, 900)
    assert not push(outbox, Channel.SYNC, 900)
    assert outbox.bytes_waiting(Channel.SYNC) == 900 + HEADER_BYTES
    for _ in range(3):
        assert push(outbox, Channel.GOSSIP, 1)
    assert not push(outbox, Channel.GOSSIP, 1)
    assert outbox.messages_waiting(Channel.GOSSIP) == 3
    outbox.take(10_000)
    assert push(outbox, Channel.SYNC, 900)
    outbox.clear()
    assert not outbox


def test_control_messages_are_bounded_too() -> None:
    outbox = Outbox()
    frame = encode_control(Ping(1))
    assert all(outbox.push_control(frame) for _ in range(CONTROL_QUEUE_MESSAGES_MAX))
    assert not outbox.push_control(frame)
