"""Signatures of transactions, checked off the deciding thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ledger.transaction import signature_holds
from primitives.keys import verify

PART_TRANSACTIONS: Final = 64
"""Signatures checked before the thread looks whether it should stop; about 2.5 ms."""
WAITING_MAX: Final = 262_144
"""Transactions waiting, some 12 s of work; with so many, more are refused, and their senders told to come again."""


def check_signatures(transactions: Sequence[bytes]) -> list[bool]:
    """Check each transaction's signature; what has none is False, like a bad one."""
    return [signature_holds(data) for data in transactions]


class InlineVerifier:
    """Checks in the caller's turn. For the simulator."""

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        answer(check_signatures(transactions))


class ThreadVerifier:
    """One thread; libsodium releases the interpreter's lock while it checks."""

    def __init__(self, post: Callable[[Callable[[], None]], None]) -> None:
        self._post = post
        self._jobs: queue.SimpleQueue[tuple[Sequence[bytes], Callable[[list[bool]], None]] | None] = queue.SimpleQueue()
        self._given = self._checked = 0
        """Transactions, each counted by one thread."""
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="verifier", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Transactions not checked yet."""
        return self._given - self._checked

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        """Check all; the answer comes when that is done. A full queue answers None."""
        if not transactions or self.waiting >= WAITING_MAX:
            self._post(lambda: answer(None if transactions else []))
            return
        self._given += len(transactions)
        self._jobs.put((transactions, answer))

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Finish the part under way and end; what waits is not checked, and nobody hears of it."""
        self._stopped = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            transactions, answer = job
            found: list[bool] = []
            while len(found) < len(transactions):
                if self._stopped:
                    return
                found += check_signatures(transactions[len(found) : len(found) + PART_TRANSACTIONS])
            self._checked += len(transactions)
            # Once a job: every word to the deciding thread wakes it.
            self._post(partial(answer, found))


class EngineVerifier:
    """The engine's port: votes are few, and checked where they are counted."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return verify(public_key, message, signature)
