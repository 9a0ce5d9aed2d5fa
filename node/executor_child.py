"""The process that owns a node's ledger: `python -P -m node.executor_child DESCRIPTOR PARENT`.

It opens the chain, answers requests one after the other, and ends when the pipe ends; when its parent is killed, the
kernel ends it too.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from ledger.chain import Chain
from ledger.errors import LedgerError
from ledger.genesis import parse
from ledger.search.index import SearchIndex
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.store import LevelStore
from node import memory
from node.chain_service import ChainService
from node.evidence_judge import ConsensusJudge
from node.executor_pipe import receive, send
from node.parents import end_with_parent
from node.snapshot_taking import SnapshotTaker


def serve(connection: Connection) -> None:
    """Answer the opening, then requests, until the other end is gone."""
    store: LevelStore | None = None
    service: ChainService | None = None
    index: SearchIndex | None = None
    try:
        while True:
            method, arguments = receive(connection)
            try:
                if method == "open":
                    directory, genesis, search, retention, snapshots = arguments
                    store = LevelStore(Path(directory))
                    index = None if search is None else SearchIndex(Path(search), _report)
                    chain = Chain.open(
                        store, parse(genesis), judge=ConsensusJudge(), follower=index, retention=retention
                    )
                    service = ChainService(chain, None if snapshots is None else _taker(chain, store, *snapshots))
                    service.index = index
                    memory.settle()
                    result = None
                else:
                    result = getattr(service, method)(*arguments)
            except LedgerError as error:
                if service is None and store is not None:
                    store.close()  # what could not be opened may be tried again
                    store = None
                send(connection, (None, error))
            else:
                send(connection, (result, None))
    except (EOFError, ConnectionError):
        pass  # the node has stopped, or ended
    finally:
        if service is not None:
            service.stop()
        if index is not None:
            index.close()
        if store is not None:
            store.close()


def _taker(chain: Chain, store: LevelStore, directory: str, keep: int, every_blocks: int) -> SnapshotTaker:
    return SnapshotTaker(chain, store, SnapshotShelf(Path(directory), keep), every_blocks, report=_report)


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # which is the node's


def main(arguments: Sequence[str]) -> None:
    """Run the process: the number of the inherited descriptor, and the parent's process id."""
    descriptor, parent = map(int, arguments)
    end_with_parent(parent)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the node, which ends this process when it has no work left
    serve(Connection(descriptor))


if __name__ == "__main__":
    main(sys.argv[1:])
