"""The gossip of one node: dispatch of events to views and trees. Spec: docs/spec/gossip.md."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from p2p.gossip.broadcast import Broadcast
from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import (
    Effect,
    Event,
    GossipStatus,
    LinkDown,
    LinkUp,
    MembersChanged,
    Misbehaved,
    Publish,
    Received,
    TimePassed,
    Verified,
)
from p2p.gossip.errors import GossipError, GossipReason
from p2p.gossip.messages import (
    Announce,
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
)
from p2p.gossip.outlet import Outlet
from p2p.gossip.purses import Purses, price
from p2p.gossip.shuffles import Shuffles
from p2p.gossip.views import Views

BANNED_MAX: Final = 1_024
"""Nodes whose misbehavior is remembered; the oldest is forgiven first."""

LIES: Final = frozenset({GossipReason.MALFORMED, GossipReason.WRONG_DIGEST})
"""What no correct peer can have sent: the link ends at once."""


class Gossip:
    """One node's side of it. Deterministic: the same events, times and chance give the same effects."""

    def __init__(self, own: str, configuration: GossipConfiguration, chance: random.Random) -> None:
        self._configuration = configuration
        self._chance = chance
        self._outlet = Outlet()
        self._purses = Purses(configuration)
        self._trees = Broadcast(configuration, self._outlet, self._purses)
        self._views = Views(
            own, configuration, chance, self._outlet, self._trees.neighbor_up, self._trees.neighbor_down
        )
        self._shuffles = Shuffles(own, configuration, chance, self._outlet, self._views)
        self._banned: OrderedDict[str, int] = OrderedDict()
        self._tick_ms: int | None = None
        self._shuffle_ms = self._recap_ms = self._rotation_ms = 0

    def start(self, members: MembersChanged, now_ms: int) -> list[Effect]:
        """Begin with these members. Called once, before any `step`."""
        self._begin(now_ms)
        self._shuffle_ms = self._phase(self._configuration.shuffle_period_ms)
        self._recap_ms = self._phase(self._configuration.recap_period_ms)
        self._rotation_ms = self._phase(self._configuration.rotation_period_ms)
        self._views.set_members(members.allowed, members.contacts)
        return self._finish()

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        """Process one event; see `p2p.gossip.engine` for the contract of the effects."""
        self._begin(now_ms)
        match event:
            case Received(peer=peer, data=data):
                self._receive(peer, data)
            case Verified(id=identifier, verdict=verdict):
                self._trees.on_verified(identifier, verdict)
            case Publish(kind=kind, body=body, seal=seal):
                self._trees.publish(kind, body, seal)
            case LinkUp(peer=peer):
                self._views.requests.link_up(peer)
            case LinkDown(peer=peer):
                self._views.link_down(peer)
            case MembersChanged(allowed=allowed, contacts=contacts):
                self._views.set_members(allowed, contacts)
            case TimePassed():
                self._on_time()
        return self._finish()

    def next_deadline_ms(self) -> int:
        """When `TimePassed` is wanted."""
        periodic = min(self._shuffle_ms, self._recap_ms, self._rotation_ms)
        return periodic if self._tick_ms is None else min(periodic, self._tick_ms)

    def status(self) -> GossipStatus:
        trees = self._trees
        return GossipStatus(
            active=tuple(self._views.active),
            passive=len(self._views.known.passive),
            eager={kind.name.lower(): tuple(tree.eager) for kind, tree in trees.trees.items()},
            lazy={kind.name.lower(): tuple(tree.lazy) for kind, tree in trees.trees.items()},
            delivered=_by_kind(trees.delivered),
            copies=_by_kind(trees.copies),
            pushed=_by_kind(trees.pushed),
            pulls=trees.pulls,
            refusals=dict(sorted(self._outlet.refusals.items())),
            seen=len(trees.kept),
            kept_bytes=trees.kept.kept_bytes,
            missing=len(trees.missing),
            verifying=len(trees.unverified),
        )

    # --- inside ---

    def _begin(self, now_ms: int) -> None:
        self._outlet.now_ms = max(now_ms, self._outlet.now_ms)
        self._outlet.effects = []

    def _finish(self) -> list[Effect]:
        self._views.fill()
        if self._tick_ms is None and (self._trees.busy or self._views.requests.pending):
            self._tick_ms = self._outlet.now_ms + self._configuration.tick_ms
        return self._outlet.effects

    def _phase(self, period_ms: int) -> int:
        """Nodes that start together do not do everything together."""
        return self._outlet.now_ms + 1 + self._chance.randrange(period_ms)

    def _on_time(self) -> None:
        now_ms, configuration = self._outlet.now_ms, self._configuration
        if self._tick_ms is not None and now_ms >= self._tick_ms:
            self._tick_ms = None
            self._trees.tick()
        self._views.expire()
        if now_ms >= self._recap_ms:
            self._recap_ms = now_ms + configuration.recap_period_ms
            self._views.new_period()
            self._trees.recapitulate()
        if now_ms >= self._shuffle_ms:
            self._shuffle_ms = now_ms + configuration.shuffle_period_ms
            self._shuffles.begin()
        if now_ms >= self._rotation_ms:
            self._rotation_ms = now_ms + configuration.rotation_period_ms
            self._views.rotate()

    def _receive(self, peer: str, data: bytes) -> None:
        """Take bytes from a peer, at its cost; what is wrong with them is counted, and a lie ends the link."""
        now_ms = self._outlet.now_ms
        try:
            if peer not in self._views.known.allowed:
                raise GossipError(GossipReason.NOT_A_MEMBER)
            if self._banned.get(peer, 0) > now_ms:
                raise GossipError(GossipReason.BANNED)
            if not self._purses.admit(peer, len(data), now_ms):
                raise GossipError(GossipReason.FLOOD if self._purses.exhausted(peer) else GossipReason.EMPTY_PURSE)
            message = decode_message(data)
            self._purses.charge(peer, price(message), 0, now_ms)
            self._views.heard(peer)
            self._handle(peer, message)
        except GossipError as error:
            self._outlet.refusals[error.reason] += 1
            if error.reason in LIES or error.reason is GossipReason.FLOOD:
                self._banish(peer, str(error))

    def _handle(self, peer: str, message: Message) -> None:
        views, trees = self._views, self._trees
        match message:
            case Join():
                views.on_join(peer)
            case ForwardJoin():
                views.on_forward_join(peer, message)
            case Neighbor():
                views.on_neighbor(peer, message)
            case NeighborAnswer():
                views.on_neighbor_answer(peer, message)
            case Disconnect():
                views.on_disconnect(peer)
            case Shuffle():
                self._shuffles.on_shuffle(peer, message)
            case ShuffleAnswer():
                self._shuffles.on_answer(peer, message)
            case Payload() | Announce() | Graft() | Prune():
                views.require_neighbor(peer)
                self._handle_broadcast(trees, peer, message)

    @staticmethod
    def _handle_broadcast(trees: Broadcast, peer: str, message: Payload | Announce | Graft | Prune) -> None:
        match message:
            case Payload():
                trees.on_payload(peer, message)
            case Announce():
                trees.on_announce(peer, message)
            case Graft():
                trees.on_graft(peer, message)
            case Prune():
                trees.on_prune(peer, message)

    def _banish(self, peer: str, why: str) -> None:
        self._banned.pop(peer, None)
        self._banned[peer] = self._outlet.now_ms + self._configuration.ban_ms
        if len(self._banned) > BANNED_MAX:
            self._banned.popitem(last=False)
        self._views.banish(peer)
        self._outlet.effects.append(Misbehaved(peer, f"gossip: {why}"[:200]))


def _by_kind(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind.name.lower(): counts.get(kind.name, 0) for kind in Kind}
