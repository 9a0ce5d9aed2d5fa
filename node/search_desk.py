"""Searches beside the node's work: a thread of its own with a connection that reads, whoever owns the ledger.

The ledger's owner never hears of a search, so that no search holds up a block.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ledger.errors import LedgerError
from ledger.search.reader import SearchAnswer, SearchReader
from ledger.search.request import Search

SEARCHES_MAX: Final = 64
"""Searches under way or waiting; a further one is answered with `search.busy`."""


class SearchDesk:
    """Belongs to the event loop."""

    def __init__(self, path: Path) -> None:
        """`path` is the database that the ledger's owner writes."""
        self._reader = SearchReader(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="search")
        self._searches = 0

    @property
    def waiting(self) -> int:
        """Searches under way or waiting."""
        return self._searches

    async def search(self, search: Search) -> SearchAnswer:
        """Answer at the height that the search has followed the chain to.

        Raises:
            LedgerError: `search.busy`, or as `SearchReader.search`.
        """
        if self._searches >= SEARCHES_MAX:
            raise LedgerError("search.busy", f"{SEARCHES_MAX} searches wait already; try again")
        self._searches += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.search, search)
        finally:
            self._searches -= 1

    def stop(self) -> None:
        """End after the search under way, which is bounded; those that wait are cancelled."""
        self._thread.shutdown(cancel_futures=True)
        self._reader.close()
