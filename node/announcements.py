"""Who hears of blocks, and when: at once when one is executed, and again when it is final."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from consensus.evidence import Evidence
from ledger.chain import ExecutedBlock
from node.core_values import Listener

UNCERTIFIED_BLOCKS_MAX: Final = 8_192
"""Executed blocks whose certificate is awaited; consensus keeps far fewer, its window."""


class Announcements:
    """Tells listeners, and remembers what is not final yet."""

    def __init__(self, certified_height: int) -> None:
        self.certified_height = certified_height
        self.contradictions: Counter[int] = Counter()
        """Evidence seen, by replica."""
        self._listeners: list[Listener] = []
        self._uncertified: deque[ExecutedBlock] = deque(maxlen=UNCERTIFIED_BLOCKS_MAX)

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def executed(self, block: ExecutedBlock, dropped: Sequence[bytes]) -> None:
        """A block is executed; `dropped` left the pool with it and have no receipt."""
        self._uncertified.append(block)
        for listener in self._listeners:
            listener.on_executed(block)
            if dropped:
                listener.on_dropped(dropped)

    def certified(self, height: int) -> None:
        """Everything up to `height` is final."""
        if height <= self.certified_height:
            return
        self.certified_height = height
        final = []
        while self._uncertified and self._uncertified[0].header.height <= height:
            final.append(self._uncertified.popleft())
        for listener in self._listeners:
            listener.on_certified(height, final)

    def evidence(self, evidence: Evidence) -> None:
        """A member contradicted itself."""
        self.contradictions[evidence.culprit] += 1
        for listener in self._listeners:
            listener.on_evidence(evidence)
