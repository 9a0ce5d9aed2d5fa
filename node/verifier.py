"""Signatures of transactions, checked off the deciding thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Final

from ledger.transaction import signature_holds
from primitives.keys import verify

JOB_TRANSACTIONS_MAX: Final = 64
"""Signatures checked before the result is reported; about 2.5 ms."""
JOBS_MAX: Final = 4_096
"""Jobs waiting; more are refused, and their senders told to come again."""


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
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="verifier", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._jobs.qsize()

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        """Check in jobs of at most 64; the answer comes when all are done. A full queue answers None."""
        if not transactions or self._jobs.qsize() >= JOBS_MAX:
            self._post(lambda: answer(None if transactions else []))
            return
        verdicts: list[bool] = []
        for start in range(0, len(transactions), JOB_TRANSACTIONS_MAX):

            def part(found: list[bool]) -> None:
                verdicts.extend(found)
                if len(verdicts) == len(transactions):
                    answer(verdicts)

            self._jobs.put((transactions[start : start + JOB_TRANSACTIONS_MAX], part))

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Finish the job under way and end; what waits is not checked, and nobody hears of it."""
        self._stopped = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopped:
            transactions, answer = job
            found = check_signatures(transactions)
            self._post(lambda answer=answer, found=found: answer(found))  # type: ignore[misc]


class EngineVerifier:
    """The engine's port: votes are few, and checked where they are counted."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return verify(public_key, message, signature)
