"""A process that computes what a node's worker gives it: `python -P -m node.worker_child DESCRIPTOR PARENT`.

One job after the other, until the pipe ends or the parent does.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection

from ledger.errors import LedgerError
from node import (
    block_ranges,  # noqa: F401 - what jobs are made of, read before the first comes
    memory,
)
from node.executor_pipe import receive, send
from node.parents import end_with_parent


def serve(connection: Connection) -> None:
    """Compute until the other end is gone."""
    memory.settle()
    try:
        while True:
            (job,) = receive(connection)
            try:
                result = job()
            except LedgerError as error:
                send(connection, (None, error))
            else:
                send(connection, (result, None))
    except (EOFError, ConnectionError):
        pass  # the node has no more work, or has ended


def main(arguments: Sequence[str]) -> None:
    """Run the process: the number of the inherited descriptor, and the parent's process id."""
    descriptor, parent = map(int, arguments)
    end_with_parent(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the node, which ends this process
    serve(Connection(descriptor))


if __name__ == "__main__":
    main(sys.argv[1:])
