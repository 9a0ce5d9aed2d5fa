"""The messages of gossip: frozen values, one class each. Spec: docs/spec/gossip.md, "Messages".

Nodes are named by id only; where they are reached, the registry says. `decode_message` checks types, bounds, canonical
form and what the message says of itself; the rest is the core's.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec

from p2p.gossip.errors import GossipError, GossipReason
from primitives.codec import CodecError, decode_union, encode
from primitives.digest import DIGEST_BYTES, Digest, tagged_hash

WALK_NODES_MAX: Final = 8
"""Nodes on the path of one random walk; a longer one is refused."""
SAMPLE_NODES_MAX: Final = 16
"""Nodes in one shuffle."""
ANNOUNCED_MAX: Final = 128
"""Ids in one Announce; the next ones wait for the next message."""
HOPS_MAX: Final = 255
NODE_NAME_CHARACTERS_MAX: Final = 90
KIB: Final = 1024


class Kind(IntEnum):
    """What a payload is, as far as its bounds go. Each kind has a tree of its own, for their sources differ."""

    BLOCK = 0
    HEAD = 1
    TRANSACTION = 2


class KindLimits(NamedTuple):
    """Bounds of one kind. A larger payload is refused, our own with an assertion of the publisher."""

    body_bytes_max: int
    seal_bytes_max: int
    kept_bytes_max: int
    """Bytes kept to answer pulls; the oldest go first."""
    kept_max: int
    """Payloads kept to answer pulls; the oldest go first."""


LIMITS: Final[dict[Kind, KindLimits]] = {
    Kind.BLOCK: KindLimits(992 * KIB, 16 * KIB, 16 * 1024 * KIB, 256),
    Kind.HEAD: KindLimits(1 * KIB, 16 * KIB, 256 * KIB, 64),
    Kind.TRANSACTION: KindLimits(64 * KIB, 0, 4 * 1024 * KIB, 4_096),
}
"""A block above its limit travels as its head, and is fetched by block synchronization."""
MESSAGE_BYTES_MAX: Final = 1024 * KIB
"""The largest message, which is what the channel carries."""

NodeName = Annotated[str, msgspec.Meta(min_length=1, max_length=NODE_NAME_CHARACTERS_MAX)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]
Hops = Annotated[int, msgspec.Meta(ge=0, le=HOPS_MAX)]
Steps = Annotated[int, msgspec.Meta(ge=0, lt=WALK_NODES_MAX)]


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


# --- membership (HyParView) -----------------------------------------------------------------------------------------


class Join(_Wire, frozen=True, tag="join"):
    """A node without neighbors asks a contact: take me, or let me be taken at the end of random walks."""


class ForwardJoin(_Wire, frozen=True, tag="forward-join"):
    """A random walk for a node that joined; where it ends, that one is invited."""

    node: NodeName
    steps: Steps
    """Steps left."""


class Neighbor(_Wire, frozen=True, tag="neighbor"):
    """Shall we be neighbors?"""

    urgent: bool
    """The asker has no neighbor, or was sent by a walk: another one makes room."""


class NeighborAnswer(_Wire, frozen=True, tag="neighbor-answer"):
    accepted: bool


class Disconnect(_Wire, frozen=True, tag="disconnect"):
    """We are no neighbors, or no longer."""


class Shuffle(_Wire, frozen=True, tag="shuffle"):
    """A random walk that exchanges names of nodes between its origin and the node where it ends."""

    path: Annotated[tuple[NodeName, ...], msgspec.Meta(min_length=1, max_length=WALK_NODES_MAX)]
    """From the origin to the sender: the answer goes back along it, so no link is made for it."""
    steps: Steps
    nodes: Annotated[tuple[NodeName, ...], msgspec.Meta(max_length=SAMPLE_NODES_MAX)]


class ShuffleAnswer(_Wire, frozen=True, tag="shuffle-answer"):
    path: Annotated[tuple[NodeName, ...], msgspec.Meta(min_length=1, max_length=WALK_NODES_MAX)]
    """What is left of the way back: the origin first, the receiver last."""
    nodes: Annotated[tuple[NodeName, ...], msgspec.Meta(max_length=SAMPLE_NODES_MAX)]


# --- broadcast (Plumtree) -------------------------------------------------------------------------------------------


class Payload(_Wire, frozen=True, tag="payload"):
    """Plumtree's Gossip: a payload, pushed along the tree or sent because it was pulled."""

    kind: Kind
    id: Bytes32
    """`payload_id` of kind and body, so that a repetition is known before anything is hashed."""
    hops: Hops
    """Links between its publisher and the receiver."""
    body: bytes
    seal: bytes
    """What proves the body and may differ from publisher to publisher: any quorum's signatures. Not under the id."""


class Announced(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    kind: Kind
    id: Bytes32
    hops: Hops
    """As the sender's Payload of it would say."""


class Announce(_Wire, frozen=True, tag="announce"):
    """Plumtree's IHave, batched: the sender can be asked for these. An empty one says that the neighbor is there."""

    entries: Annotated[tuple[Announced, ...], msgspec.Meta(max_length=ANNOUNCED_MAX)]


class Graft(_Wire, frozen=True, tag="graft"):
    """Send me this payload, or from now on all of the kind, or both."""

    kind: Kind
    id: Bytes32 | None
    to_tree: bool


class Prune(_Wire, frozen=True, tag="prune"):
    """I have payloads of this kind from elsewhere: announce them only."""

    kind: Kind


Message: TypeAlias = (
    Join
    | ForwardJoin
    | Neighbor
    | NeighborAnswer
    | Disconnect
    | Shuffle
    | ShuffleAnswer
    | Payload
    | Announce
    | Graft
    | Prune
)


def payload_id(kind: Kind, body: bytes) -> Digest:
    """Name a payload by its content: whoever publishes the same body publishes the same payload."""
    return tagged_hash(f"gossip-{kind.name.lower()}", body)


def encode_message(message: Message) -> bytes:
    return encode(message)


def decode_message(data: bytes) -> Message:
    """Decode bytes from a peer. That a payload's body hashes to its id is checked where it is new.

    Raises:
        GossipError: `malformed`: too long, of no known form, out of a bound, not canonical, or saying nothing.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise GossipError(GossipReason.MALFORMED, f"a message has at most {MESSAGE_BYTES_MAX} bytes, not {len(data)}")
    try:
        message: Message = decode_union(data, Message)
    except CodecError as error:
        raise GossipError(GossipReason.MALFORMED, str(error)[:200]) from error
    if isinstance(message, Payload):
        limits = LIMITS[message.kind]
        if len(message.body) > limits.body_bytes_max or len(message.seal) > limits.seal_bytes_max:
            raise GossipError(GossipReason.MALFORMED, f"a {message.kind.name.lower()} above its bound")
    elif isinstance(message, Graft):
        if message.id is None and not message.to_tree:
            raise GossipError(GossipReason.MALFORMED, "a graft that asks for nothing")
    elif isinstance(message, Shuffle) and len(message.path) + message.steps > WALK_NODES_MAX:
        raise GossipError(GossipReason.MALFORMED, "a walk beyond its bound")
    return message
