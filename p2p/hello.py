"""The links' own messages, on the control channel.

Both sides send `Hello` when TLS stands and answer the other's with `Accept`. A link is up for a side that has sent and
received an `Accept`: TLS 1.3 lets a client whose certificate was refused believe that it is connected, so a finished
handshake proves nothing to the dialer.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from p2p.channels import CONTROL
from p2p.errors import LinkRefused, Reason
from p2p.frames import encode_frames
from primitives.codec import CodecError, decode_union, encode

PROTOCOL_VERSION: Final = 1
HEAD_BYTES_MAX: Final = 2 * 1024
INSTANCE_BYTES: Final = 8

_NetworkId = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Instance = Annotated[bytes, msgspec.Meta(min_length=INSTANCE_BYTES, max_length=INSTANCE_BYTES)]
_NodeName = Annotated[str, msgspec.Meta(max_length=90)]
_Nonce = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="hello"):
    """The first message in each direction."""

    protocol_version: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    network_id: _NetworkId
    sender: _NodeName
    """Must be the node that the certificate names."""
    recipient: _NodeName
    """Whom the sender means to talk to: a hello is of no use at another node."""
    instance: _Instance
    """Random, new at every start of the process: tells a second link of a peer from the first link of its successor."""
    software_version: Annotated[str, msgspec.Meta(max_length=64)]
    head: Annotated[bytes, msgspec.Meta(max_length=HEAD_BYTES_MAX)]
    """What the node wants to say at once; opaque here."""


class Accept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="accept"):
    """The hello was good."""


class Ping(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="ping"):
    """Asks for the `Pong` of the same number."""

    nonce: _Nonce


class Pong(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="pong"):
    """Answers a `Ping`."""

    nonce: _Nonce


class Goodbye(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="goodbye"):
    """The last message of a side that ends the link."""

    reason: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[a-z0-9.-]*$")]


Control: TypeAlias = Hello | Accept | Ping | Pong | Goodbye


def encode_control(message: Control) -> bytes:
    """Return `message` as the bytes of a frame."""
    (frame,) = encode_frames(CONTROL, encode(message))
    return frame


def decode_control(payload: bytes) -> Control:
    """Read a control message.

    Raises:
        LinkRefused: it is none.
    """
    try:
        message: Control = decode_union(payload, Control)
        return message
    except CodecError as error:
        raise LinkRefused(Reason.CONTROL_MALFORMED, str(error)[:120]) from error


def check_hello(theirs: Hello, ours: Hello) -> None:
    """Compare a hello with the one that was sent to its sender.

    Raises:
        LinkRefused: another protocol version or network, or other names than TLS established.
    """
    if theirs.protocol_version != ours.protocol_version:
        raise LinkRefused(Reason.OTHER_PROTOCOL, f"version {theirs.protocol_version}, here {ours.protocol_version}")
    if theirs.network_id != ours.network_id:
        raise LinkRefused(Reason.OTHER_NETWORK, f"network {theirs.network_id.hex()}")
    if theirs.sender != ours.recipient:
        raise LinkRefused(Reason.IDENTITY_MISMATCH, f"says it is {theirs.sender!r}")
    if theirs.recipient != ours.sender:
        raise LinkRefused(Reason.IDENTITY_MISMATCH, f"takes this node for {theirs.recipient!r}")
