"""Whom a node knows of: the registry, the passive view of HyParView, and who is not to be asked now.

At most half of the passive view is hearsay; the rest are this node's own uniform draws from the registry, so that
nobody's tales fill it.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import Final

UNREADY_MAX: Final = 1_024
"""Nodes of which it is remembered that they are not to be asked now; the oldest is forgotten first."""
DRAWS_MAX: Final = 8
"""Draws from the registry until one is found that can be asked; then a later step tries again."""


class Acquaintances:
    def __init__(self, own: str, passive_max: int, chance: random.Random, is_busy: Callable[[str], bool]) -> None:
        """`is_busy` tells of a node whether it is a neighbor or was asked to be one."""
        self.allowed: frozenset[str] = frozenset()
        self.contacts: tuple[str, ...] = ()
        self.passive: dict[str, bool] = {}
        """Node -> whether this node drew it from the registry; otherwise it is hearsay."""
        self._own = own
        self._passive_max = passive_max
        self._chance = chance
        self._is_busy = is_busy
        self._registry: tuple[str, ...] = ()
        self._unready: OrderedDict[str, int] = OrderedDict()
        """Node -> when it may be asked again."""

    def set_members(self, allowed: Iterable[str], contacts: Iterable[str], now_ms: int) -> None:
        self.allowed = frozenset(allowed) - {self._own}
        self._registry = tuple(sorted(self.allowed))
        self.contacts = tuple(sorted(self.allowed.intersection(contacts)))
        for peer in [peer for peer in self.passive if peer not in self.allowed]:
            del self.passive[peer]
        self.refresh(now_ms, renew=False)

    # --- who can be asked ---

    def postpone(self, peer: str, until_ms: int) -> None:
        """Do not ask `peer` before."""
        self._unready[peer] = max(until_ms, self._unready.pop(peer, 0))
        if len(self._unready) > UNREADY_MAX:
            self._unready.popitem(last=False)

    def is_ready(self, peer: str, now_ms: int) -> bool:
        return self._unready.get(peer, 0) <= now_ms

    def expire(self, now_ms: int) -> None:
        for peer in [peer for peer, until_ms in self._unready.items() if until_ms <= now_ms]:
            del self._unready[peer]

    def draw(self, now_ms: int) -> str | None:
        """Draw a node from the registry that can be asked; None when chance finds none."""
        for _ in range(min(DRAWS_MAX, 2 * len(self._registry))):
            peer = self._chance.choice(self._registry)
            if not self._is_busy(peer) and self.is_ready(peer, now_ms):
                return peer
        return None

    def replacement(self, now_ms: int) -> str | None:
        """Choose a node of the passive view that can be asked."""
        candidates = [peer for peer in self.passive if not self._is_busy(peer) and self.is_ready(peer, now_ms)]
        return self._chance.choice(candidates) if candidates else None

    # --- the passive view ---

    def remember(self, node: str, *, drawn: bool = False) -> None:
        """Put a node into the passive view; hearsay displaces hearsay beyond half of the places."""
        if node not in self.allowed or node in self.passive or self._is_busy(node):
            return
        hearsay = [peer for peer, was_drawn in self.passive.items() if not was_drawn]
        if not drawn and len(hearsay) >= self._passive_max // 2:
            del self.passive[self._chance.choice(hearsay)]
        elif len(self.passive) >= self._passive_max:
            own = [peer for peer, was_drawn in self.passive.items() if was_drawn]
            del self.passive[self._chance.choice(own if drawn and own else list(self.passive))]
        self.passive[node] = drawn

    def forget(self, node: str) -> None:
        self.passive.pop(node, None)

    def refresh(self, now_ms: int, *, renew: bool) -> None:
        """Fill the half that is no hearsay; with `renew` also where it is full, by one."""
        places = self._passive_max - self._passive_max // 2
        missing = places - sum(self.passive.values())
        for _ in range(max(missing, 1 if renew else 0)):
            drawn = self.draw(now_ms)
            if drawn is not None:
                self.remember(drawn, drawn=True)

    def sample(self, count: int, neighbors: Iterable[str], without: Container[str]) -> tuple[str, ...]:
        """Draw names to tell: half of them neighbors, for those are alive."""
        active = [peer for peer in neighbors if peer not in without]
        passive = [peer for peer in self.passive if peer not in without]
        told = self._chance.sample(active, min(len(active), (count + 1) // 2))
        return (*told, *self._chance.sample(passive, min(len(passive), count - len(told))))
