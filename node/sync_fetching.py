"""Asking peers for ranges of blocks, several at once, and having checked what they send.

A range that does not come, or is not what was asked for, is asked for again, of somebody else where there is somebody.
Who was silent is asked last from then on, and gets less to do; who sent what no correct peer sends is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from ledger.errors import InvalidBlock
from node.block_ranges import CheckedRange, Trust, check_range
from node.ports import Cancelable, Clock, Links, Workers
from node.sync_peers import DEMERIT_LIED, DEMERIT_SILENT, SyncPeers
from node.sync_plan import Plan
from node.wire import ANSWER_BYTES_MAX, BLOCKS_PER_ANSWER_MAX, BlocksAnswer, BlocksRequest, encode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate

REQUESTS_MAX: Final = 16
"""Requests under way to all peers together."""
BUFFERED_BYTES_MAX: Final = 48 * 1024 * 1024
"""Bytes of blocks that were asked for, are being checked, or wait to be executed. At the bound nothing more is asked
for; but where nothing at all is under way, the one range that all the others wait for is."""
BUFFERED_RANGES_MAX: Final = 64
"""Ranges of them, for blocks may be small. The same happens at this bound."""
ASKED_ELSEWHERE_MS: Final = 1_000
"""A range that is next to be executed and has not come in this time is asked for at a second peer as well."""


class Way(NamedTuple):
    """How far there is to go, and what was fetched of it."""

    height: int
    """Of the executed head."""
    target: FinalityCertificate
    holders: Sequence[str]
    """Who said that they have the target; they are asked before others."""
    held_bytes: int
    held_ranges: int
    executing: bool


class FetchingHost(NamedTuple):
    """Who wants the blocks."""

    trust: Callable[[], Trust]
    """The present epoch's."""
    hold: Callable[[str, CheckedRange], bool]
    """Takes a peer's checked range; tells whether it was still of use."""
    on_diverged: Callable[[InvalidBlock], None]
    changed: Callable[[], None]
    """Something came, or did not: there may be something to do."""


class _Wanted:
    """A range that was asked for, of one peer or of two."""

    __slots__ = ("done", "epoch", "first", "last", "pending")

    def __init__(self, epoch: int, first: int, last: int) -> None:
        self.epoch = epoch
        self.first = first
        self.last = last
        self.pending = 0
        """Peers that may still bring it: it comes, or is being checked."""
        self.done = False


class _Request(NamedTuple):
    peer: str
    wanted: _Wanted
    sent_at_ms: int
    deadline: Cancelable


