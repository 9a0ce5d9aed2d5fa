"""A pool of threads for computations that touch nothing of the node's: the blocks that peers send are checked here."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ledger.errors import LedgerError
from node.ports import Answer

THREADS_MAX: Final = 8
"""More would wait for the interpreter's lock: libsodium releases it, decoding does not."""


def threads_for(cores: int) -> int:
    """Return how many threads are worth having: one core is the executor's."""
    return max(1, min(THREADS_MAX, cores - 1))


class ThreadWorkers:
    """`node.ports.Workers`. Who asks bounds what waits: the synchronizer has few ranges at a time."""

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        on_fatal: Callable[[BaseException], None],
        threads: int | None = None,
    ) -> None:
        """`threads` is what the cores of this process suggest, where nobody says otherwise."""
        self._post = post
        self._on_fatal = on_fatal
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Answer] | None] = queue.SimpleQueue()
        self._stopped = False
        count = threads_for(len(os.sched_getaffinity(0))) if threads is None else threads
        self._threads = [threading.Thread(target=self._run, name=f"worker-{at}", daemon=True) for at in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that no thread has begun."""
        return self._jobs.qsize()

    def run(self, job: Callable[[], Any], answer: Answer) -> None:
        self._jobs.put((job, answer))

    def stop(self) -> None:
        """Finish the jobs under way and end; what waits is not done, and nobody hears of it."""
        self._stopped = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (work := self._jobs.get()) is not None:
            if self._stopped:
                continue
            job, answer = work
            try:
                result = job()
            except LedgerError as error:
                self._post(partial(answer, None, error))
            except BaseException as error:  # a defect of ours: the node must not go on as if nothing had happened
                self._post(partial(self._on_fatal, error))
            else:
                self._post(partial(answer, result, None))
