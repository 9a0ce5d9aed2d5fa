"""Catching up: certified blocks are fetched from peers, checked against their certificate, executed.

One range is under way at a time; a peer that does not answer in time, answers with nothing, or answers wrongly is asked
last from then on, and one that lied is named. What a peer claims about its height is never believed: only a
certificate, which the engine verified, says how far there is to go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from consensus.engine import Synchronized
from ledger.errors import InvalidBlock
from node.chain_service import BlockResult, BlocksTaken
from node.ports import Cancelable, Clock, ExecutorPort, Links
from node.wire import BLOCKS_PER_ANSWER_MAX, BlocksAnswer, BlocksRequest, encode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate

ANSWER_TIMEOUT_MS: Final = 3_000
RETRY_MS: Final = 250
DEMERIT_SILENT: Final = 1
DEMERIT_LIED: Final = 100
SERVED_AT_ONCE_MAX: Final = 4
"""Requests of one peer that wait for the ledger; more are dropped, and the peer asks again."""


class Synchronizer:
    """Fetches and serves blocks."""

    def __init__(
        self,
        clock: Clock,
        links: Links,
        executor: ExecutorPort,
        on_results: Callable[[Sequence[BlockResult]], None],
        on_event: Callable[[Synchronized], None],
        on_diverged: Callable[[InvalidBlock], None],
        height: Callable[[], int],
    ) -> None:
        self._clock = clock
        self._links = links
        self._executor = executor
        self._on_results = on_results
        self._on_event = on_event
        self._on_diverged = on_diverged
        self._height = height
        self._target: FinalityCertificate | None = None
        self._holders: tuple[str, ...] = ()
        self._request = 0
        self._asked: str | None = None
        self._timer: Cancelable | None = None
        self._executing = False
        self._executed_batches: list[tuple[int, int]] = []
        """Of blocks that were executed, but whose certificate has not been reached; the engine hears of them then."""
        self._demerits: dict[str, int] = {}
        """By peer; only registered nodes are connected, so there are as many at most."""
        self._serving: dict[str, int] = {}
        self._stopped = False

    @property
    def target_height(self) -> int | None:
        """The height to reach, while there is one."""
        return None if self._target is None else self._target.height

    def stop(self) -> None:
        self._stopped = True
        self._cancel_timer()

    def need(self, certificate: FinalityCertificate, holders: Sequence[str]) -> None:
        """Reach `certificate.height`; `holders` said that they have it."""
        if certificate.height <= self._height():
            return
        if self._target is None or certificate.height >= self._target.height:
            self._target = certificate
            self._holders = tuple(holders)
        self._advance()

    def _advance(self) -> None:
        if self._stopped or self._target is None or self._asked is not None or self._executing:
            return
        first = self._height() + 1
        if first > self._target.height:
            self._target = None
            return
        peer = self._choose()
        if peer is None:
            self._later(RETRY_MS, self._advance)
            return
        self._request += 1
        last = min(self._target.height, first + BLOCKS_PER_ANSWER_MAX - 1)
        self._asked = peer
        if self._links.send(peer, Channel.SYNC, encode_sync(BlocksRequest(self._request, first, last))):
            self._later(ANSWER_TIMEOUT_MS, lambda: self._failed(peer, DEMERIT_SILENT))
        else:
            self._failed(peer, DEMERIT_SILENT)

    def _choose(self) -> str | None:
        connected = self._links.connected()
        candidates = [peer for peer in self._holders if peer in connected] or list(connected)
        best = min(candidates, key=lambda peer: (self._demerits.get(peer, 0), peer), default=None)
        if best is not None and self._demerits.get(best, 0) and len(candidates) < len(connected):
            best = min(connected, key=lambda peer: (self._demerits.get(peer, 0), peer))
        return best

    def on_answer(self, peer: str, answer: BlocksAnswer) -> None:
        """Take a peer's blocks, if it was asked for them."""
        if peer != self._asked or answer.request != self._request or self._executing:
            return
        self._cancel_timer()
        if not answer.blocks or answer.certificate is None:
            self._failed(peer, DEMERIT_SILENT)
            return
        certificate = answer.certificate
        self._executing = True

        def taken(result: Any, error: BaseException | None) -> None:
            self._executing = False
            if self._stopped:
                return
            if error is not None:  # the ledger is busy or failing; not the peer's doing
                self._failed(peer, 0)
            else:
                self._take(peer, certificate, result)

        self._executor.call("take_blocks", (list(answer.blocks), list(answer.headers), certificate), taken)

    def _take(self, peer: str, certificate: FinalityCertificate, taken: BlocksTaken) -> None:
        if taken.results:
            self._on_results(taken.results)
            self._executed_batches += [pair for result in taken.results for pair in result.batches]
        refusal = taken.refusal
        if refusal is None:
            self._asked = None
            self._demerits.pop(peer, None)
            if self._height() >= certificate.height:
                batches, self._executed_batches = tuple(self._executed_batches), []
                self._on_event(Synchronized(certificate, batches))
            self._advance()
        elif refusal.code == "sync.diverged":
            self._on_diverged(refusal)
        elif refusal.code in ("sync.gap", "block.height"):
            # Our head moved between the question and the answer.
            self._failed(peer, 0)
        else:
            self._links.misbehaved(peer, f"served wrong blocks ({refusal.code})")
            self._failed(peer, DEMERIT_LIED)

    def _failed(self, peer: str, demerit: int) -> None:
        self._cancel_timer()
        self._asked = None
        self._demerits[peer] = self._demerits.get(peer, 0) + demerit
        self._later(RETRY_MS, self._advance)

    # --- serving

    def serve(self, peer: str, request: BlocksRequest) -> None:
        """Answer a peer's request from the ledger."""
        if self._serving.get(peer, 0) >= SERVED_AT_ONCE_MAX or request.last < request.first:
            return
        self._serving[peer] = self._serving.get(peer, 0) + 1

        def found(result: Any, error: BaseException | None) -> None:
            self._serving[peer] -= 1
            if not self._serving[peer]:
                del self._serving[peer]
            if self._stopped:
                return
            blocks, headers, certificate = ([], [], None) if error is not None else result
            answer = BlocksAnswer(request.request, tuple(blocks), tuple(headers), certificate)
            self._links.send(peer, Channel.SYNC, encode_sync(answer))

        self._executor.call("blocks", (request.first, request.last), found)

    def _later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        if not self._stopped:
            self._timer = self._clock.call_later(delay_ms, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
