"""One gossip core with peers that a test plays: what it is given, and what it asks for."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.core import Gossip
from p2p.gossip.engine import (
    Connect,
    Deliver,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    MembersChanged,
    Misbehaved,
    Publish,
    Received,
    Send,
    TimePassed,
    Verdict,
    Verified,
    Verify,
)
from p2p.gossip.messages import (
    Announce,
    Announced,
    Kind,
    Message,
    Neighbor,
    NeighborAnswer,
    Payload,
    encode_message,
    payload_id,
)
from primitives.digest import Digest

OWN = "node-own"
M = TypeVar("M")


def peers(count: int) -> tuple[str, ...]:
    return tuple(f"node-{index:03}" for index in range(count))


def block(number: int, size: int = 40) -> bytes:
    return number.to_bytes(8, "big") + bytes(size)


def block_id(body: bytes, kind: Kind = Kind.BLOCK) -> Digest:
    return payload_id(kind, body)


def pushed(body: bytes, hops: int = 1, seal: bytes = b"", kind: Kind = Kind.BLOCK) -> Payload:
    return Payload(kind, payload_id(kind, body), hops, body, seal)


def announced(*bodies: bytes, hops: int = 1) -> Announce:
    return Announce(tuple(Announced(Kind.BLOCK, payload_id(Kind.BLOCK, body), hops) for body in bodies))


class Solo:
    """A core, virtual time, and a record of all effects. Connects succeed at once, to peers that accept nothing yet."""

    def __init__(
        self,
        allowed: Iterable[str] = peers(10),
        configuration: GossipConfiguration | None = None,
        contacts: Iterable[str] = (),
        seed: int = 1,
    ) -> None:
        self.now_ms = 1_000
        self.core = Gossip(OWN, configuration or GossipConfiguration(), random.Random(seed))
        self.effects: list[Effect] = []
        self.effects += self.core.start(MembersChanged(tuple(allowed), tuple(contacts)), self.now_ms)

    def step(self, event: Event) -> list[Effect]:
        effects = self.core.step(event, self.now_ms)
        self.effects += effects
        return effects

    def receive(self, peer: str, message: Message | bytes) -> list[Effect]:
        data = message if isinstance(message, bytes) else encode_message(message)
        return self.step(Received(peer, data))

    def run(self, duration_ms: int) -> list[Effect]:
        """Let time pass, waking the core whenever it asks. Nobody answers."""
        end_ms, effects = self.now_ms + duration_ms, []
        while (deadline_ms := self.core.next_deadline_ms()) <= end_ms:
            self.now_ms = max(self.now_ms, deadline_ms)
            effects += self.step(TimePassed())
        self.now_ms = end_ms
        return effects

    def befriend(self, *names: str) -> None:
        """Become neighbors: they ask, and are taken."""
        for name in names:
            self.step(LinkUp(name))
            assert sent_to(self.receive(name, Neighbor(urgent=False)), name, NeighborAnswer) == [NeighborAnswer(True)]

    def accept_all(self, *, connect: bool = True) -> None:
        """Let every node that was asked accept."""
        for effect in list(self.effects):
            if isinstance(effect, Connect):
                if connect:
                    self.step(LinkUp(effect.peer))
                    self.receive(effect.peer, NeighborAnswer(True))
                else:
                    self.step(LinkDown(effect.peer))

    def deliver(self, peer: str, payload: Payload, verdict: Verdict = Verdict.VALID) -> list[Effect]:
        """Let a payload arrive and be judged."""
        effects = self.receive(peer, payload)
        for verify in only(effects, Verify):
            effects = [*effects, *self.step(Verified(verify.id, verdict))]
        return effects

    def publish(self, body: bytes, seal: bytes = b"", kind: Kind = Kind.BLOCK) -> list[Effect]:
        return self.step(Publish(kind, body, seal))

    @property
    def active(self) -> tuple[str, ...]:
        return self.core.status().active


def only(effects: Iterable[Effect], kind: type[M]) -> list[M]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent_to(effects: Iterable[Effect], peer: str, kind: type[M]) -> list[M]:
    """Return the messages of a kind that went to a peer, in order."""
    return [e.message for e in effects if isinstance(e, Send) and peer in e.to and isinstance(e.message, kind)]


def receivers(effects: Iterable[Effect], kind: type[object]) -> set[str]:
    """Return to whom messages of a kind went."""
    return {peer for e in effects if isinstance(e, Send) and isinstance(e.message, kind) for peer in e.to}


__all__ = ["OWN", "Deliver", "Misbehaved", "Solo", "announced", "block", "block_id", "only", "peers", "pushed"]
