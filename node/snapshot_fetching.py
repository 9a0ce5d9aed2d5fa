"""Fetching a snapshot from several peers at once, when it is the shorter way to the head. Belongs to the deciding
thread; pieces are checked and written by another.

What a peer offers is not believed: the manifest is proven from the genesis on, every piece by the manifest, and whoever
sent a wrong one is named. A piece that does not come is asked of others; one that arrived stays when the process ends.
While a snapshot is considered or fetched, blocks are not; when none is to be had, they are, as without this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from ledger.errors import LedgerError
from ledger.snapshot.format import InvalidSnapshot
from ledger.snapshot.shelf import MANIFEST
from node.ports import Cancelable, Clock, Jobs, Links
from node.snapshot_messages import (
    Offered,
    Offers,
    OffersRequest,
    PieceAnswer,
    PieceRequest,
    SnapshotMessage,
    encode_snapshot_message,
)
from node.snapshot_pace import Pace
from node.snapshot_workshop import RestoreProgress, Workshop
from p2p.channels import Channel
from p2p.fetching import Failure, Fetcher, FetchOptions

OFFER_WAIT_MS: Final = 1_500
"""How long connected peers may take to say which snapshots they have."""
AGAIN_MS: Final = 60_000
"""After nobody had one that would do, or none came of it."""
TICK_MS: Final = 500
PIECE_TIMEOUT_MS: Final = 20_000
IN_FLIGHT_MAX: Final = 16
"""Pieces under way or waiting to be checked: about as many MiB of memory, 96 at most."""
IN_FLIGHT_PER_PEER_MAX: Final = 4
AGAIN_DOUBLINGS_MAX: Final = 3
"""So often that pause doubles where snapshots that were offered came to nothing: blocks go on meanwhile."""
STUCK_ROUNDS_MAX: Final = 20
"""So often peers are asked anew when nobody has what is missing; then another snapshot is chosen, or none."""
STUCK_MS: Final = 60_000
"""After so long without a piece the same happens: peers that are silent are no better than peers that deny."""
LIARS_MAX: Final = 1_024
"""Peers that are not asked again; there are no more registered nodes than that."""


class Phase(StrEnum):
    """What the fetcher does."""

    IDLE = "idle"
    ASKING = "asking"
    FETCHING = "fetching"
    FINISHING = "finishing"
    INSTALLED = "installed"


class SnapshotFetcher:
    """One node's way to a snapshot."""

    def __init__(
        self,
        clock: Clock,
        links: Links,
        jobs: Jobs,
        workshop: Workshop,
        blocks_behind: int,
        on_installed: Callable[[int], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        """`on_installed` hears the height of a finished store, `on_failed` what the disk or a defect did."""
        self.phase = Phase.IDLE
        self.chosen: Offered | None = None
        self._clock = clock
        self._links = links
        self._jobs = jobs
        self._workshop = workshop
        self._blocks_behind = blocks_behind
        self._on_installed = on_installed
        self._on_failed = on_failed
        self._least = 0
        """The least height of a snapshot that is of use."""
        self._resume: Callable[[], None] = lambda: None
        self._asked: set[str] = set()
        self._offers: dict[str, tuple[Offered, ...]] = {}
        """By peer; only registered nodes are connected."""
        self._chosen_for: set[str] = set()
        """Who offered it when it was chosen."""
        self._liars: set[str] = set()
        self._fetcher: Fetcher[str] = self._new_fetcher()
        self._requests: dict[int, tuple[str, str]] = {}
        """Number of a request -> (peer, name); as many as are in flight."""
        self._next_request = 0
        self._checking: set[str] = set()
        """Names of pieces that the other thread has."""
        self._manifest_from = ""
        self._stuck_rounds = 0
        self._moved_at_ms = 0
        """When a piece came, or fetching began."""
        self._pace = Pace()
        self._again_ms = 0
        """Before this time nobody is asked: there was none a moment ago."""
        self._disappointments = 0
        """Searches that ended without a snapshot although some were offered."""
        self._needed = False
        """Whether no peer has the blocks that would do instead."""
        self._refused: set[bytes] = set()
        """Hashes of blocks whose snapshots came to nothing in this search."""
        self._fruitless: set[str] = set()
        """Peers whose offers or manifests came to nothing in it: what they offer does not count, or one of them could
        keep this node from blocks for ever."""
        self._tick: Cancelable | None = None
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether a snapshot is considered or fetched, so that blocks are not."""
        return self.phase is not Phase.IDLE

    def progress(self) -> RestoreProgress:
        return self._workshop.progress()

    def stop(self) -> None:
        self._stopped = True
        if self._tick is not None:
            self._tick.cancel()

    def consider(self, height: int, target: int, oldest: int | None, resume: Callable[[], None]) -> bool:
        """This node is at `height`, and `target` is certified: ask for snapshots if that is far, unless it is under
        way. Tell whether blocks wait; `resume` is called when they need not wait any longer.

        An empty chain always asks: it knows only how far the first epoch went. So does one whose next block nobody has
        any more: `oldest` is then the oldest that peers have.
        """
        if self.busy or self._stopped:
            return self.busy
        near = height > 0 and oldest is None and target - height < self._blocks_behind
        if near or self._clock.now_ms() < self._again_ms:
            return False
        self._least = height + self._blocks_behind if oldest is None else oldest - 1
        self._needed = oldest is not None
        self._resume = resume
        peers = [peer for peer in self._links.connected() if peer not in self._liars]
        if not peers:
            return False
        self.phase = Phase.ASKING
        self._ask(peers)
        self._later(OFFER_WAIT_MS, self._choose)
        return True

    def _ask(self, peers: Sequence[str]) -> None:
        self._asked, self._offers = set(peers), {}
        for peer in peers:
            self._send(peer, OffersRequest())

    # --- what peers say

    def on_offers(self, peer: str, offers: Offers) -> None:
        if peer not in self._asked or self._stopped:
            return
        self._offers[peer] = offers.snapshots
        if self.phase is Phase.ASKING and len(self._offers) == len(self._asked):
            self._choose()
        elif self.phase is Phase.FETCHING and self.chosen is not None:
            for name in self._fetcher.stuck():
                self._fetcher.want(name, self._holders(name))
            self._pump()

    def on_answer(self, peer: str, answer: PieceAnswer) -> None:
        name = self._name_of(peer, answer.request)
        if name is None or self.phase is not Phase.FETCHING or peer in self._liars:
            return
        if answer.data is None:
            self._fetcher.failed(peer, name, Failure.MISSING)
            self._pump()
            return
        self._check(peer, name, answer.data)

    def on_peer_disconnected(self, peer: str) -> None:
        self._offers.pop(peer, None)
        self._asked.discard(peer)
        if self.phase is Phase.ASKING and len(self._offers) == len(self._asked):
            self._choose()
        elif self.phase is Phase.FETCHING:
            self._fetcher.peer_gone(peer)
            self._pump()

    def _name_of(self, peer: str, request: int) -> str | None:
        asked = self._requests.get(request)
        if asked is None or asked[0] != peer:
            return None
        del self._requests[request]
        return None if asked[1] in self._checking or asked[1] not in self._fetcher else asked[1]

    # --- choosing

    def _choose(self) -> None:
        """Take what most peers have, of that the newest, if it is far enough ahead."""
        counted: dict[Offered, int] = {}
        for peer, snapshots in self._offers.items():
            for offered in set(snapshots):
                if self._counts(peer) and offered.block_hash not in self._refused:
                    counted[offered] = counted.get(offered, 0) + 1
        fitting = [offered for offered in counted if offered.height >= self._least]
        chosen = max(fitting, key=lambda offered: (counted[offered], offered.height), default=None)
        if chosen is None:
            self._give_up()
            return
        self.phase, self.chosen = Phase.FETCHING, chosen
        self._fetcher, self._stuck_rounds = self._new_fetcher(), 0
        self._manifest_from, self._moved_at_ms = "", self._clock.now_ms()
        self._pace.begin(self._moved_at_ms)
        self._chosen_for = self._offering(chosen)
        self._requests.clear()
        self._checking.clear()
        wanted: list[str] = []

        def begin() -> None:
            wanted.extend(self._workshop.begin(chosen.block_hash))

        self._run(begin, lambda _: self._want(wanted))
        self._later(TICK_MS, self._on_tick)

    def _give_up(self) -> None:
        """There is none: blocks then."""
        self.phase, self.chosen = Phase.IDLE, None
        pause_ms = AGAIN_MS
        if self._refused or self._fruitless:
            self._refused.clear()
            self._fruitless.clear()
            if not self._needed:
                pause_ms <<= min(self._disappointments, AGAIN_DOUBLINGS_MAX)
            self._disappointments += 1
        self._again_ms = self._clock.now_ms() + pause_ms
        if self._tick is not None:
            self._tick.cancel()
        self._resume()

    def _offering(self, snapshot: Offered) -> set[str]:
        return {peer for peer, snapshots in self._offers.items() if snapshot in snapshots}

    def _counts(self, peer: str) -> bool:
        return peer not in self._liars and peer not in self._fruitless

    def _move_on(self) -> None:
        """Nobody has what is missing: take the same snapshot by another peer's manifest, or another one, or none.

        Chunks that are cut in another way than all nodes cut them lead to the true root as well, but nobody has them:
        so it is the manifest that is dropped, and what its sender offers counts no more. Where none came, the same goes
        for all who said that there is this snapshot.
        """
        assert self.chosen is not None
        offering = self._chosen_for | self._offering(self.chosen)
        kept = not self._manifest_from and self.progress().chunks > 0  # of an earlier life: nobody's doing
        if not kept:
            self._fruitless |= {self._manifest_from} if self._manifest_from else offering
        if not any(map(self._counts, self._offering(self.chosen))):
            self._refused.add(self.chosen.block_hash)
        self._jobs.run(lambda: self._workshop.discard(MANIFEST), lambda _: None)
        self._choose()

    # --- fetching

    def _want(self, names: Sequence[str]) -> None:
        self._moved_at_ms = self._clock.now_ms()
        for name in names:
            self._fetcher.want(name, self._holders(name))
        if self._workshop.complete:
            self._finish()
        else:
            self._pump()

    def _holders(self, name: str) -> list[str]:
        """Return who has a piece: who offers this snapshot, and of a chunk perhaps others, asked after them."""
        has: list[str] = []
        other: list[str] = []
        for peer in sorted(self._offers):
            if peer not in self._liars:
                offers_it = self.chosen in self._offers[peer] and peer not in self._fruitless
                (has if offers_it else other).append(peer)
        return [*has, *other] if name.startswith("chunk-") and self._stuck_rounds else has

    def _pump(self) -> None:
        assert self.chosen is not None
        for peer, names in self._fetcher.next_requests(self._clock.now_ms()):
            for name in names:
                self._next_request += 1
                self._requests[self._next_request] = (peer, name)
                self._send(peer, PieceRequest(self._next_request, self.chosen.height, name))

    def _check(self, peer: str, name: str, data: bytes) -> None:
        """Have a piece checked and written; what became of it decides what is asked next."""
        self._checking.add(name)
        self._pace.add(len(data))
        wanted: list[str] = []

        def checked(error: InvalidSnapshot | None) -> None:
            self._checking.discard(name)
            if error is not None:
                self._on_wrong(peer, name, error)
                return
            if name == MANIFEST:
                self._manifest_from = peer
            self._fetcher.received(peer, name)
            self._want(wanted)

        self._run(lambda: wanted.extend(self._workshop.take(name, data)), checked)

    def _on_wrong(self, peer: str, name: str, error: InvalidSnapshot) -> None:
        if error.code == "snapshot.manifest" and name != MANIFEST:
            # The piece was good, and showed that the manifest was not; nobody is to blame for one of an earlier life.
            self._fetcher.received(peer, name)
            peer, name = self._manifest_from, MANIFEST
            self._jobs.run(lambda: self._workshop.discard(MANIFEST), lambda _: None)
            self._fetcher.want(MANIFEST, [holder for holder in self._holders(MANIFEST) if holder != peer])
        if not peer:
            self._pump()
            return
        if peer in self._liars:  # its last words, which were on their way
            self._pump()
            return
        if len(self._liars) < LIARS_MAX:
            self._liars.add(peer)
        self._links.misbehaved(peer, f"served a wrong piece of a snapshot ({name}: {error.code})")
        self._fetcher.failed(peer, name, Failure.WRONG)
        self._fetcher.peer_gone(peer)
        self._pump()

    def _on_tick(self) -> None:
        if self.phase is not Phase.FETCHING:
            return
        self._later(TICK_MS, self._on_tick)
        late = {name for _, name in self._fetcher.expired(self._clock.now_ms())}
        self._requests = {number: asked for number, asked in self._requests.items() if asked[1] not in late}
        moved_ms = abs(self._clock.now_ms() - self._moved_at_ms)  # a clock that is set back must not make a pause of it
        stuck = not self._checking and moved_ms >= STUCK_MS
        slow = self._pace.too_slow(self._clock.now_ms()) and not self._needed  # where nobody has blocks, slow is best
        if len(self._fetcher) and (stuck or slow):
            self._move_on()
            return
        if self._fetcher.in_flight() or self._checking or not len(self._fetcher):
            self._pump()
            return
        self._stuck_rounds += 1
        if self._stuck_rounds > STUCK_ROUNDS_MAX:
            self._move_on()
            return
        self._ask([peer for peer in self._links.connected() if peer not in self._liars])

    def _finish(self) -> None:
        if self.phase is not Phase.FETCHING:  # the other thread was done before this one heard of each of its pieces
            return
        self.phase = Phase.FINISHING
        height: list[int] = []

        def finished(_: InvalidSnapshot | None) -> None:
            self.phase = Phase.INSTALLED
            self._on_installed(height[0])

        self._run(lambda: height.append(self._workshop.finish()), finished)

    # --- the other thread, and time

    def _run(self, job: Callable[[], None], done: Callable[[InvalidSnapshot | None], None]) -> None:
        """Run a job; `done` hears of a wrong piece."""
        chosen = self.chosen

        def ran(error: BaseException | None) -> None:
            if self._stopped or self.chosen != chosen:
                return
            if error is not None and not isinstance(error, InvalidSnapshot):
                if isinstance(error, LedgerError):
                    self._give_up()
                self._on_failed(error)
                return
            done(error)

        self._jobs.run(job, ran)

    def _send(self, peer: str, message: SnapshotMessage) -> None:
        self._links.send(peer, Channel.SNAPSHOTS, encode_snapshot_message(message))

    def _later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick = self._clock.call_later(delay_ms, callback)

    @staticmethod
    def _new_fetcher() -> Fetcher[str]:
        return Fetcher(
            FetchOptions(
                in_flight_max=IN_FLIGHT_MAX,
                in_flight_per_peer_max=IN_FLIGHT_PER_PEER_MAX,
                ids_per_request_max=1,
                timeout_ms=PIECE_TIMEOUT_MS,
            )
        )
