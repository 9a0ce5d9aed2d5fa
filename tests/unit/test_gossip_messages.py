"""Messages of gossip: what goes in comes out; anything else is refused in a word."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.channels import LIMITS as CHANNEL_LIMITS
from p2p.channels import Channel
from p2p.gossip.errors import GossipError, GossipReason
from p2p.gossip.messages import (
    LIMITS,
    MESSAGE_BYTES_MAX,
    Announce,
    Announced,
    Disconnect,
    ForwardJoin,
    Graft,
    Join,
    Kind,
    Message,
    Neighbor,
    NeighborAnswer,
    Payload,
    Prune,
    Shuffle,
    ShuffleAnswer,
    decode_message,
    encode_message,
    payload_id,
)

IDENTIFIER = bytes(range(32))
EXAMPLES: list[Message] = [
    Join(),
    ForwardJoin("node", 6),
    Neighbor(True),
    NeighborAnswer(False),
    Disconnect(),
    Shuffle(("a", "b"), 3, ("c",)),
    ShuffleAnswer(("a", "b"), ()),
    Payload(Kind.BLOCK, IDENTIFIER, 3, b"body", b"seal"),
    Announce((Announced(Kind.HEAD, IDENTIFIER, 1),)),
    Announce(()),
    Graft(Kind.TRANSACTION, IDENTIFIER, False),
    Graft(Kind.BLOCK, None, True),
    Prune(Kind.BLOCK),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize(
    "wrong",
    [
        ForwardJoin("node", 8),
        ForwardJoin("", 1),
        Shuffle((), 1, ()),
        Shuffle(("a",) * 9, 0, ()),
        Shuffle(("a",) * 5, 5, ()),
        Shuffle(("a",), 1, ("b",) * 17),
        Payload(Kind.BLOCK, b"short", 0, b"", b""),
        Payload(Kind.BLOCK, IDENTIFIER, 256, b"", b""),
        Payload(Kind.HEAD, IDENTIFIER, 0, bytes(LIMITS[Kind.HEAD].body_bytes_max + 1), b""),
        Payload(Kind.TRANSACTION, IDENTIFIER, 0, b"", b"a seal"),
        Announce((Announced(Kind.BLOCK, IDENTIFIER, 0),) * 129),
        Graft(Kind.BLOCK, None, False),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_out_of_a_bound_is_refused(wrong: Message) -> None:
    with pytest.raises(GossipError) as refused:
        decode_message(encode_message(wrong))
    assert refused.value.reason is GossipReason.MALFORMED


def test_surplus_items_unknown_kinds_and_other_spellings_are_refused() -> None:
    for raw in (["prune", 0, 0], ["prune", 3], ["prune"], ["nothing"], [], {"type": "prune"}, ["neighbor", 1]):
        with pytest.raises(GossipError):
            decode_message(msgspec.msgpack.encode(raw))
    spelled_longer = b"\x92\xa5prune\xcc\x00"
    with pytest.raises(GossipError):
        decode_message(spelled_longer)


def test_the_largest_payload_of_each_kind_fits_into_a_message_of_its_channel() -> None:
    assert CHANNEL_LIMITS[Channel.GOSSIP].message_bytes_max >= MESSAGE_BYTES_MAX
    for kind, limits in LIMITS.items():
        payload = Payload(kind, IDENTIFIER, 255, bytes(limits.body_bytes_max), bytes(limits.seal_bytes_max))
        assert decode_message(encode_message(payload)) == payload
    names = tuple("n" * 90 for _ in range(8))
    assert len(encode_message(Shuffle(names, 0, names + names))) < 4_096


def test_one_body_has_another_id_in_each_kind() -> None:
    assert len({payload_id(kind, b"body") for kind in Kind}) == len(Kind)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = decode_message(data)
    except GossipError:
        return
    assert encode_message(message) == data
