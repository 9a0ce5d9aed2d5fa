"""Backend of the executor: a process of its own owns the ledger, beyond the reach of the node's interpreter lock.

The executor's thread asks it, one request at a time, so order, bounds and errors are those of the thread alone. The
process ends with the node, and the node with the process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Final

from ledger.pruning import Retention
from node.executor import ExecutorFailed, Post
from node.executor_pipe import receive, send

STOP_TIMEOUT_S: Final = 10.0
"""How long the process may take to finish what it does; then it is killed, which the ledger survives like any crash."""


class LedgerProcess:
    """The process. Make it on the main thread: the kernel ends a child with the thread that started it."""

    def __init__(self, post: Post, on_fatal: Callable[[BaseException], None]) -> None:
        """Start the process; `on_fatal` hears on the deciding thread when it ends by itself.

        Raises:
            ExecutorFailed: it cannot be started.
        """
        self._post = post
        self._on_fatal = on_fatal
        self._stopping = False
        self._connection, theirs = Pipe()
        with theirs:
            self._process = _start(theirs.fileno())
        self._watch = threading.Thread(target=self._wait, name="executor-watch", daemon=True)
        self._watch.start()

    @property
    def process_id(self) -> int:
        return self._process.pid

    def open(
        self,
        directory: Path,
        genesis: bytes,
        search: Path | None = None,
        retention: Retention | None = None,
        snapshots: tuple[str, int, int] | None = None,
    ) -> RemoteLedger:
        """Open the chain in `directory`, and its search database at `search`. For the executor's thread.

        `snapshots` says where they are put, how many are kept, and every how many blocks one is taken.

        Raises:
            LedgerError: see `Chain.open`. ExecutorFailed: the process ended.
        """
        remote = RemoteLedger(self._connection)
        searched = None if search is None else str(search)
        remote.ask("open", (str(directory), genesis, searched, retention, snapshots))
        return remote

    def stop(self) -> None:
        """End the process; nothing may be asked any more."""
        self._stopping = True
        self._connection.close()
        self._watch.join(STOP_TIMEOUT_S)
        if self._watch.is_alive():
            self._process.kill()
            self._watch.join()

    def _wait(self) -> None:
        code = self._process.wait()
        if not self._stopping:
            error = ExecutorFailed(f"the ledger's process {self._process.pid} ended with code {code}")
            self._post(lambda: self._on_fatal(error))


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "node.executor_child", str(descriptor), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the node's own standard output says where it listens, and nothing else
            pass_fds=[descriptor],
        )
    except OSError as error:
        raise ExecutorFailed(f"the ledger's process cannot be started: {error.strerror or error}") from error


class RemoteLedger:
    """`ChainService` at the other end of a pipe: every method of it is one here."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *arguments: self.ask(method, arguments)

    def ask(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Return the answer.

        Raises:
            LedgerError: it is a refusal. ExecutorFailed: the process ended.
        """
        try:
            send(self._connection, (method, arguments))
            result, error = receive(self._connection)
        except (EOFError, OSError) as failure:
            raise ExecutorFailed("the ledger's process has ended; its own last words are in the log") from failure
        if error is not None:
            raise error
        return result
