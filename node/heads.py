"""Asking and telling how far the chain is certified, across epochs and to nodes that do not vote.

Replicas of one epoch show each other certificates in their Status messages. A node that follows gets none, and one that
is an epoch behind understands none: it is shown the certificate of its own epoch's last block, which it can verify, and
learns the next validators by executing that block. Nothing said here is believed; the engine verifies it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.ports import Clock, ExecutorPort, Links
from node.wire import HeadAnswer, HeadRequest, encode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate

ANSWER_PERIOD_MS: Final = 100
"""One peer is told no more often; it asks again."""
ASKED_AT_ONCE_MAX: Final = 3
"""Peers asked in one period; others in the next."""


class HeadExchange:
    """One node's side of it."""

    def __init__(
        self,
        clock: Clock,
        links: Links,
        executor: ExecutorPort,
        show: Callable[[str, FinalityCertificate], None],
    ) -> None:
        """`show` gets what a peer answered."""
        self._clock = clock
        self._links = links
        self._executor = executor
        self._show = show
        self._told_at_ms: dict[str, int] = {}
        """Who was told something within the last period."""
        self._turn = 0

    def ask(self, epoch: int, height: int) -> None:
        """Ask some of the connected peers, others each time."""
        peers = sorted(self._links.connected())
        for offset in range(min(ASKED_AT_ONCE_MAX, len(peers))):
            self.ask_peer(peers[(self._turn + offset) % len(peers)], epoch, height)
        self._turn += ASKED_AT_ONCE_MAX

    def ask_peer(self, peer: str, epoch: int, height: int) -> None:
        self._links.send(peer, Channel.SYNC, encode_sync(HeadRequest(epoch, height)))

    def tell(self, peer: str, epoch: int, height: int) -> None:
        """Show a peer that is in `epoch` what is certified there above `height`."""
        now_ms = self._clock.now_ms()
        self._told_at_ms = {to: at for to, at in self._told_at_ms.items() if abs(now_ms - at) < ANSWER_PERIOD_MS}
        if peer in self._told_at_ms:
            return
        self._told_at_ms[peer] = now_ms

        def found(certificate: Any, error: BaseException | None) -> None:
            if error is None and certificate is not None:
                self._links.send(peer, Channel.SYNC, encode_sync(HeadAnswer(certificate)))

        self._executor.call("head_certificate", (epoch, height), found)

    def on_answer(self, peer: str, answer: HeadAnswer) -> None:
        self._show(peer, answer.certificate)
