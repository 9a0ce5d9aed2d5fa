"""Frames: what goes in comes out, however it is cut; what no honest peer sends raises the typed refusal and no more."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from p2p.channels import MESSAGE_BYTES_MAX, Channel
from p2p.errors import LinkRefused
from p2p.frames import HEADER, HEADER_BYTES, SEGMENT_BYTES_MAX, FrameDecoder, encode_frames
from p2p.outbox import Outbox

channels = st.sampled_from(list(Channel))
sizes = st.one_of(
    st.integers(1, 300), st.sampled_from([n * SEGMENT_BYTES_MAX + d for n in (1, 2, 3) for d in (-1, 0, 1)])
)
messages = st.lists(st.tuples(channels, sizes, st.binary(min_size=1, max_size=4)), min_size=1, max_size=12)


def payload(size: int, pattern: bytes) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]


def decode(decoder: FrameDecoder, data: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """Feed `data` cut at the positions `cuts`, taken modulo its length."""
    positions = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    decoded: list[tuple[int, bytes]] = []
    for start, end in itertools.pairwise(positions):
        decoded += decoder.feed(data[start:end])
    return decoded


@given(messages, st.lists(st.integers(0, 2**32), max_size=20))
def test_messages_survive_any_cut_of_the_stream(items: list[tuple[Channel, int, bytes]], cuts: list[int]) -> None:
    sent = [(int(channel), payload(size, pattern)) for channel, size, pattern in items]
    data = b"".join(frame for channel, message in sent for frame in encode_frames(channel, message))
    decoder = FrameDecoder()
    assert decode(decoder, data, cuts) == sent
    assert decoder.held_bytes == 0
    assert not decoder.inside_segment


@given(messages, st.lists(st.integers(0, 2**32), max_size=6), st.integers(1, 100_000))
def test_an_outbox_keeps_the_order_within_a_channel_and_loses_nothing(
    items: list[tuple[Channel, int, bytes]], cuts: list[int], take_bytes: int
) -> None:
    outbox = Outbox()
    sent: dict[int, list[bytes]] = {int(channel): [] for channel in Channel}
    for channel, size, pattern in items:
        message = payload(size, pattern)
        frames = encode_frames(channel, message)
        assert outbox.push(channel, frames, sum(map(len, frames)))
        sent[channel].append(message)
    stream = b""
    while segments := outbox.take(take_bytes):
        assert len(segments) == 1 or sum(map(len, segments)) <= take_bytes
        stream += b"".join(segments)
    assert not outbox
    assert all(outbox.bytes_waiting(channel) == outbox.messages_waiting(channel) == 0 for channel in Channel)
    received: dict[int, list[bytes]] = {int(channel): [] for channel in Channel}
    for channel_byte, message in decode(FrameDecoder(), stream, cuts):
        received[channel_byte].append(message)
    assert received == sent


@given(st.binary(min_size=1, max_size=400), st.lists(st.integers(0, 2**32), max_size=5))
def test_random_bytes_are_refused_or_wait_but_never_break_the_decoder(data: bytes, cuts: list[int]) -> None:
    """N4."""
    decoder = FrameDecoder()
    with contextlib.suppress(LinkRefused):
        decode(decoder, data, cuts)
    assert decoder.held_bytes <= len(data)


@given(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1)))
def test_a_header_alone_decides_and_nothing_is_held_but_the_header(fields: tuple[int, int, int, int]) -> None:
    """N3: the length prefix is judged before a byte of the body is there."""
    decoder = FrameDecoder()
    segment, channel, _, message = fields
    try:
        assert list(decoder.feed(HEADER.pack(*fields))) == []
    except LinkRefused:
        assert decoder.held_bytes == 0
    else:
        assert 1 <= segment <= min(message, SEGMENT_BYTES_MAX)
        assert message <= MESSAGE_BYTES_MAX[channel]
        assert decoder.held_bytes == HEADER_BYTES


@given(messages, st.integers(0, 2**32), st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_payload_bytes_only(
    items: list[tuple[Channel, int, bytes]], position: int, bit: int
) -> None:
    sent = [(int(channel), payload(size, pattern)) for channel, size, pattern in items]
    data = bytearray(b"".join(frame for channel, message in sent for frame in encode_frames(channel, message)))
    data[position % len(data)] ^= 1 << bit
    decoder = FrameDecoder()
    with contextlib.suppress(LinkRefused):
        decode(decoder, bytes(data), [])
    assert decoder.held_bytes <= len(data)
