"""Mends what the executor meets: it holds the request that met damage, asks peers, and lets the request begin again.

Requests are answered in order, so those behind wait too, for as long as a few peers take to answer. No request leaves
anything behind when it meets damage, which is what makes beginning again harmless.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from ledger.errors import Damage, StorageError
from ledger.mending import Record
from node.record_exchange import ANSWER_TIMEOUT_MS, Told

if TYPE_CHECKING:
    from node.chain_service import ChainService
    from node.executor_process import RemoteLedger

PEERS_ASKED_MAX: Final = 4
"""Peers that are asked about one damage. With f of 4 validators lying or away, another one tells."""
MENDS_MAX: Final = 64
"""Mends of one request; what is damaged beyond that is better written anew as a whole."""
USELESS_ANSWERS_MAX: Final = 8
"""Answers in a row, of one peer about one damage, of which nothing holds here; then another peer is asked. A range of
keys has no end of records for who makes them up."""
_WAIT_S: Final = 2 * ANSWER_TIMEOUT_MS / 1_000
"""How long the thread waits for the deciding thread, which answers in half of it."""

log: Final = structlog.get_logger("node.mender")

Ask = Callable[[int, int, bytes, bytes, Told], None]


class Mender:
    """Belongs to the executor's thread, but for `ask`, `stop` and the counters, which are the deciding thread's."""

    def __init__(self, post: Callable[[Callable[[], None]], None]) -> None:
        self.ask: Ask | None = None
        """Asks a peer; None until there are links."""
        self.found = 0
        """Times that something could not be read."""
        self.mended = 0
        """Records put back."""
        self._post = post
        self._answers: queue.SimpleQueue[list[Record] | None] = queue.SimpleQueue()
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        self._answers.put(None)

    def mend(self, service: ChainService | RemoteLedger, damage: Damage) -> bool:
        """Put back what is missing; tell whether anything was.

        Raises:
            LedgerError: the store failed, or is damaged in more places than this.
        """
        self.found += 1
        wrong = b"" if damage.physical else damage.first
        count = 0
        for turn in range(PEERS_ASKED_MAX):
            count += self._from_peer(service, damage, turn, wrong)
            if count and not damage.physical:
                break  # of a file, what one peer has otherwise another may have as it was here
        count += int(service.make_records(damage.first, damage.behind, b"" if count else wrong))
        self.mended += count
        log.warning("damage in the ledger", damage=damage.message, records_put_back=count, physical=damage.physical)
        return count > 0

    def _from_peer(self, service: ChainService | RemoteLedger, damage: Damage, turn: int, wrong: bytes) -> int:
        """Put back what one peer has of what is damaged; return how many records that were."""
        first, count, useless, height = damage.first, 0, 0, int(service.height_to_mend())
        while first < damage.behind and (records := self._ask(turn, height, first, damage.behind)):
            taken = int(service.take_records(records, wrong))
            count, useless = count + taken, 0 if taken else useless + 1
            if useless == USELESS_ANSWERS_MAX:
                break
            first = records[-1][0] + b"\x00"
        return count

    def _ask(self, turn: int, height: int, first: bytes, behind: bytes) -> list[Record] | None:
        ask = self.ask
        if ask is None or self._stopped:
            return None
        while not self._answers.empty():
            self._answers.get_nowait()  # of a question that was given up
        self._post(lambda: ask(turn, height, first, behind, self._answers.put))
        try:
            return self._answers.get(timeout=_WAIT_S)
        except queue.Empty:
            return None


def rewrite_wanted(damage: Damage) -> StorageError:
    """Return what ends the node's life after damage to a file was mended: the file cannot be used for long."""
    return StorageError("storage.rewrite", f"the ledger is written anew without its damaged part: {damage.message}")
