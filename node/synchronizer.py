"""Catching up: certified blocks are fetched from several peers at once, checked off this thread, executed in order.

What a peer claims about its height is never believed: only a certificate, which the engine verified, says how far there
is to go. All of that way lies in one epoch, whose validators are known; those of the next are learned by executing its
last block. Three things go on side by side: peers send ranges (`node.sync_fetching`), workers check those that came
against their certificates (`node.block_ranges`), and the ledger executes, in groups, those that are next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from consensus.engine import Synchronized
from ledger.errors import InvalidBlock
from node.block_ranges import CheckedBlock, CheckedRange, Trust
from node.chain_service import BlockResult, BlocksTaken
from node.executed_batches import ExecutedBatches
from node.ports import Cancelable, Clock, ExecutorPort, Links, Workers
from node.sync_fetching import Fetching, FetchingHost, Way
from node.sync_peers import RETRY_MS
from node.sync_progress import RateMeter, SyncProgress
from node.wire import BlocksAnswer
from primitives.finality import FinalityCertificate

GROUP_BLOCKS_MAX: Final = 64
GROUP_BYTES_MAX: Final = 512 * 1024
"""Of blocks that are executed and written at once; a single larger block alone. Others wait for the ledger so long."""


class SyncHost(NamedTuple):
    """What the synchronizer needs of the node, and tells it."""

    height: Callable[[], int]
    """Of the executed head."""
    trust: Callable[[], Trust]
    """The present epoch's."""
    on_blocks: Callable[[Sequence[BlockResult]], None]
    on_reached: Callable[[Synchronized], None]
    on_diverged: Callable[[InvalidBlock], None]


class _Held(NamedTuple):
    """A checked range that waits to be executed."""

    peer: str
    checked: CheckedRange


class Synchronizer:
    """Goes from the head to a certified height. Belongs to the deciding thread."""

    def __init__(self, clock: Clock, links: Links, executor: ExecutorPort, workers: Workers, host: SyncHost) -> None:
        self._clock = clock
        self._executor = executor
        self._host = host
        self.fetching = Fetching(
            clock, links, workers, FetchingHost(host.trust, self._hold, self._on_diverged, self._pump)
        )
        self._target: FinalityCertificate | None = None
        self._holders: tuple[str, ...] = ()
        self._held: list[_Held] = []
        """In order of height."""
        self._executing = False
        self._refused = False
        """The ledger is busy or failing, which is no peer's doing: it is asked again with the next tick."""
        self._tick: Cancelable | None = None
        self._pumping = self._pump_again = False
        self._batches = ExecutedBatches()
        self._meter = RateMeter()
        self._stopped = False

    @property
    def target_height(self) -> int | None:
        """The height to reach, while there is one."""
        if self._target is None or self._target.height <= self._host.height():
            return None
        return self._target.height

    @property
    def _held_bytes(self) -> int:
        """A range counts until it is executed to its end."""
        return sum(held.checked.size_bytes for held in self._held)

    def progress(self) -> SyncProgress:
        blocks_per_second, transactions_per_second = self._meter.rates() if self.target_height else (0.0, 0.0)
        return SyncProgress(
            target=self.target_height,
            height=self._host.height(),
            blocks_per_second=blocks_per_second,
            transactions_per_second=transactions_per_second,
            peers=self.fetching.peers_asked,
            buffered_bytes=self.fetching.checking_bytes + self._held_bytes,
            blocks=self._meter.blocks,
            transactions=self._meter.transactions,
            signatures=self._host.trust().signatures,
            needs_snapshot=self.fetching.needs_snapshot,
        )

    def stop(self) -> None:
        self._stopped = True
        self._clear()

    def need(self, certificate: FinalityCertificate, holders: Sequence[str]) -> None:
        """Reach `certificate.height`; `holders` said that they have it."""
        if self._stopped or certificate.height <= self._host.height():
            return
        if self.target_height is None:
            self._meter.begin(self._clock.now_ms())
        if self._target is None or certificate.height >= self._target.height:
            self._target = certificate
            self._holders = tuple(holders)
        if self._tick is None:
            self._on_tick()
        else:
            self._pump()

    def on_answer(self, peer: str, answer: BlocksAnswer) -> None:
        """Take a peer's blocks, if it was asked for them."""
        if not self._stopped:
            self.fetching.on_answer(peer, answer)

    def on_peer_disconnected(self, peer: str) -> None:
        """What it was asked for will not come: ask others."""
        self.fetching.on_peer_disconnected(peer)

    # --- what goes on

    def _on_tick(self) -> None:
        """Time passed: a pause may be over, a range may have to be asked for elsewhere."""
        self._tick = self._clock.call_later(RETRY_MS, self._on_tick)
        self._refused = False
        self._pump()

    def _pump(self) -> None:
        """Set going whatever can go on. What that sets off may come back here at once."""
        self._pump_again = True
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._pump_again and not self._stopped:
                self._pump_again = False
                if self.target_height is None:
                    self._clear()
                    continue
                self._execute()
                if self._target is not None:  # else it stopped: the ledger may answer at once
                    height, held = self._host.height(), len(self._held)
                    way = Way(height, self._target, self._holders, self._held_bytes, held, self._executing)
                    self.fetching.ask(way)
        finally:
            self._pumping = False

    def _clear(self) -> None:
        """There is nothing to reach."""
        self.fetching.clear()
        self._held = []
        self._target = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _on_diverged(self, refusal: InvalidBlock) -> None:
        if not self._stopped:
            self.stop()
            self._host.on_diverged(refusal)

    # --- executing

    def _hold(self, peer: str, checked: CheckedRange) -> bool:
        if self._stopped or checked.last <= self._host.height():
            return False
        self._held.append(_Held(peer, checked))
        self._held.sort(key=lambda held: held.checked.first)
        return True

    def _execute(self) -> None:
        height = self._host.height()
        self._held = [held for held in self._held if held.checked.last > height]
        if self._executing or self._refused or not self._held or self._held[0].checked.first > height + 1:
            return
        held = self._held[0]
        self._executing = True

        def taken(result: Any, error: BaseException | None) -> None:
            self._executing = False
            if self._stopped:
                return
            self._refused = error is not None
            if not self._refused:
                self._take(held, result)
                self._pump()

        group = _group(held.checked.blocks[height + 1 - held.checked.first :])
        self._executor.call("take_blocks", (group, held.checked.certificate), taken)

    def _take(self, held: _Held, taken: BlocksTaken) -> None:
        if taken.results:
            transactions = sum(result.block.transactions_executed for result in taken.results)
            self._meter.add(self._clock.now_ms(), len(taken.results), transactions)
            self._host.on_blocks(taken.results)
            self._batches.note(taken.results)
        certificate, height = held.checked.certificate, self._host.height()
        if taken.refusal is not None:
            self._held = [other for other in self._held if other is not held]
            self.fetching.give_back(max(held.checked.first, height + 1), held.checked.last)
            self.fetching.refuse(held.peer, taken.refusal)
        elif height >= certificate.height:
            self._host.on_reached(Synchronized(certificate, self._batches.take()))


def _group(blocks: Sequence[CheckedBlock]) -> tuple[CheckedBlock, ...]:
    """Return the first of `blocks`: as many as are executed at once."""
    group: list[CheckedBlock] = []
    room = GROUP_BYTES_MAX
    for block in blocks[:GROUP_BLOCKS_MAX]:
        if group and block.size_bytes > room:
            break
        room -= block.size_bytes
        group.append(block)
    return tuple(group)
