"""How much may be asked of each peer now: a window that grows with answers, and rest for those that let us wait.

One object serves all artifacts that a node fetches, so that a peer's window is one however many of its artifacts are
wanted. Nothing here reads a clock or sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

WINDOW_MIN: Final = 1
WINDOW_START: Final = 4
WINDOW_MAX: Final = 8
"""Blocks asked of one peer and not yet answered. Eight blocks of 1 MiB keep a link of 100 MB/s busy over 80 ms, and
their answers fit the peer's queue of the channel twice."""
ANSWER_TIMEOUT_MS: Final = 10_000
"""A peer that has served nothing for so long, while it was asked, is choked and its blocks are asked elsewhere."""
CHOKE_MIN_MS: Final = 2_000
CHOKE_MAX_MS: Final = 120_000
"""A choked peer is asked for nothing; each time in a row twice as long, up to this."""
REST_MS: Final = 100
"""How long a peer that says it is busy is left alone."""
PEERS_MAX: Final = 1_024
"""Peers remembered; beyond it an idle one is forgotten, and with it that it was late."""


class _Peer:
    __slots__ = ("choked_until_ms", "in_flight", "last_served_ms", "resting_until_ms", "strikes", "window")

    def __init__(self) -> None:
        self.window = WINDOW_START
        self.in_flight = 0
        self.last_served_ms = 0
        self.choked_until_ms = 0
        self.resting_until_ms = 0
        self.strikes = 0


class Sources:
    """The peers of one node, as sources of blocks."""

    def __init__(self, in_flight_max: int) -> None:
        """`in_flight_max` blocks are under way from all peers together."""
        self._in_flight_max = in_flight_max
        self._in_flight = 0
        self._peers: dict[str, _Peer] = {}

    @property
    def in_flight(self) -> int:
        """Blocks asked for and not yet answered, of all artifacts."""
        return self._in_flight

    @property
    def full(self) -> bool:
        """Whether nothing more may be asked of anyone."""
        return self._in_flight >= self._in_flight_max

    def free(self, peer: str, now_ms: int) -> int:
        """How many more blocks may be asked of `peer` now."""
        known = self._peers.get(peer)
        if known is None:
            return WINDOW_START
        if now_ms < max(known.choked_until_ms, known.resting_until_ms):
            return 0
        return max(0, known.window - known.in_flight)

    def load(self, peer: str) -> int:
        """Blocks asked of `peer` and not yet answered."""
        known = self._peers.get(peer)
        return 0 if known is None else known.in_flight

    def choked(self, peer: str, now_ms: int) -> bool:
        """Whether `peer` let us wait lately."""
        known = self._peers.get(peer)
        return known is not None and now_ms < known.choked_until_ms

    def choked_of(self, peers: Iterable[str], now_ms: int) -> set[str]:
        """Those of `peers` that are choked."""
        return {peer for peer in peers if self.choked(peer, now_ms)}

    def asked(self, peer: str) -> None:
        """A block was asked of `peer`; `ended` follows, whatever becomes of it."""
        self._peer(peer).in_flight += 1
        self._in_flight += 1

    def ended(self, peer: str) -> None:
        """A block asked of `peer` is not awaited any more."""
        known = self._peer(peer)
        assert known.in_flight > 0
        known.in_flight -= 1
        self._in_flight -= 1

    def served(self, peer: str, now_ms: int) -> None:
        """`peer` sent a block: it is alive, and may be asked for more at once."""
        known = self._peer(peer)
        known.last_served_ms = max(known.last_served_ms, now_ms)
        known.strikes = 0
        known.window = min(WINDOW_MAX, known.window + 1)

    def busy(self, peer: str, now_ms: int) -> None:
        """`peer` serves others as fast as it can."""
        known = self._peer(peer)
        known.window = max(WINDOW_MIN, known.window // 2)
        known.resting_until_ms = now_ms + REST_MS

    def is_late(self, peer: str, asked_at_ms: int, now_ms: int) -> bool:
        """Whether an answer asked for at `asked_at_ms` is given up."""
        return now_ms - max(asked_at_ms, self._peer(peer).last_served_ms) >= ANSWER_TIMEOUT_MS

    def late(self, peer: str, now_ms: int) -> None:
        """`peer` let us wait: choke it, once for all that it owes."""
        known = self._peer(peer)
        if now_ms < known.choked_until_ms:
            return
        known.choked_until_ms = now_ms + min(CHOKE_MAX_MS, CHOKE_MIN_MS << min(known.strikes, 16))
        known.strikes += 1
        known.window = WINDOW_MIN

    def _peer(self, peer: str) -> _Peer:
        known = self._peers.get(peer)
        if known is None:
            if len(self._peers) >= PEERS_MAX:
                idle = next((name for name, record in self._peers.items() if record.in_flight == 0), None)
                if idle is not None:
                    del self._peers[idle]
            known = self._peers[peer] = _Peer()
        return known
