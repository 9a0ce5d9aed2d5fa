"""The interface between the gossip core and its host: events in, effects out.

The contract, kept by every host:

1. Effects are performed in list order. A `Send` to a node without a link is lost, which is allowed.
2. Each `Verify` is answered by one `Verified`, in any order and at any time; the payload is the host's from then on.
3. `Connect` is answered by `LinkUp` or `LinkDown`; a link that others made is told by `LinkUp` too. `Release` says that
   gossip needs the link no more: the host closes it unless something else of the node does.
4. `TimePassed` comes at `next_deadline_ms` or soon after.
5. `step` is total: it never blocks and never raises on anything that a peer can send.

`now_ms` is any clock that never runs backwards. Chance comes from the generator given at birth, so that the same events
give the same effects.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from p2p.gossip.messages import Kind, Message
from primitives.digest import Digest


class Verdict(StrEnum):
    """What the host says of a payload."""

    VALID = "valid"
    """It goes on to the neighbors."""
    INVALID = "invalid"
    """No correct node passes this on: its sender pays."""
    IGNORED = "ignored"
    """Nobody's fault and not passed on: already known, no longer wanted, or not to be judged here."""


class _Value(msgspec.Struct, frozen=True):
    """Events and effects are immutable values."""


# --- events ---------------------------------------------------------------------------------------------------------


class Received(_Value, frozen=True):
    """Bytes arrived on the channel of gossip. The link proves who sent them."""

    peer: str
    data: bytes


class LinkUp(_Value, frozen=True):
    peer: str


class LinkDown(_Value, frozen=True):
    """A link ended, or could not be made."""

    peer: str


class Verified(_Value, frozen=True):
    """The answer to `Verify`."""

    id: Digest
    verdict: Verdict


class Publish(_Value, frozen=True):
    """The host has a payload of its own making, or from outside gossip, and vouches for it."""

    kind: Kind
    body: bytes
    seal: bytes = b""


class MembersChanged(_Value, frozen=True):
    """The ledger names these nodes as possible neighbors, and no others. The own one among them is left out."""

    allowed: tuple[str, ...]
    contacts: tuple[str, ...] = ()
    """Those of them to begin with."""


class TimePassed(_Value, frozen=True):
    pass


Event: TypeAlias = Received | LinkUp | LinkDown | Verified | Publish | MembersChanged | TimePassed


# --- effects --------------------------------------------------------------------------------------------------------


class Send(_Value, frozen=True):
    """Send one message, encoded once, to each of `to`."""

    message: Message
    to: tuple[str, ...]


class Verify(_Value, frozen=True):
    """Judge this payload; it goes nowhere before."""

    kind: Kind
    id: Digest
    body: bytes
    seal: bytes
    sender: str


class Deliver(_Value, frozen=True):
    """The payload was found valid and passed on: it is here for the first time. Not told to its publisher."""

    kind: Kind
    id: Digest
    body: bytes
    seal: bytes
    hops: int


class Connect(_Value, frozen=True):
    peer: str


class Release(_Value, frozen=True):
    peer: str


class Misbehaved(_Value, frozen=True):
    """The peer sent what no correct peer sends: name it and cut its link."""

    peer: str
    reason: str


Effect: TypeAlias = Send | Verify | Deliver | Connect | Release | Misbehaved


class GossipStatus(msgspec.Struct, frozen=True):
    """What status and metrics tell of gossip, in values."""

    active: tuple[str, ...]
    passive: int
    eager: dict[str, tuple[str, ...]]
    """Kind -> neighbors to which its payloads are pushed."""
    lazy: dict[str, tuple[str, ...]]
    delivered: dict[str, int]
    copies: dict[str, int]
    """Kind -> payloads received, repeated ones included; above `delivered` is what the tree costs too much."""
    pushed: dict[str, int]
    """Kind -> payloads sent, pulled ones included."""
    pulls: int
    """Payloads asked for because they were announced and did not come."""
    refusals: dict[str, int]
    """Reason -> messages refused or dropped."""
    seen: int
    kept_bytes: int
    missing: int
    verifying: int
