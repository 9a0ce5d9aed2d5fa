"""How a payload reaches everybody once: the trees of Plumtree.

Leitão, Pereira & Rodrigues, "Epidemic Broadcast Trees", SRDS 2007. Payloads are pushed along the eager links of a tree
and announced on the others; what was announced and did not come is pulled, and mends the tree. What differs:

- A payload is pushed on only after the host found it valid, and every kind has a tree of its own.
- Several nodes publish the same payload. Each becomes the root of a tree: links that bring a second copy are pruned.
- One lost push does not change the tree: it is pulled alone, and only the second in a row grafts. Who sits deeper waits
  longer, so that the uppermost node pulls and pushes to those below.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

import msgspec

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import Deliver, Verdict, Verify
from p2p.gossip.errors import GossipError, GossipReason
from p2p.gossip.keeping import Keeping
from p2p.gossip.messages import (
    ANNOUNCED_MAX,
    HOPS_MAX,
    LIMITS,
    Announce,
    Announced,
    Graft,
    Kind,
    Payload,
    Prune,
    payload_id,
)
from p2p.gossip.outlet import Outlet
from p2p.gossip.purses import DUPLICATE_COST, EXCESS_COST, INVALID_COST, UNANSWERED_COST, Purses
from primitives.digest import Digest

ANNOUNCEMENTS_WAITING_MAX: Final = 1_024
"""Ids to be announced to one neighbor with the next messages; the oldest are left to the recapitulation."""
ANNOUNCERS_MAX: Final = 32
"""Neighbors remembered as holders of one missing payload; a view has no more."""


class _Tree(msgspec.Struct):
    """This node's place in the tree of one kind."""

    eager: dict[str, None] = msgspec.field(default_factory=dict)
    lazy: dict[str, None] = msgspec.field(default_factory=dict)
    parent: str | None = None
    """Who pushed the last payload."""
    depth: int = 0
    """Its hops."""
    pulled_in_row: int = 0
    """Payloads pulled since the last one that was pushed."""

    def make_eager(self, peer: str) -> None:
        if peer in self.lazy:
            del self.lazy[peer]
            self.eager[peer] = None

    def make_lazy(self, peer: str) -> None:
        if peer in self.eager:
            del self.eager[peer]
            self.lazy[peer] = None


class _Missing(msgspec.Struct):
    """A payload that was announced and is not here."""

    kind: Kind
    announcers: dict[str, int]
    """Neighbor -> hops that it told, in order of announcement."""
    due_ms: int
    asked: str | None = None


class _Unverified(msgspec.Struct):
    """A payload that waits for the host's verdict."""

    payload: Payload
    sender: str
    pulled: bool
    holders: dict[str, int]
    """Other neighbors that have it, to be asked if this copy is bad."""


