"""Who owns the ledger: a thread of the node, or a process of its own that this thread talks to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from ledger.chain import Chain
from ledger.search.index import SearchIndex
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.store import LevelStore
from node.chain_service import ChainService, Head, Opening
from node.configuration import ledger_retention
from node.event_loop import LoopPost, OnFatal
from node.evidence_judge import ConsensusJudge
from node.executor import ThreadExecutor
from node.executor_process import LedgerProcess, RemoteLedger
from node.mender import Mender
from node.node_files import NodeFiles
from node.ports import RegisteredPeer
from node.services import LedgerReads
from node.snapshot_taking import SnapshotTaker

log: Final = structlog.get_logger("node.process")


class LedgerOwner:
    """Opens the ledger behind an executor, and closes it."""

    def __init__(self, files: NodeFiles, post: LoopPost, on_fatal: OnFatal, mender: Mender) -> None:
        self._files = files
        self._store: LevelStore | None = None
        self._index: SearchIndex | None = None
        self._process: LedgerProcess | None = None
        opens: Callable[[], ChainService | RemoteLedger] = self._open_here
        if files.configuration.executor.mode == "process":
            self._process = LedgerProcess(post, on_fatal)
            opens = self._open_there
        self.executor = ThreadExecutor(opens, post, on_fatal, mender)
        self.stops: list[Callable[[], None]] = [self.executor.stop]
        """Ends its threads, in this order."""
        if self._process is not None:
            self.stops.append(self._process.stop)

    async def open(self) -> tuple[Opening, Sequence[RegisteredPeer]]:
        """Open it; return what the deciding parts begin with, and who is registered.

        Raises:
            LedgerError: it cannot be opened.
        """
        opened: asyncio.Future[Head] = asyncio.get_running_loop().create_future()

        def answer(head: Any, error: BaseException | None) -> None:
            if not opened.done():
                opened.set_result(head) if error is None else opened.set_exception(error)

        self.executor.start(answer)
        await opened
        reads = LedgerReads(self.executor)
        opening = await reads.ask("opening")
        return opening, await reads.ask("peers", opening.membership.epoch)

    def close(self) -> None:
        """Close its files, once its threads have ended."""
        if self._index is not None:
            self._index.close()
        if self._store is not None:
            self._store.close()

    def _open_there(self) -> RemoteLedger:
        assert self._process is not None
        directory = self._files.directory
        settings, retention = self._files.configuration.snapshots, ledger_retention(self._files.configuration)
        snapshots = (str(directory.snapshots), settings.keep, settings.every_blocks)
        return self._process.open(directory.chain, self._files.genesis_bytes, directory.search, retention, snapshots)

    def _open_here(self) -> ChainService:
        """Runs in the executor's thread."""
        self._store = LevelStore(self._files.directory.chain)
        index = self._index = SearchIndex(self._files.directory.search, log.warning)
        chain = Chain.open(
            self._store,
            self._files.genesis,
            judge=ConsensusJudge(),
            follower=index,
            retention=ledger_retention(self._files.configuration),
        )
        settings = self._files.configuration.snapshots
        shelf = SnapshotShelf(self._files.directory.snapshots, settings.keep)
        taker = SnapshotTaker(chain, self._store, shelf, settings.every_blocks, report=log.warning)
        self.stops.append(taker.stop)
        service = ChainService(chain, taker)
        service.index = index
        return service
