"""Blocks that arrive by gossip, brought into the order of the chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from node.ports import Cancelable, Clock
from primitives.finality import FinalityCertificate

AHEAD_MAX: Final = 64
"""Blocks kept that do not follow the head yet; the highest goes first, and is fetched again."""
AHEAD_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes of them; likewise."""
GAP_MS: Final = 700
"""How long the block before is waited for: gossip pulls what was lost. Then block synchronization fetches it."""

Arrived = tuple[bytes, Sequence[bytes], FinalityCertificate]
"""Block, headers up to the certificate, certificate."""


class Taker(Protocol):
    """The part of `node.gossip_host.Follower` that this needs."""

    @property
    def height(self) -> int: ...

    def take_certified(
        self, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate, done: Callable[[], None]
    ) -> None: ...

    def show_certificate(self, certificate: FinalityCertificate) -> None: ...


class InOrder:
    """Hands over one block after the other. Belongs to the deciding thread."""

    def __init__(self, clock: Clock, taker: Taker) -> None:
        self._clock = clock
        self._taker = taker
        self._ahead: dict[int, Arrived] = {}
        self._taking = False
        self._timer: Cancelable | None = None

    def stop(self) -> None:
        self._ahead.clear()
        self._stop_timer()

    def take(self, height: int, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate) -> None:
        """Take a certified block, whenever those before it are there."""
        if height <= self._taker.height:
            return
        self._ahead[height] = (block, headers, certificate)
        while len(self._ahead) > AHEAD_MAX or (len(self._ahead) > 1 and self._bytes > AHEAD_BYTES_MAX):
            del self._ahead[max(self._ahead)]
        self._advance()

    @property
    def _bytes(self) -> int:
        return sum(len(block) for block, _, _ in self._ahead.values())

    def _advance(self) -> None:
        if self._taking:
            return
        head = self._taker.height
        for height in [height for height in self._ahead if height <= head]:
            del self._ahead[height]
        arrived = self._ahead.pop(head + 1, None)
        if arrived is not None:
            self._stop_timer()
            self._taking = True
            self._taker.take_certified(*arrived, self._taken)
        elif self._ahead and self._timer is None:
            self._timer = self._clock.call_later(GAP_MS, self._on_gap)

    def _taken(self) -> None:
        self._taking = False
        self._advance()

    def _on_gap(self) -> None:
        """What is missing did not come."""
        self._timer = None
        if self._ahead and not self._taking:
            self._taker.show_certificate(self._ahead[max(self._ahead)][2])
            self._advance()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