class Broadcast:
    """The trees of one node, and what it saw."""

    def __init__(self, configuration: GossipConfiguration, outlet: Outlet, purses: Purses) -> None:
        self.trees: dict[Kind, _Tree] = {kind: _Tree() for kind in Kind}
        self.kept = Keeping(configuration.seen_max, configuration.seen_age_ms)
        self.delivered: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.pushed: Counter[str] = Counter()
        self.pulls = 0
        self.missing: OrderedDict[Digest, _Missing] = OrderedDict()
        self.unverified: dict[Digest, _Unverified] = {}
        self._configuration = configuration
        self._outlet = outlet
        self._purses = purses
        self._theirs = Purses(configuration)
        """What is left to this node with each neighbor, most likely, for transactions: half of a purse."""
        self._waited_for: Counter[str] = Counter()
        """Missing payloads that each neighbor announced."""
        self._announcements: dict[str, OrderedDict[Digest, Announced]] = {}

    @property
    def busy(self) -> bool:
        """Whether a short timer is needed."""
        return bool(self.missing) or any(self._announcements.values())

    # --- neighbors ---

    def neighbor_up(self, peer: str) -> None:
        for tree in self.trees.values():
            tree.eager[peer] = None
        self._announcements[peer] = OrderedDict()
        self._recall(peer)

    def neighbor_down(self, peer: str) -> None:
        for tree in self.trees.values():
            tree.eager.pop(peer, None)
            tree.lazy.pop(peer, None)
            if tree.parent == peer:
                tree.parent = None
        del self._announcements[peer]
        for missing in self.missing.values():
            missing.announcers.pop(peer, None)
            if missing.asked == peer:
                missing.asked, missing.due_ms = None, self._outlet.now_ms
        del self._waited_for[peer]
        for unverified in self.unverified.values():
            unverified.holders.pop(peer, None)

    # --- payloads ---

    def publish(self, kind: Kind, body: bytes, seal: bytes) -> None:
        """Spread a payload for which the host vouches."""
        limits = LIMITS[kind]
        assert len(body) <= limits.body_bytes_max, "the publisher keeps to the bounds of its kind"
        assert len(seal) <= limits.seal_bytes_max
        identifier = payload_id(kind, body)
        if not self.kept.holds(kind, identifier):
            self.unverified.pop(identifier, None)
            self._pass_on(Payload(kind, identifier, 0, body, seal), None, pulled=False, holders=self._found(identifier))

    def on_payload(self, peer: str, payload: Payload) -> None:
        """Raises GossipError: `wrong-digest` or `too-many-unverified`."""
        kind, identifier = payload.kind, Digest(payload.id)
        self.copies[kind.name] += 1
        missing = self.missing.get(identifier)
        pulled = missing is not None and missing.asked == peer
        waiting = self.unverified.get(identifier)
        if waiting is not None or self.kept.saw(kind, identifier):
            self._on_repetition(peer, kind, identifier, waiting)
            return
        if payload_id(kind, payload.body) != identifier:
            raise GossipError(GossipReason.WRONG_DIGEST)
        unverified = sum(entry.sender == peer for entry in self.unverified.values())
        if unverified >= self._configuration.verifying_per_peer_max:
            raise GossipError(GossipReason.TOO_MANY_UNVERIFIED)
        holders = self._found(identifier)
        holders.pop(peer, None)
        self.unverified[identifier] = _Unverified(payload, peer, pulled, holders)
        self._outlet.effects.append(Verify(kind, identifier, payload.body, payload.seal, peer))

    def on_verified(self, identifier: Digest, verdict: Verdict) -> None:
        waiting = self.unverified.pop(identifier, None)
        if waiting is None:
            return  # published meanwhile
        payload = waiting.payload
        if verdict is Verdict.VALID:
            self._pass_on(payload, waiting.sender, pulled=waiting.pulled, holders=waiting.holders)
        elif verdict is Verdict.IGNORED:
            self.kept.note(identifier, self._outlet.now_ms)
        else:
            self._outlet.refusals[GossipReason.INVALID_PAYLOAD] += 1
            self._purses.charge(waiting.sender, INVALID_COST, 0, self._outlet.now_ms)
            if waiting.holders:
                self._miss(identifier, payload.kind, waiting.holders, self._outlet.now_ms)

    def _on_repetition(self, peer: str, kind: Kind, identifier: Digest, waiting: _Unverified | None) -> None:
        self._purses.charge(peer, DUPLICATE_COST, 0, self._outlet.now_ms)
        if waiting is not None and peer != waiting.sender:
            waiting.holders[peer] = 0
        pulled_from = self.kept.pulled_from(identifier)
        tree = self.trees[kind]
        first = waiting.sender if waiting is not None else tree.parent
        if peer not in (first, pulled_from) and peer in tree.eager:
            tree.make_lazy(peer)
            self._outlet.send(Prune(kind), peer)

    def _pass_on(self, payload: Payload, sender: str | None, *, pulled: bool, holders: dict[str, int]) -> None:
        """Deliver a valid payload, push it to eager neighbors, and announce it to the others that may lack it."""
        kind, identifier = payload.kind, Digest(payload.id)
        tree, former = self.trees[kind], self.trees[kind].parent
        if sender is not None:
            self.delivered[kind.name] += 1
            self._outlet.effects.append(Deliver(kind, identifier, payload.body, payload.seal, payload.hops))
            if not pulled:
                tree.make_eager(sender)
                tree.parent = sender if sender in tree.eager else None  # it may have gone while the host judged
                tree.depth, tree.pulled_in_row = payload.hops, 0
        self.kept.keep(payload, self._outlet.now_ms, sender, pulled=pulled)
        onward = msgspec.structs.replace(payload, hops=min(payload.hops + 1, HOPS_MAX))
        known = {sender, *holders}
        # Where the tree failed us, the node above most likely has the payload: it is told, not sent to.
        dear = {peer for peer in tree.eager if peer not in known and not self._affords(peer, payload)}
        known |= dear
        push = [peer for peer in tree.eager if peer not in known and not (pulled and peer == former)]
        self._outlet.send(onward, *push)
        self.pushed[kind.name] += len(push)
        announced = Announced(kind, identifier, onward.hops)
        for peer in (*tree.lazy, *tree.eager):
            if peer not in known and peer not in push:
                self._announce(peer, announced)

    def _affords(self, peer: str, payload: Payload) -> bool:
        """Whether a neighbor can be sent a transaction: many come from many sides, and who passed all of them on would
        empty its own purse there and be cut off. Gossip promises nothing to transactions; blocks are few."""
        if payload.kind is not Kind.TRANSACTION:
            return True
        if not self._theirs.admit(peer, 2 * len(payload.body), self._outlet.now_ms):
            return False
        self._theirs.charge(peer, 1, 0, self._outlet.now_ms)
        return True

    # --- announcements ---

    def on_announce(self, peer: str, message: Announce) -> None:
        """Raises GossipError: `too-many-announced`; the ids before that are taken."""
        excess = 0
        for entry in message.entries:
            identifier = Digest(entry.id)
            self._announcements[peer].pop(identifier, None)
            waiting = self.unverified.get(identifier)
            if waiting is not None:
                if peer != waiting.sender:
                    waiting.holders[peer] = entry.hops
            elif self.kept.saw(entry.kind, identifier):
                self._consider_shortcut(peer, entry)
            elif self._waited_for[peer] >= self._configuration.missing_per_peer_max:
                excess += 1
            else:
                tree = self.trees[entry.kind]
                patience_ms = self._configuration.pull_delay_ms + tree.depth * self._configuration.pull_step_ms
                self._miss(identifier, entry.kind, {peer: entry.hops}, self._outlet.now_ms + patience_ms)
        if excess:
            self._purses.charge(peer, excess * EXCESS_COST, 0, self._outlet.now_ms)
            raise GossipError(GossipReason.TOO_MANY_ANNOUNCED)

    def on_graft(self, peer: str, message: Graft) -> None:
        tree = self.trees[message.kind]
        if message.to_tree:
            tree.make_eager(peer)
        if message.id is None:
            return
        payload = self.kept.get(message.kind, Digest(message.id))
        if payload is not None:
            self._purses.charge(peer, 0, len(payload.body) + len(payload.seal), self._outlet.now_ms)
            self._outlet.send(msgspec.structs.replace(payload, hops=min(payload.hops + 1, HOPS_MAX)), peer)
            self.pushed[message.kind.name] += 1

    def on_prune(self, peer: str, message: Prune) -> None:
        self.trees[message.kind].make_lazy(peer)

    def _consider_shortcut(self, peer: str, entry: Announced) -> None:
        """Plumtree's optimization: the neighbor that announces would bring payloads over fewer links."""
        tree = self.trees[entry.kind]
        if self.kept.pulled_from(Digest(entry.id)) is not None or tree.parent is None or peer not in tree.lazy:
            return
        hops = self.kept.hops(entry.kind, Digest(entry.id))
        if hops is not None and hops == tree.depth and entry.hops + self._configuration.hops_gain_min <= hops:
            tree.make_eager(peer)
            self._outlet.send(Graft(entry.kind, None, to_tree=True), peer)
            tree.make_lazy(tree.parent)
            self._outlet.send(Prune(entry.kind), tree.parent)
            tree.parent, tree.depth = peer, entry.hops

    # --- time ---

    def tick(self) -> None:
        """Send what was gathered, and pull what is overdue."""
        for peer, waiting in self._announcements.items():
            while waiting:
                entries = tuple(list(waiting.values())[:ANNOUNCED_MAX])
                for entry in entries:
                    del waiting[Digest(entry.id)]
                self._outlet.send(Announce(entries), peer)
        for identifier, missing in list(self.missing.items()):
            if missing.due_ms <= self._outlet.now_ms:
                self._pull(identifier, missing)

    def recapitulate(self) -> None:
        """Tell every neighbor the latest payloads again. It says at least that this node is there."""
        self.kept.expire(self._outlet.now_ms)
        entries = self._latest()
        self._outlet.send(Announce(entries), *self._announcements)

    def _pull(self, identifier: Digest, missing: _Missing) -> None:
        if missing.asked is not None:
            self._outlet.refusals[GossipReason.UNANSWERED_PULL] += 1
            self._purses.charge(missing.asked, UNANSWERED_COST, 0, self._outlet.now_ms)
            if missing.announcers.pop(missing.asked, None) is not None:
                self._waited_for[missing.asked] -= 1
        elif missing.announcers:
            self.trees[missing.kind].pulled_in_row += 1
        if not missing.announcers:
            del self.missing[identifier]
            return
        peer = min(missing.announcers, key=missing.announcers.__getitem__)
        tree = self.trees[missing.kind]
        to_tree = tree.pulled_in_row > 1 or tree.parent is None
        if to_tree:
            tree.make_eager(peer)
        missing.asked, missing.due_ms = peer, self._outlet.now_ms + self._configuration.pull_timeout_ms
        self.pulls += 1
        self._outlet.send(Graft(missing.kind, identifier, to_tree), peer)

    # --- inside ---

    def _miss(self, identifier: Digest, kind: Kind, holders: dict[str, int], due_ms: int) -> None:
        missing = self.missing.get(identifier)
        if missing is None:
            missing = self.missing[identifier] = _Missing(kind, {}, due_ms)
        for peer, hops in holders.items():
            if peer not in missing.announcers and len(missing.announcers) < ANNOUNCERS_MAX:
                missing.announcers[peer] = hops
                self._waited_for[peer] += 1

    def _found(self, identifier: Digest) -> dict[str, int]:
        """A missing payload came: forget that it was, and return who announced it."""
        missing = self.missing.pop(identifier, None)
        if missing is None:
            return {}
        for peer in missing.announcers:
            self._waited_for[peer] -= 1
        return missing.announcers

    def _announce(self, peer: str, entry: Announced) -> None:
        waiting = self._announcements[peer]
        waiting[Digest(entry.id)] = entry
        if len(waiting) > ANNOUNCEMENTS_WAITING_MAX:
            waiting.popitem(last=False)

    def _recall(self, peer: str) -> None:
        """A new neighbor may lack the latest payloads."""
        for entry in self._latest():
            self._announce(peer, entry)

    def _latest(self) -> tuple[Announced, ...]:
        latest: list[Announced] = []
        for kind in Kind:
            latest += self.kept.latest(kind, self._configuration.recap_entries)
        return tuple(latest[:ANNOUNCED_MAX])
