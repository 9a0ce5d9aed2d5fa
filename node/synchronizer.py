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
"""How long a peer may take for its answer; doubled after silence, for links may be slow."""
ANSWER_TIMEOUT_MS_MAX: Final = 30_000
RETRY_MS: Final = 250
"""The pause after a peer failed. New reasons to synchronize do not cut it short."""
DEMERIT_SILENT: Final = 1
DEMERIT_LIED: Final = 100
DEMERITS_MAX: Final = 10_000
"""Demerits of one peer; further ones change nothing."""
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
        self._first = 0
        """The height from which blocks were asked for last."""
        self._asked: str | None = None
        self._timeout_ms = ANSWER_TIMEOUT_MS
        self._range = BLOCKS_PER_ANSWER_MAX
        """Blocks to ask for at once: fewer after silence, more after an answer."""
        self._timer: Cancelable | None = None
        """The deadline of the peer that was asked, or the pause before the next one is."""
        self._executing = False
        self._executed_batches: list[tuple[int, int]] = []
        """Of blocks that were executed, but whose certificate has not been reached; the engine hears of them then."""
        self._batches_epoch = 0
        """Theirs. Numbers begin anew with each epoch: those of an ended one would be taken for others."""
        self._demerits: dict[str, int] = {}
        """By peer; only registered nodes are connected, so there are as many at most."""
        self._serving: dict[str, int] = {}
        self._stopped = False

    @property
    def target_height(self) -> int | None:
        """The height to reach, while there is one."""
        if self._target is None or self._target.height <= self._height():
            return None
        return self._target.height

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
        if self._timer is None:
            self._advance()

    def on_peer_disconnected(self, peer: str) -> None:
        """What it was asked for will not come: ask the next one."""
        if peer == self._asked and not self._executing:
            self._failed(peer, DEMERIT_SILENT)

    def _advance(self) -> None:
        if self._stopped or self._target is None or self._asked is not None:
            return
        self._first = first = self._height() + 1
        if first > self._target.height:
            self._target = None
            return
        peer = self._choose()
        if peer is None:
            self._later(RETRY_MS, self._advance)
            return
        self._request += 1
        last = min(self._target.height, first + self._range - 1)
        self._asked = peer
        self._later(self._timeout_ms, lambda: self._fell_silent(peer))
        sent = self._links.send(peer, Channel.SYNC, encode_sync(BlocksRequest(self._request, first, last)))
        if not sent and self._asked == peer:
            self._failed(peer, DEMERIT_SILENT)

    def _choose(self) -> str | None:
        """Return the connected peer with the fewest demerits, among equals one that said it has the blocks."""
        return min(
            self._links.connected(),
            key=lambda peer: (self._demerits.get(peer, 0), peer not in self._holders, peer),
            default=None,
        )

    def on_answer(self, peer: str, answer: BlocksAnswer) -> None:
        """Take a peer's blocks, if it was asked for them."""
        if self._stopped or peer != self._asked or answer.request != self._request or self._executing:
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
            self._note_batches(taken.results)
        refusal = taken.refusal
        if refusal is None and self._height() < self._first:
            self._failed(peer, DEMERIT_SILENT)  # true, and of no use: blocks that we have had
        elif refusal is None:
            self._asked = None
            self._timeout_ms = max(ANSWER_TIMEOUT_MS, self._timeout_ms // 2)
            self._range = min(BLOCKS_PER_ANSWER_MAX, 2 * self._range)
            if self._demerits.get(peer, 0) < DEMERIT_LIED:
                self._demerits.pop(peer, None)
            if self._height() >= certificate.height:
                batches, self._executed_batches = tuple(self._executed_batches), []
                self._on_event(Synchronized(certificate, batches))
            self._advance()
        elif refusal.code == "sync.diverged":
            self._on_diverged(refusal)
        else:
            self._links.misbehaved(peer, f"served wrong blocks ({refusal.code})")
            self._failed(peer, DEMERIT_LIED)

    def _note_batches(self, results: Sequence[BlockResult]) -> None:
        epoch = results[0].block.header.epoch  # one answer, one epoch
        if epoch != self._batches_epoch:
            self._batches_epoch, self._executed_batches = epoch, []
        self._executed_batches += [pair for result in results for pair in result.batches]

    def _fell_silent(self, peer: str) -> None:
        self._timeout_ms = min(ANSWER_TIMEOUT_MS_MAX, 2 * self._timeout_ms)
        self._range = max(1, self._range // 2)
        self._failed(peer, DEMERIT_SILENT)

    def _failed(self, peer: str, demerit: int) -> None:
        self._asked = None
        if demerit:
            self._demerits[peer] = min(DEMERITS_MAX, self._demerits.get(peer, 0) + demerit)
        self._later(RETRY_MS, self._advance)

    # --- serving

    def serve(self, peer: str, request: BlocksRequest) -> None:
        """Answer a peer's request from the ledger."""
        if self._stopped or self._serving.get(peer, 0) >= SERVED_AT_ONCE_MAX or request.last < request.first:
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

    # --- time

    def _later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        if self._stopped:
            return

        def expired() -> None:
            self._timer = None
            callback()

        self._timer = self._clock.call_later(delay_ms, expired)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