class Fetching:
    """What is under way between this node and the peers that it asks. Belongs to the deciding thread."""

    def __init__(self, clock: Clock, links: Links, workers: Workers, host: FetchingHost) -> None:
        self._clock = clock
        self._links = links
        self._workers = workers
        self._host = host
        self.on_too_far_behind: Callable[[int], None] = lambda _: None
        """Hears the oldest block that any connected peer has, when that is above the one that this node needs next."""
        self.needs_snapshot: int | None = None
        """The same number, for as long as it is so."""
        self.checking_bytes = 0
        """Of answers that came and are being checked."""
        self._peers = SyncPeers()
        self._plan = Plan()
        self._span = BLOCKS_PER_ANSWER_MAX
        """Blocks that fit into an answer, as far as is known: fewer are asked for at once where they are large."""
        self._answer_bytes = ANSWER_BYTES_MAX
        """What an answer may come to: the bound, or the largest one so far."""
        self._number = 0
        self._requests: dict[int, _Request] = {}

    @property
    def peers_asked(self) -> int:
        """Peers that have a request under way."""
        return len({request.peer for request in self._requests.values()})

    def clear(self) -> None:
        """There is nothing to reach: forget what is under way. Answers to it are not expected any more."""
        for number in list(self._requests):
            self._end(number)
        self._plan.restart()
        self.needs_snapshot = None

    def give_back(self, first: int, last: int) -> None:
        """What was held of these heights is of no use."""
        self._plan.give_back(first, last)

    def on_peer_disconnected(self, peer: str) -> None:
        """What it was asked for will not come."""
        self._peers.disconnected(peer)
        for number in [number for number, request in self._requests.items() if request.peer == peer]:
            self._end(number)
            self._peers.failed(peer, DEMERIT_SILENT, self._clock.now_ms())
        self._host.changed()

    # --- asking

    def ask(self, way: Way) -> None:
        """Ask for as much as may be under way."""
        connected = self._links.connected()
        while (first := self._plan.first(way.height, way.target.height)) is not None:
            if self._is_full(way):
                return
            peer = self._peers.choose(connected, way.holders, first, self._clock.now_ms(), idle=not self._requests)
            if peer is None:
                self._look_for_oldest(connected, first)
                break
            span = min(self._span, self._peers[peer].span)
            first, last = self._plan.take(way.height, way.target.height, span)
            self._send(peer, _Wanted(way.target.epoch, first, last))
        self._ask_elsewhere(way, connected)

    def _is_full(self, way: Way) -> bool:
        requests = len(self._requests)
        if not (requests or self.checking_bytes or way.executing):
            return False
        bytes_then = self.checking_bytes + way.held_bytes + (requests + 1) * self._answer_bytes
        ranges_then = requests + way.held_ranges + 1
        return requests >= REQUESTS_MAX or ranges_then > BUFFERED_RANGES_MAX or bytes_then > BUFFERED_BYTES_MAX

    def _ask_elsewhere(self, way: Way, connected: Sequence[str]) -> None:
        """Ask a second peer for what everything waits for, where the first lets us wait."""
        now_ms = self._clock.now_ms()
        late = [
            request
            for request in self._requests.values()
            if request.wanted.first <= way.height + 1
            and request.wanted.pending == 1
            and abs(now_ms - request.sent_at_ms) >= ASKED_ELSEWHERE_MS
        ]
        for request in late:
            others = [peer for peer in connected if peer != request.peer]
            peer = self._peers.choose(others, way.holders, request.wanted.first, now_ms, idle=True)
            if peer is not None and not self._peers[peer].lied:
                self._send(peer, request.wanted)

    def _send(self, peer: str, wanted: _Wanted) -> None:
        self._number = number = self._number + 1
        wanted.pending += 1
        self._peers.asked(peer)
        deadline = self._clock.call_later(self._peers[peer].timeout_ms, lambda: self._fell_silent(number))
        self._requests[number] = _Request(peer, wanted, self._clock.now_ms(), deadline)
        sent = self._links.send(peer, Channel.SYNC, encode_sync(BlocksRequest(number, wanted.first, wanted.last)))
        if not sent and number in self._requests:
            self._end(number)
            self._peers.failed(peer, DEMERIT_SILENT, self._clock.now_ms())

    def _fell_silent(self, number: int) -> None:
        request = self._end(number)
        self._peers.silent(request.peer, self._clock.now_ms())
        self._host.changed()

    def _end(self, number: int, *, comes: bool = False) -> _Request:
        """Forget a request; unless its answer `comes`, somebody else may have to be asked."""
        request = self._requests.pop(number)
        request.deadline.cancel()
        self._peers.done(request.peer)
        if not comes:
            self._give_up(request.wanted)
        return request

    def _give_up(self, wanted: _Wanted) -> None:
        """One of the peers does not bring it."""
        wanted.pending -= 1
        if not wanted.pending and not wanted.done:
            self._plan.give_back(wanted.first, wanted.last)

    def _look_for_oldest(self, connected: Sequence[str], needed: int) -> None:
        """Say so where no peer has the block that is needed next."""
        oldest = self._peers.oldest(connected)
        found = oldest if oldest is not None and oldest > needed else None
        if found is not None and found != self.needs_snapshot:
            self.on_too_far_behind(found)
        self.needs_snapshot = found

    # --- answers

    def on_answer(self, peer: str, answer: BlocksAnswer) -> None:
        """Take a peer's blocks, if it was asked for them."""
        request = self._requests.get(answer.request)
        if request is None or request.peer != peer:
            return
        self._end(answer.request, comes=True)
        wanted, trust = request.wanted, self._host.trust()
        self._peers[peer].oldest, self._peers[peer].newest = answer.oldest, answer.newest
        if wanted.done or trust.epoch != wanted.epoch:
            self._give_up(wanted)
        elif not answer.blocks or answer.certificate is None:
            self._give_up(wanted)
            if answer.oldest <= wanted.first <= answer.newest:
                self.lied(peer, "sync.withheld")
            else:
                self._peers.failed(peer, DEMERIT_SILENT, self._clock.now_ms())
        elif len(answer.blocks) > 1 and sum(map(len, answer.blocks)) > ANSWER_BYTES_MAX:
            self._give_up(wanted)
            self.lied(peer, "sync.too_large")
        else:
            self._check(peer, wanted, answer, answer.certificate, trust)
        self._host.changed()

    def _check(
        self, peer: str, wanted: _Wanted, answer: BlocksAnswer, certificate: FinalityCertificate, trust: Trust
    ) -> None:
        size_bytes = sum(map(len, answer.blocks)) + sum(map(len, answer.headers))
        self.checking_bytes += size_bytes

        def checked(result: Any, error: BaseException | None) -> None:
            self.checking_bytes -= size_bytes
            if isinstance(error, InvalidBlock):
                self._give_up(wanted)
                self.refuse(peer, error)
            else:
                self._take(peer, wanted, result)
            self._host.changed()

        job = partial(check_range, trust, wanted.first, wanted.last, answer.blocks, answer.headers, certificate)
        self._workers.run(job, checked, size_bytes)

    def _take(self, peer: str, wanted: _Wanted, checked: CheckedRange) -> None:
        self._peers.served(peer)
        self._answer_bytes = max(self._answer_bytes, checked.size_bytes)
        wanted.pending -= 1
        if wanted.done or not self._host.hold(peer, checked):
            return
        wanted.done = True
        count, asked = len(checked.blocks), wanted.last - wanted.first + 1
        self._span = count if count < asked else min(BLOCKS_PER_ANSWER_MAX, max(self._span, 2 * count))
        self._plan.give_back(checked.last + 1, wanted.last)

    def refuse(self, peer: str, refusal: InvalidBlock) -> None:
        """Blocks were not what they should be: this node's own fault, or that of the peer that sent them."""
        if refusal.code == "sync.diverged":
            self._host.on_diverged(refusal)
        else:
            self.lied(peer, refusal.code)

    def lied(self, peer: str, code: str) -> None:
        """Name it, and wait for nothing else of it."""
        self._peers.failed(peer, DEMERIT_LIED, self._clock.now_ms())
        for number in [number for number, request in self._requests.items() if request.peer == peer]:
            self._end(number)
        self._links.misbehaved(peer, f"served wrong blocks ({code})")
