"""Joining the parts that have to do with snapshots, as `node.assembly` wants them."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from ledger.errors import StorageError
from ledger.genesis import Genesis
from ledger.snapshot.shelf import SnapshotShelf
from ledger.snapshot.store_building import resume_switch
from node.configuration import Snapshots
from node.data_directory import DataDirectory
from node.event_loop import OnFatal, ThreadJobs
from node.executor import Post
from node.failures import DirectoryUnusable
from node.ports import Clock, Links
from node.snapshot_exchange import SnapshotExchange, SnapshotInstalled
from node.snapshot_fetching import SnapshotFetcher
from node.snapshot_serving import SnapshotDesk
from node.snapshot_workshop import Workshop


class SnapshotSide:
    """A node's snapshots, and the threads that read and write them."""

    def __init__(
        self,
        directory: DataDirectory,
        settings: Snapshots,
        genesis: Genesis,
        links: Links,
        clock: Clock,
        post: Post,
        on_fatal: OnFatal,
        on_installed: Callable[[SnapshotInstalled], None],
    ) -> None:
        """`on_installed` hears when a chain is ready to take the place of the one that is there.

        Raises:
            StorageError: the directory cannot be made.
        """
        shelf = SnapshotShelf(directory.snapshots, settings.keep)
        self._serving = ThreadJobs("snapshots", post)
        self._restoring = ThreadJobs("restoring", post)
        self._workshop = Workshop(shelf, directory.fresh_chain, genesis)
        fetcher = SnapshotFetcher(
            clock,
            links,
            self._restoring,
            self._workshop,
            settings.restore_blocks_behind,
            lambda height: on_installed(SnapshotInstalled(height)),
            on_fatal,
        )
        desk = SnapshotDesk(links, self._serving, shelf)
        self.exchange = SnapshotExchange(links, desk, fetcher if settings.restore == "auto" else None)

    def before_sync(self, height: int, target: int, oldest: int | None, need: Callable[[], None]) -> bool:
        """As `node.ledger_side.BeforeSync`."""
        return self.exchange.fetcher is not None and self.exchange.fetcher.consider(height, target, oldest, need)

    def stop(self) -> None:
        """End the threads. Blocking."""
        self._serving.stop()
        self._restoring.stop()
        self._workshop.close()


def finish_switch(directory: DataDirectory) -> None:
    """Finish what a crash has interrupted, and clear away what it left half. Before the ledger is opened.

    Raises:
        DirectoryUnusable: it cannot be written.
    """
    try:
        resume_switch(directory.chain)
    except StorageError as error:
        raise DirectoryUnusable(error.message) from error
    shutil.rmtree(directory.fresh_chain, ignore_errors=True)
