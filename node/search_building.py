"""Making the search database beside the work, where it had to be made anew for many works: a node that joins serves and
votes meanwhile, and its searches say that they are not complete."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from ledger.chain import Chain
from ledger.errors import LedgerError
from ledger.search.index import SearchIndex

PAUSE_S: Final = 0.01
"""Between two steps, each of some milliseconds: the ledger's owner has other work."""


class SearchBuilding:
    """What `node.chain_service.ChainService` answers about it."""

    _chain: Chain
    index: SearchIndex | None = None

    def continue_search(self) -> bool:
        """Write some more rows; tell whether there are more to write."""
        chain = self._chain
        return self.index is not None and self.index.step(chain.head, chain.head_hash, chain.view())


class Reads(Protocol):
    async def ask(self, method: str) -> bool:
        """Ask the ledger's owner."""
        ...


async def build_search(reads: Reads) -> None:
    """Have the database completed, step by step, until it is or the node stops."""
    try:
        while await reads.ask("continue_search"):  # noqa: ASYNC110 - a pace, nothing is waited for
            await asyncio.sleep(PAUSE_S)
    except LedgerError:
        pass  # the node stops, or its ledger has failed, which others hear of
