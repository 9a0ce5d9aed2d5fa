"""Whom this node dials: validators and candidates each other, every other node a few, chosen by chance.

A node that does not vote needs somebody who tells it of blocks, not everybody, and n observers that dialed every
validator would be n times its traffic. One of its neighbors should be a validator; who cannot be reached, or has no
room, makes place for another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from node.ports import Cancelable, Clock, PeerRole, RegisteredPeer

PERIOD_MS: Final = 500
"""How often the neighbors are looked at."""
PATIENCE_MS: Final = 2_000
"""How long a chosen neighbor may be without a link before another is chosen in its place."""
MESHED: Final[frozenset[PeerRole]] = frozenset({"validator", "candidate"})
"""Who has a link to each of its kind."""


class Dialing(Protocol):
    """The links, as far as this matters."""

    def want(self, node_ids: Collection[str]) -> None:
        """Dial these nodes where there is no link, and nobody else."""
        ...

    def connected(self) -> Sequence[str]: ...


class Neighbors:
    """One node's choice. Belongs to the deciding thread."""

    def __init__(self, clock: Clock, dialing: Dialing, node_id: str, count: int, entropy: Callable[[], bytes]) -> None:
        """`count` is how many neighbors a node dials that does not vote."""
        self._clock = clock
        self._dialing = dialing
        self._node_id = node_id
        self._count = count
        self._chance = random.Random(entropy())
        self._roles: dict[str, PeerRole] = {}
        """Of the other nodes that can be dialed."""
        self._meshed = False
        self._chosen: dict[str, int] = {}
        """Neighbor -> when it last had a link, or was chosen (Unix ms)."""
        self._failed: dict[str, int] = {}
        """When a node was last given up; registered nodes only, so there are as many at most."""
        self._timer: Cancelable | None = None

    def on_registered(self, peers: Sequence[RegisteredPeer]) -> None:
        """Take note of who belongs to the network now."""
        own = next((peer.role for peer in peers if peer.node_id == self._node_id), None)
        self._meshed = own in MESHED
        self._roles = {peer.node_id: peer.role for peer in peers if peer.address and peer.node_id != self._node_id}
        self._failed = {node: at for node, at in self._failed.items() if node in self._roles}
        if self._meshed:
            self._chosen = {}
            self._dialing.want([node for node, role in self._roles.items() if role in MESHED])
        else:
            self._choose()
            self._dialing.want(list(self._chosen))

    def start(self) -> None:
        self._timer = self._clock.call_later(PERIOD_MS, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._clock.call_later(PERIOD_MS, self._look)
        if not self._meshed and self._choose():
            self._dialing.want(list(self._chosen))

    def _choose(self) -> bool:
        """Fill the places; tell whether anybody is new or gone."""
        now_ms, before = self._clock.now_ms(), set(self._chosen)
        self._keep(now_ms)
        if not any(self._roles[node] in MESHED for node in self._chosen):
            self._add([node for node, role in self._roles.items() if role in MESHED], now_ms)
        self._add(list(self._roles), now_ms, self._count - len(self._chosen))
        return set(self._chosen) != before

    def _keep(self, now_ms: int) -> None:
        """Drop the neighbors that are gone, and those that had no link for too long."""
        connected = set(self._dialing.connected())
        chosen, self._chosen = self._chosen, {}
        for node, since_ms in chosen.items():
            if node not in self._roles:
                continue
            if node in connected:
                self._chosen[node] = now_ms
            elif abs(now_ms - since_ms) < PATIENCE_MS:
                self._chosen[node] = since_ms
            else:
                self._failed[node] = now_ms

    def _add(self, nodes: Sequence[str], now_ms: int, count: int = 1) -> None:
        """Choose `count` of `nodes`: those that never failed first, then those that failed longest ago."""
        free = [node for node in sorted(nodes) if node not in self._chosen]
        self._chance.shuffle(free)
        free.sort(key=lambda node: self._failed.get(node, -1))
        room = self._count - len(self._chosen)
        if room < 1 <= count and self._chosen and free:
            # No validator among as many as there may be: one of the others makes place.
            del self._chosen[self._chance.choice(sorted(self._chosen))]
            room = 1
        for node in free[: min(count, room)]:
            self._chosen[node] = now_ms
