"""Taking snapshots beside the ledger's work: where the ledger lives, in a thread of its own that takes its time.

The store is held still at a head, which costs microseconds; when that block's certificate is there, the thread reads,
cuts and writes, and sleeps between the steps. Blocks that get no certificate of their own are passed over for the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from ledger.block import Header
from ledger.errors import LedgerError
from ledger.snapshot.shelf import SnapshotShelf
from ledger.snapshot.taking import HeldState, Taking
from ledger.state.store import Store
from primitives.finality import FinalityCertificate

HELD_MAX: Final = 16
"""Heads that wait for their certificate; a further one takes the place of the oldest."""
WORK_SHARE: Final = 0.15
"""The part of one processor that the thread takes at most while blocks may be executed beside it."""
WORK_S: Final = 0.002
"""How long it works before it sleeps, about."""
_DRAFT: Final = "own"


class CertifiedChain(Protocol):
    """What is asked of the chain."""

    @property
    def height(self) -> int: ...

    head: Header

    def certificate(self, height: int) -> FinalityCertificate | None: ...


class SnapshotTaken(msgspec.Struct, frozen=True):
    """A snapshot of this node's, as operators see it."""

    height: int
    block_hash: str
    chunks: int
    bytes: int


class TakingStatus(msgspec.Struct, frozen=True):
    """Where the taking of snapshots stands."""

    snapshots: tuple[SnapshotTaken, ...]
    """On the shelf, rising by height."""
    height: int = 0
    """Of the one that is being taken; 0 while none is."""
    records: int = 0
    """Read for that."""
    waiting: bool = False
    """One is to be taken of the next block that is certified."""
    error: str = ""
    """Why the last one failed; empty when it did not."""
    taken: int = 0
    """Since the start."""


class SnapshotTaker:
    """Belongs to the ledger's owner, but for the thread."""

    def __init__(
        self,
        chain: CertifiedChain,
        store: Store,
        shelf: SnapshotShelf,
        every_blocks: int = 0,
        *,
        work_share: float = WORK_SHARE,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`every_blocks` 0 takes one only when `request` asks for it."""
        self._chain = chain
        self._store = store
        self._shelf = shelf
        shelf.discard(shelf.draft(_DRAFT))  # of an earlier life
        self._every_blocks = every_blocks
        self._work_share = work_share
        self._report = report
        self._seen = chain.height
        self._held: list[HeldState] = []
        self._wanted = False
        self._taking: Taking | None = None
        self._height = 0
        self._error = ""
        self._taken = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def request(self) -> None:
        """Take one of the head, or of the first block after it that is certified."""
        self._wanted = True
        self._hold()
        self.on_certified()

    def on_head(self) -> None:
        """The chain has a new head."""
        height = self._chain.height
        if self._every_blocks and height // self._every_blocks > self._seen // self._every_blocks:
            self._wanted = True
        self._seen = height
        if self._wanted:
            self._hold()

    def on_certified(self) -> None:
        """The chain has a further certificate."""
        if not self._wanted or self._busy():
            return
        for held in self._held:
            finality = self._chain.certificate(held.header.height)
            if finality is not None:
                self._held.remove(held)
                self._let_go()
                self._wanted = False
                self._begin(held, finality)
                return

    def status(self) -> TakingStatus:
        busy, taking = self._busy(), self._taking
        return TakingStatus(
            tuple(
                SnapshotTaken(entry.height, entry.block_hash.hex(), entry.chunks, self._shelf.size_bytes(entry.height))
                for entry in self._shelf.entries()
            ),
            self._height if busy else 0,
            taking.records if busy and taking is not None else 0,
            self._wanted,
            self._error,
            self._taken,
        )

    def wait(self) -> None:
        """Wait until what is being taken is done; for tools without a node."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Give up what is being taken. Before the store is closed: the thread reads from it."""
        self._stopping.set()
        self.wait()
        self._let_go()

    def _busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _hold(self) -> None:
        if self._held and self._held[-1].header.height == self._chain.height:
            return
        if len(self._held) >= HELD_MAX:
            self._held.pop(0).close()
        self._held.append(HeldState(self._chain.head, self._store))

    def _let_go(self) -> None:
        for held in self._held:
            held.close()
        self._held.clear()

    def _begin(self, held: HeldState, finality: FinalityCertificate) -> None:
        self._height = held.header.height
        self._thread = threading.Thread(target=self._run, args=(held, finality), name="snapshot", daemon=True)
        self._thread.start()

    def _run(self, held: HeldState, finality: FinalityCertificate) -> None:
        height = held.header.height
        try:
            draft = self._shelf.draft(_DRAFT)
            try:
                taking = self._taking = Taking(held, finality, draft)
                if self._drive(taking):
                    self._shelf.finish(draft, height)
                    self._taken += 1
                    self._error = ""
            finally:
                self._shelf.discard(draft)
        except LedgerError as error:
            self._error = f"the snapshot of block {height} failed: {error.message}"
            self._report(self._error)
        finally:
            held.close()

    def _drive(self, taking: Taking) -> bool:
        """Take the steps, with pauses; tell whether all were taken."""
        pause = 1 / self._work_share - 1
        since = time.thread_time()  # of this thread alone: on a busy machine it must not rest for others' work
        for _ in taking.steps():
            worked_s = time.thread_time() - since
            if worked_s < WORK_S:
                continue
            if self._stopping.wait(worked_s * pause):
                return False
            since = time.thread_time()
        return True


class SnapshotCommands:
    """What `node.chain_service.ChainService` answers about snapshots."""

    _taker: SnapshotTaker | None

    def stop(self) -> None:
        """Give up what runs beside the ledger. Before its store is closed."""
        if self._taker is not None:
            self._taker.stop()
