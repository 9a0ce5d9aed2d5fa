"""Nodes that fetch one artifact from each other over links of limited rate, in virtual time.

The deciding parts are the node's own (`node.swarm`, `node.swarm_sources`, `node.swarm_news`); blocks are names with a
size, and links are queues: a node sends one thing after the other at its upload rate, and each arrives a delay later.
What the node's driver does around the decisions is done here as it does it: `node/artifact_fetch.py`.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final, Protocol

from node.swarm import Swarm
from node.swarm_news import SwarmNews
from node.swarm_sources import Sources

TICK_MS: Final = 100
MESSAGE_BYTES: Final = 200
"""What a message without a block takes on a link, with its frame."""
SERVING_PER_PEER_MAX: Final = 8
IN_FLIGHT_MAX: Final = 16


class Graph:
    """An artifact: a root that links to leaves, or to inner blocks that do."""

    def __init__(self, leaves: int, width: int = 1_024, block_bytes: int = 1 << 20) -> None:
        self.root = "root"
        self.block_bytes = block_bytes
        names = [f"leaf-{n}" for n in range(leaves)]
        groups = [names[n : n + width] for n in range(0, leaves, width)]
        if len(groups) == 1:
            self.links: dict[str, list[str]] = {self.root: names}
        else:
            self.links = {self.root: [f"inner-{n}" for n in range(len(groups))]}
            self.links |= {f"inner-{n}": group for n, group in enumerate(groups)}
        self.blocks = [self.root, *(child for children in self.links.values() for child in children)]
        self.parents = {child: inner for inner, children in self.links.items() for child in children}

    def size_of(self, name: str) -> int:
        """Bytes of a block."""
        return 60 * len(self.links[name]) if name in self.links else self.block_bytes


class Member(Protocol):
    """A node on the network."""

    held: set[str]
    served: Counter[str]
    """Blocks given to others."""

    def receive(self, sender: str, message: tuple[str, ...]) -> None: ...

    def tick(self) -> None: ...

    def left(self, peer: str) -> None: ...


class SwarmNetwork:
    """Members, links and the one clock."""

    def __init__(self, graph: Graph, *, seed: int = 0, delay_ms: int = 20) -> None:
        self.graph = graph
        self.now_ms = 0
        self.members: dict[str, Member] = {}
        self.finished_ms: dict[str, int] = {}
        """Member -> when it first held everything."""
        self.tamper: Callable[[str, str, tuple[str, ...]], Iterable[tuple[str, ...]]] | None = None
        """(sender, receiver, message) -> what arrives instead."""
        self._random = random.Random(seed)
        self._delay_ms = delay_ms
        self._rates: dict[str, float] = {}
        self._free_at_ms: dict[str, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def add(self, name: str, member: Member, *, upload_mb_s: float) -> None:
        """Connect a member to all others; MB are 10^6 bytes."""
        self.members[name] = member
        self._rates[name] = upload_mb_s * 1000
        self._free_at_ms[name] = 0.0

    def remove(self, name: str) -> None:
        """Take a member away at once; what it sent and did not yet leave is lost."""
        del self.members[name]
        for member in self.members.values():
            member.left(name)

    def send(self, sender: str, receiver: str, message: tuple[str, ...]) -> None:
        """Queue a message; a block takes the sender's link for as long as its bytes do."""
        size = MESSAGE_BYTES + (self.graph.size_of(message[1]) if message[0] == "found" else 0)
        begin = max(self.now_ms, self._free_at_ms[sender])
        # What is small goes between the segments of what is large.
        end = begin + size / self._rates[sender] if message[0] == "found" else self.now_ms
        if message[0] == "found":
            self._free_at_ms[sender] = end
        for arriving in (message,) if self.tamper is None else self.tamper(sender, receiver, message):
            jitter = self._random.uniform(0, self._delay_ms / 10)
            self.at(end + self._delay_ms + jitter, lambda m=arriving: self._arrive(sender, receiver, m))  # type: ignore[misc]  # a default binds the loop's value

    def _arrive(self, sender: str, receiver: str, message: tuple[str, ...]) -> None:
        if sender in self.members and receiver in self.members:
            self.members[receiver].receive(sender, message)

    def at(self, time_ms: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (time_ms, next(self._numbers), action))

    def run(self, until_ms: int, *, done: Callable[[], bool]) -> bool:
        """Let time pass until `done` or the limit; tell whether it was done."""
        self.at(self.now_ms, self._tick)
        while self._events and not done():
            time_ms, _, action = heapq.heappop(self._events)
            if time_ms > until_ms:
                return False
            self.now_ms = max(self.now_ms, int(time_ms))
            action()
        return done()

    def _tick(self) -> None:
        for member in list(self.members.values()):
            member.tick()
        self.at(self.now_ms + TICK_MS, self._tick)

    def note_progress(self, name: str) -> None:
        """A member holds one more block."""
        if name not in self.finished_ms and len(self.members[name].held) == len(set(self.graph.blocks)):
            self.finished_ms[name] = self.now_ms


