"""The executor: a thread that answers requests to the ledger in order, itself or by asking a process.

The ledger belongs to one owner, and everyone else asks it by message: reads never see half a block, and where the owner
runs is a matter of configuration.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ledger.errors import Damage, LedgerError
from node.chain_service import ChainService
from node.failures import ExitCode, NodeFailure
from node.mender import MENDS_MAX, Mender, rewrite_wanted
from node.ports import Answer

if TYPE_CHECKING:
    from node.executor_process import RemoteLedger

REQUESTS_MAX: Final = 10_000
"""Requests waiting for the ledger; a further one is answered with `ExecutorBusy`."""
UNBOUNDED: Final = frozenset({"execute", "add_certificate"})
"""Never refused: the engine asks for them once, and for no more of them than its window has sequences."""

Post = Callable[[Callable[[], None]], None]
"""Runs a callback on the deciding thread; safe to call from any thread."""


class ExecutorBusy(LedgerError):
    """Too many requests wait for the ledger."""

    def __init__(self) -> None:
        super().__init__("executor.busy", f"{REQUESTS_MAX} requests wait for the ledger; try again")


class ExecutorStopped(LedgerError):
    """The node stops: this request was not begun."""

    def __init__(self) -> None:
        super().__init__("executor.stopped", "the node is stopping")


class ExecutorFailed(NodeFailure):
    """The ledger failed in a way that is not an answer: the process must end."""

    exit_code = ExitCode.STORAGE


class ThreadExecutor:
    """One thread that opens the chain, owns it, and answers in order."""

    def __init__(
        self,
        open_service: Callable[[], ChainService | RemoteLedger],
        post: Post,
        on_fatal: Callable[[BaseException], None],
        mender: Mender | None = None,
    ) -> None:
        """`open_service` runs in the thread; what it or a request raises beside LedgerError goes to `on_fatal`."""
        self._mender = mender
        self._open_service = open_service
        self._post = post
        self._on_fatal = on_fatal
        self._requests: queue.SimpleQueue[tuple[str, tuple[Any, ...], Answer] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="executor", daemon=True)

    def start(self, opened: Answer) -> None:
        """Open the chain; `opened` hears its head or what went wrong."""
        self._requests.put(("head", (), opened))
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._requests.qsize()

    @property
    def stopped(self) -> bool:
        """Whether requests are refused, because the node stops or the ledger failed."""
        return self._closed

    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        """Ask; answers come in the order of the requests, but for refusals, which come at once."""
        if self._closed:
            self._post(lambda: answer(None, ExecutorStopped()))
        elif self._requests.qsize() >= REQUESTS_MAX and method not in UNBOUNDED:
            self._post(lambda: answer(None, ExecutorBusy()))
        else:
            self._requests.put((method, arguments, answer))

    def stop(self) -> None:
        """Finish the request under way, refuse those that wait, and end. The store is closed by its owner's `close`.

        A decision that was not executed is in the vote log, and executed after the next start.
        """
        self._closed = True
        self._requests.put(None)
        if self._mender is not None:
            self._mender.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        service: ChainService | RemoteLedger | None = None
        while (request := self._requests.get()) is not None:
            method, arguments, answer = request
            if self._closed:
                self._post(partial(answer, None, ExecutorStopped()))
                continue
            try:
                if service is None:
                    service = self._open_service()
                result = self._ask(service, method, arguments)
            except LedgerError as error:
                if error.code.startswith("storage."):
                    self._post(partial(self._on_fatal, error))
                self._post(partial(answer, None, error))
            except BaseException as error:
                self._closed = True
                self._post(partial(self._on_fatal, error))
                return
            else:
                self._post(partial(answer, result, None))

    def _ask(self, service: ChainService | RemoteLedger, method: str, arguments: tuple[Any, ...]) -> Any:
        """Ask, and ask again when what was damaged has been put back. A damaged file is not kept in use: the life of
        the node ends then, and the next one begins with a store written anew."""
        damaged: Damage | None = None
        for _ in range(MENDS_MAX):
            try:
                result = getattr(service, method)(*arguments)
            except Damage as damage:
                if self._mender is None or self._closed or not self._mender.mend(service, damage):
                    raise
                damaged = damage if damage.physical else damaged
            else:
                if damaged is not None:
                    self._post(partial(self._on_fatal, rewrite_wanted(damaged)))
                return result
        return getattr(service, method)(*arguments)
