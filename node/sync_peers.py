"""Whom to ask for blocks: what each peer has said of its blocks, and how it has served us.

Nothing that a peer says makes us believe in a height; it only keeps us from asking it for what it says it lacks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from node.wire import BLOCKS_PER_ANSWER_MAX

ANSWER_TIMEOUT_MS: Final = 3_000
"""How long a peer may take for an answer; doubled after silence, for links may be slow."""
ANSWER_TIMEOUT_MS_MAX: Final = 30_000
ASKED_OF_PEER_MAX: Final = 2
"""Requests to one peer under way: while it sends one answer it reads the blocks of the next. One, until it has answered
well once, and after it has failed."""
RETRY_MS: Final = 250
"""The pause after a peer failed, before it is asked again because nobody else is there to be asked."""
REST_MS_MAX: Final = 30_000
"""The pause before it is asked beside others, doubled from `RETRY_MS` with each failure in a row up to this."""
MUTE_FAILURES: Final = 3
"""Failures in a row after which a peer that never said which blocks it has is taken for one that has none."""
DEMERIT_SILENT: Final = 1
DEMERIT_LIED: Final = 100
DEMERITS_MAX: Final = 10_000
"""Demerits of one peer; further ones change nothing."""


class Peer:
    """One peer's record. Only registered nodes are connected, so there are as many at most."""

    __slots__ = ("asked", "demerits", "failed_at_ms", "failures", "newest", "oldest", "span", "timeout_ms")

    def __init__(self) -> None:
        self.demerits = 0
        self.failures = 0
        """In a row."""
        self.asked = 0
        """Requests under way."""
        self.timeout_ms = ANSWER_TIMEOUT_MS
        self.span = BLOCKS_PER_ANSWER_MAX
        """Blocks to ask for at once: fewer after silence, more after an answer."""
        self.failed_at_ms = 0
        self.oldest: int | None = None
        """The lowest block that it said it has; None before it said anything on this connection."""
        self.newest: int | None = None

    @property
    def lied(self) -> bool:
        return self.demerits >= DEMERIT_LIED

    @property
    def is_mute(self) -> bool:
        """Whether it was asked often and has not said on this connection what it has."""
        return self.oldest is None and self.failures >= MUTE_FAILURES

    def may_be_asked(self, now_ms: int, *, rested: bool) -> bool:
        """Whether one more request may go to it: `rested`, or as soon as it may be at all."""
        if self.asked >= (1 if self.failures or self.newest is None else ASKED_OF_PEER_MAX):
            return False
        pause_ms = min(REST_MS_MAX, RETRY_MS << min(self.failures - 1, 10)) if rested and self.failures else RETRY_MS
        # A clock that is set back must not make a pause of it.
        return not self.failures or abs(now_ms - self.failed_at_ms) >= pause_ms


class SyncPeers:
    """All of them."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def __getitem__(self, node_id: str) -> Peer:
        return self._peers.setdefault(node_id, Peer())

    def choose(
        self, connected: Collection[str], holders: Collection[str], height: int, now_ms: int, *, idle: bool
    ) -> str | None:
        """Return whom to ask for block `height`, or None while nobody should be.

        Who lied is asked only where nobody else is. Among the others those with fewer demerits come first, then those
        with less to do, then `holders`. A peer that rests is asked when `idle`: nothing else is under way.
        """
        able = [node_id for node_id in connected if self._may_have(self[node_id], height)]
        truthful = [node_id for node_id in able if not self[node_id].lied]
        free = [node_id for node_id in truthful or able if self[node_id].may_be_asked(now_ms, rested=not idle)]
        return min(
            free,
            key=lambda node_id: (self[node_id].demerits, self[node_id].asked, node_id not in holders, node_id),
            default=None,
        )

    @staticmethod
    def _may_have(peer: Peer, height: int) -> bool:
        return peer.oldest is None or peer.oldest <= height

    def oldest(self, connected: Collection[str]) -> int | None:
        """Return the lowest block that any of them has; None while one has not said, or nobody is connected.

        Who says nothing is waited for a while, not for ever: one silent peer must not keep a node from a snapshot.
        """
        said = [self[node_id].oldest for node_id in connected if not self[node_id].is_mute]
        known = [oldest for oldest in said if oldest is not None]
        return min(known, default=None) if len(known) == len(said) else None

    def asked(self, node_id: str) -> None:
        self[node_id].asked += 1

    def done(self, node_id: str) -> None:
        """A request to it is no longer under way."""
        self[node_id].asked -= 1

    def served(self, node_id: str) -> None:
        """What it sent was right and of use. Who lied is not forgiven for that."""
        peer = self[node_id]
        peer.failures = 0
        peer.timeout_ms = max(ANSWER_TIMEOUT_MS, peer.timeout_ms // 2)
        peer.span = min(BLOCKS_PER_ANSWER_MAX, 2 * peer.span)
        if not peer.lied:
            peer.demerits = 0

    def silent(self, node_id: str, now_ms: int) -> None:
        """It did not answer in time: it gets longer next time, for less."""
        peer = self[node_id]
        peer.timeout_ms = min(ANSWER_TIMEOUT_MS_MAX, 2 * peer.timeout_ms)
        peer.span = max(1, peer.span // 2)
        self.failed(node_id, DEMERIT_SILENT, now_ms)

    def failed(self, node_id: str, demerit: int, now_ms: int) -> None:
        """It was of no use."""
        peer = self[node_id]
        peer.demerits = min(DEMERITS_MAX, peer.demerits + demerit)
        peer.failed_at_ms = now_ms
        peer.failures += 1

    def disconnected(self, node_id: str) -> None:
        """It may come back as another process: what it said of its blocks holds no longer."""
        peer = self[node_id]
        peer.oldest = peer.newest = None