class SwarmMember:
    """A node with the production decisions."""

    def __init__(self, name: str, network: SwarmNetwork, held: Iterable[str] = ()) -> None:
        self.name = name
        self.held = set(held)
        self.served: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        """Blocks that came, duplicates counted."""
        self.liars: set[str] = set()
        self.swarm = Swarm(name, Sources(IN_FLIGHT_MAX))
        self.news = SwarmNews()
        self._network = network
        self._graph = network.graph
        self._serving: Counter[str] = Counter()
        self._begun = False

    @property
    def complete(self) -> bool:
        return len(self.held) == len(set(self._graph.blocks))

    def receive(self, sender: str, message: tuple[str, ...]) -> None:
        kind, name = message[0], message[1]
        now_ms = self._network.now_ms
        if kind == "want":
            self._send(sender, *(("found", name, name) if name in self.held else ("missing", name)))
            self.served[name] += name in self.held
        elif kind == "interest":
            self.news.interested(sender, self._graph.root)
            self.swarm.holders.takes_part(sender)
            self._tell(sender, [self._graph.root, *message[2:]])
        elif kind == "complete":
            self.news.satisfied(sender, self._graph.root)
            self.swarm.holds_all(sender)
        elif kind == "holds":
            self.swarm.holds_some(sender, name, bytes.fromhex(message[2]))
        elif self.swarm.awaits(sender, name):
            if kind == "missing":
                self.swarm.failed(sender, name)
            elif message[2] != name:
                self.liars.add(sender)
                self.swarm.lied(sender)
            else:
                self._take(sender, name, now_ms)
        self._step()

    def _take(self, sender: str, name: str, now_ms: int) -> None:
        self.received[name] += 1
        self.swarm.arrived(sender, name, now_ms)
        self.held.add(name)
        self.swarm.received(sender, name)
        if (parent := self._graph.parents.get(name)) is not None:
            self.news.came(self._graph.root, parent)
        if name in self._graph.links:
            self.news.came(self._graph.root, name)
        self._network.note_progress(self.name)
        if self.complete:
            for peer in self._network.members:
                if peer != self.name:
                    self._send(peer, "complete", self._graph.root)
            self.news.finished(self._graph.root)

    def tick(self) -> None:
        if not self._begun and not self.complete:
            self._begun = True
            for peer in self._network.members:
                if peer != self.name:
                    self._send(peer, "interest", self._graph.root, *(i for i in self._graph.links if i in self.held))
        for _, peers, told in self.news.due(self._network.now_ms):
            for peer in peers:
                self._tell(peer, told)
        self._step()

    def left(self, peer: str) -> None:
        self.news.gone(peer)
        self.swarm.gone(peer)

    def _step(self) -> None:
        if self.complete:
            return
        for inner in (None, *self._graph.links):
            if inner is None:
                if self._graph.root not in self.held:
                    self.swarm.want(self._graph.root, leaf=False, place=None)
            elif inner in self.held:
                for position, child in enumerate(self._graph.links[inner]):
                    if child not in self.held and not self.swarm.want(
                        child, leaf=child not in self._graph.links, place=(inner, position)
                    ):
                        break
        now_ms = self._network.now_ms
        self.swarm.expired(now_ms)
        for peer, name in self.swarm.next_requests(now_ms):
            self._send(peer, "want", name)

    def _tell(self, peer: str, inner_blocks: Iterable[str]) -> None:
        if self.complete:
            self._send(peer, "complete", self._graph.root)
            return
        for inner in inner_blocks:
            if inner in self.held:
                bits = sum(1 << n for n, child in enumerate(self._graph.links[inner]) if child in self.held)
                field = bits.to_bytes((len(self._graph.links[inner]) + 7) // 8, "little")
                self._send(peer, "holds", inner, field.hex())

    def _send(self, peer: str, *message: str) -> None:
        if peer in self._network.members:
            self._network.send(self.name, peer, message)
