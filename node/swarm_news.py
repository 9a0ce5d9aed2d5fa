"""Who is to hear which blocks came, and when: the side of a swarm that tells.

A peer that fetches an artifact says so; from then on it hears of what comes here, as bit fields over the links of one
inner block, at most once in `NEWS_PERIOD_MS`. Nobody else does, so news cost only where they are used. A pure object.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

NEWS_PERIOD_MS: Final = 200
"""News of one artifact gather for so long."""
NEWS_BLOCKS_MAX: Final = 64
"""Inner blocks of one artifact told about at a time; the rest follow in the next period."""
INTERESTS_PER_PEER_MAX: Final = 64
"""Artifacts that one peer hears of; for one more, the one it named longest ago is forgotten. It asks again."""


class SwarmNews:
    """The interests of peers, and what they have not heard yet."""

    def __init__(self) -> None:
        self._interests: dict[str, OrderedDict[str, None]] = {}
        """Peer -> roots. Bounded by the connected peers."""
        self._hearers: dict[str, set[str]] = {}
        """Root -> peers; the same the other way round."""
        self._untold: dict[str, dict[str, None]] = {}
        """Root -> inner blocks under which something came since the last news."""
        self._told_at_ms: dict[str, int] = {}

    def interested(self, peer: str, root: str) -> None:
        """`peer` fetches the artifact `root`."""
        roots = self._interests.setdefault(peer, OrderedDict())
        roots[root] = None
        roots.move_to_end(root)
        self._hearers.setdefault(root, set()).add(peer)
        if len(roots) > INTERESTS_PER_PEER_MAX:
            self._forget(peer, roots.popitem(last=False)[0])

    def gone(self, peer: str) -> None:
        """The link to `peer` ended."""
        for root in self._interests.pop(peer, ()):
            self._forget(peer, root)

    def satisfied(self, peer: str, root: str) -> None:
        """`peer` holds all of `root`."""
        roots = self._interests.get(peer)
        if roots is not None and root in roots:
            del roots[root]
            self._forget(peer, root)

    def finished(self, root: str) -> None:
        """All of `root` is held here: its hearers are told that instead."""
        for peer in list(self._hearers.get(root, ())):
            self.satisfied(peer, root)

    def hearers(self, root: str) -> set[str]:
        """The peers that fetch `root`."""
        return self._hearers.get(root, set())

    def came(self, root: str, inner: str) -> None:
        """A block that `inner` links to is held now."""
        if root in self._hearers:
            self._untold.setdefault(root, {})[inner] = None

    def due(self, now_ms: int) -> list[tuple[str, list[str], list[str]]]:
        """What to tell now: (root, to whom, of which inner blocks)."""
        news = []
        for root, untold in list(self._untold.items()):
            if not 0 <= now_ms - self._told_at_ms.get(root, -NEWS_PERIOD_MS) < NEWS_PERIOD_MS:
                told = list(untold)[:NEWS_BLOCKS_MAX]
                for inner in told:
                    del untold[inner]
                if not untold:
                    del self._untold[root]
                self._told_at_ms[root] = now_ms
                news.append((root, sorted(self._hearers[root]), told))
        return news

    def _forget(self, peer: str, root: str) -> None:
        hearers = self._hearers.get(root)
        if hearers is not None:
            hearers.discard(peer)
            if not hearers:
                del self._hearers[root]
                self._untold.pop(root, None)
                self._told_at_ms.pop(root, None)
