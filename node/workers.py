"""Threads, each with a process of its own where there is much to do, for computations that touch nothing of the node's.

The blocks that peers send are checked here, which is mostly signatures. libsodium gives up the interpreter's lock for
each, and a thread that executes blocks beside it gives it back half a millisecond later: in threads alone, checking and
executing would take turns. A process has a lock of its own. It is started when there is much to do, and ended when
nothing has come for a while.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

from ledger.errors import LedgerError
from node.executor_pipe import receive, send
from node.ports import Answer

WORKERS_MAX: Final = 8
LARGE_BYTES: Final = 512 * 1024
"""Jobs about so much in all are worth a process: to check their signatures takes about as long as to start it. With it
there it does whatever comes."""
IDLE_S: Final = 10.0
"""After so long without a job the process ends."""


def workers_for(cores: int) -> int:
    """Return how many workers are worth having: one core is the executor's."""
    return max(1, min(WORKERS_MAX, cores - 1))


class ProcessWorkers:
    """`node.ports.Workers`. Who asks bounds what waits: the synchronizer has few ranges at a time."""

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        on_fatal: Callable[[BaseException], None],
        count: int | None = None,
    ) -> None:
        """`count` is what the cores of this process suggest, where nobody says otherwise."""
        self._post = post
        self._on_fatal = on_fatal
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Answer, int] | None] = queue.SimpleQueue()
        self._stopped = False
        count = workers_for(len(os.sched_getaffinity(0))) if count is None else count
        self._threads = [threading.Thread(target=self._run, name=f"worker-{at}", daemon=True) for at in range(count)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that nobody has begun."""
        return self._jobs.qsize()

    def run(self, job: Callable[[], Any], answer: Answer, size_bytes: int) -> None:
        self._jobs.put((job, answer, size_bytes))

    def stop(self) -> None:
        """Finish the jobs under way and end; what waits is not done, and nobody hears of it."""
        self._stopped = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        process: _Process | None = None
        given_bytes = 0
        while True:
            try:
                work = self._jobs.get(timeout=IDLE_S if given_bytes else None)
            except queue.Empty:
                _end(process)
                process, given_bytes = None, 0
                continue
            if work is None:
                break
            if self._stopped:
                continue
            job, answer, size_bytes = work
            try:
                given_bytes += size_bytes
                if process is None and given_bytes >= LARGE_BYTES:
                    process = _Process.start()
                try:
                    result = job() if process is None else process.compute(job)
                except (EOFError, OSError):  # it was killed, or there is no room for one: there is work to do anyhow
                    _end(process)
                    process, given_bytes = None, 0
                    result = job()
            except LedgerError as error:
                self._post(partial(answer, None, error))
            except BaseException as error:  # a defect of ours: the node must not go on as if nothing had happened
                self._post(partial(self._on_fatal, error))
            else:
                self._post(partial(answer, result, None))
        _end(process)


class _Process:
    """One at the other end of a pipe (`node.worker_child`)."""

    def __init__(self, connection: Connection, process: subprocess.Popen[bytes]) -> None:
        self._connection = connection
        self._process = process

    @classmethod
    def start(cls) -> _Process | None:
        """Start one; None where the system has no room for it. The kernel ends it with the calling thread."""
        ours, theirs = Pipe()
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "node.worker_child", str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # the node's own standard output says where it listens, nothing else
                    pass_fds=[theirs.fileno()],
                )
            except OSError:
                ours.close()
                return None
        return cls(ours, process)

    def compute(self, job: Callable[[], Any]) -> Any:
        """Return the job's result, or raise the LedgerError that it raised; EOFError or OSError when the process
        ended."""
        send(self._connection, (job,))
        result, error = receive(self._connection)
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """It ends when the pipe does, and has nothing to finish."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def _end(process: _Process | None) -> None:
    if process is not None:
        process.end()
