"""The executor: the same answers whether a thread or a process of its own owns the ledger, and what ends it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from ledger import genesis as genesis_files
from ledger.chain import Chain
from ledger.errors import InvalidBlock, LedgerError, StorageError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.search.index import SearchIndex
from ledger.search.reader import SearchReader
from ledger.search.request import Search
from ledger.state.store import LevelStore, MemoryStore
from ledger.transaction import build
from node.chain_service import ChainService
from node.executor import REQUESTS_MAX, ExecutorBusy, ExecutorFailed, ExecutorStopped, ThreadExecutor
from node.executor_process import LedgerProcess
from simulation.cluster import make_genesis, seeded_key
from simulation.world import START_MS

GENESIS = make_genesis(4, "real")
"""The stand-ins for signatures are known to this process only, and not to the one that owns a ledger."""
WAIT_S = 60
"""How long a test waits for an answer before it fails."""


class Desk:
    """The deciding thread of a test: callbacks are put here by others, and run when the test waits."""

    def __init__(self) -> None:
        self._callbacks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.fatal: list[BaseException] = []

    def post(self, callback: Callable[[], None]) -> None:
        self._callbacks.put(callback)

    def turn(self) -> None:
        self._callbacks.get(timeout=WAIT_S)()

    def wait(self, holds: Callable[[], Any]) -> None:
        while not holds():
            self.turn()

    def ask(self, executor: ThreadExecutor, method: str, *arguments: Any) -> Any:
        answers: list[tuple[Any, BaseException | None]] = []
        executor.call(method, arguments, lambda result, error: answers.append((result, error)))
        self.wait(lambda: answers)
        result, error = answers[0]
        if error is not None:
            raise error
        return result


class Backend:
    """One running executor."""

    def __init__(self, desk: Desk, executor: ThreadExecutor, process: LedgerProcess | None) -> None:
        self.desk = desk
        self.executor = executor
        self.process = process
        self.opened: list[Any] = []
        executor.start(lambda head, error: self.opened.append(error if head is None else head))

    def ask(self, method: str, *arguments: Any) -> Any:
        return self.desk.ask(self.executor, method, *arguments)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Backend]]:
    ends: list[Callable[[], None]] = []

    def begin(kind: str) -> Backend:
        desk, directory = Desk(), tmp_path / kind
        if kind == "thread":
            store = LevelStore(directory)
            index = SearchIndex(search_file(tmp_path, kind), lambda _: None)
            service = ChainService(Chain.open(store, GENESIS, follower=index))
            executor = ThreadExecutor(lambda: service, desk.post, desk.fatal.append)
            ends.extend([store.close, index.close, executor.stop])
            return Backend(desk, executor, None)
        process = LedgerProcess(desk.post, desk.fatal.append)
        encoded = genesis_files.write(GENESIS)
        search = search_file(tmp_path, kind)
        executor = ThreadExecutor(lambda: process.open(directory, encoded, search), desk.post, desk.fatal.append)
        ends.extend([process.stop, executor.stop])
        return Backend(desk, executor, process)

    yield begin
    for end in reversed(ends):
        end()


def search_file(directory: Path, kind: str) -> Path:
    return directory / f"search of the {kind}" / "assets.sqlite"


def transfers(height: int) -> tuple[bytes, ...]:
    """Return transactions of which one is refused by the rules and one leaves no receipt."""
    identifier = network_id(GENESIS)
    accounts = [organization_account(identifier, account) for account in GENESIS.accounts]

    def one(sender: int, amount: int, key: int) -> bytes:
        return build(
            network_id=identifier,
            sender=accounts[sender],
            key=seeded_key("account", key, "real"),
            operations=[Transfer(accounts[(sender + 1) % len(accounts)], amount)],
            expires_at_ms=START_MS + 60_000,
            salt=(1_000 * height + 10 * sender + key).to_bytes(16, "big"),
        )

    return (one(0, 5, 0), one(1, 10**12, 1), one(2, 7, 3), b"no transaction")


def run_blocks(backend: Backend) -> list[Any]:
    """Ask for everything that the deciding parts ask, and return the answers."""
    answers: list[Any] = []
    for height in range(1, 6):
        items = transfers(height)
        answers.append(backend.ask("admit", list(items), START_MS))
        decided = DecidedProposal(height % 4, START_MS + height), [DecidedBatch(1, height, items)]
        answers.append(backend.ask("execute", height, *decided))
    answers.append(backend.ask("execute", 3, DecidedProposal(0, START_MS), []))
    answers.append(backend.ask("head"))
    answers.append(backend.ask("query", "organizations.list", {}))
    answers.append(backend.ask("prove", b"some key", 3))
    answers.append(backend.ask("prove_records", [b"some key", b"parameters"], None))
    answers.append(backend.ask("prove", b"some key"))
    answers.append(backend.ask("blocks", 1, 5))
    return answers


def test_thread_and_process_give_the_same_answers_and_the_same_roots(start: Callable[[str], Backend]) -> None:
    thread, process = run_blocks(start("thread")), run_blocks(start("process"))
    assert thread == process
    assert thread[-6].header.height == 5
    assert len({answer.block.header.state_root for answer in thread[1:10:2]}) == 5


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_the_search_has_a_block_before_its_answer_is_known(
    kind: str, start: Callable[[str], Backend], tmp_path: Path
) -> None:
    """Whoever heard of a block finds the search at its height, read from this process whoever wrote it."""
    backend = start(kind)
    assert backend.ask("head").header.height == 0
    reader = SearchReader(search_file(tmp_path, kind))
    for height in range(1, 4):
        backend.ask("execute", height, DecidedProposal(0, START_MS + height), [DecidedBatch(1, height, ())])
        answer = reader.search(Search())
        assert (answer.height, answer.block_time_ms) == (height, START_MS + height)
    reader.close()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_refusal_is_an_answer_with_its_kind_and_code(kind: str, start: Callable[[str], Backend]) -> None:
    backend = start(kind)
    with pytest.raises(InvalidBlock) as caught:
        backend.ask("execute", 7, DecidedProposal(0, START_MS), [])
    assert caught.value.code == "block.height"
    with pytest.raises(LedgerError) as refused:
        backend.ask("query", "no.such.query", {})
    assert (refused.value.code, bool(refused.value.message)) == ("query.unknown", True)
    assert backend.desk.fatal == []


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_requests_are_answered_in_order(kind: str, start: Callable[[str], Backend]) -> None:
    backend = start(kind)
    order: list[int] = []
    for index in range(50):
        backend.executor.call("block_hash", (index % 2,), lambda *_, index=index: order.append(index))
    backend.desk.wait(lambda: len(order) == 50)
    assert order == list(range(50))


def test_the_death_of_the_ledgers_process_is_the_end_of_the_node(start: Callable[[str], Backend]) -> None:
    backend = start("process")
    backend.ask("head")
    assert backend.process is not None
    os.kill(backend.process.process_id, signal.SIGKILL)
    backend.desk.wait(lambda: backend.desk.fatal)
    assert isinstance(backend.desk.fatal[0], ExecutorFailed)
    assert "ended" in str(backend.desk.fatal[0])


def test_a_stop_signal_for_the_whole_group_is_the_nodes_alone(start: Callable[[str], Backend]) -> None:
    backend = start("process")
    backend.ask("head")
    assert backend.process is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(backend.process.process_id, number)
    assert backend.ask("head").header.height == 0
    assert backend.desk.fatal == []


def test_what_the_process_wrote_is_there_after_a_stop(tmp_path: Path) -> None:
    desk, encoded = Desk(), genesis_files.write(GENESIS)
    heights = []
    for _ in range(2):
        process = LedgerProcess(desk.post, desk.fatal.append)
        executor = ThreadExecutor(partial(process.open, tmp_path, encoded), desk.post, desk.fatal.append)
        executor.start(lambda *_: None)
        height = desk.ask(executor, "head").header.height
        desk.ask(executor, "execute", height + 1, DecidedProposal(0, START_MS), [])
        heights.append(height)
        executor.stop()
        process.stop()
        assert not psutil.pid_exists(process.process_id)
    assert heights == [0, 1]
    assert desk.fatal == []


def test_a_ledger_that_another_process_holds_is_a_storage_failure(tmp_path: Path) -> None:
    """R8"""
    holder = LevelStore(tmp_path)
    desk = Desk()
    process = LedgerProcess(desk.post, desk.fatal.append)
    executor = ThreadExecutor(
        lambda: process.open(tmp_path, genesis_files.write(GENESIS)), desk.post, desk.fatal.append
    )
    opened: list[BaseException | None] = []
    executor.start(lambda _, error: opened.append(error))
    desk.wait(lambda: opened)
    executor.stop()
    process.stop()
    holder.close()
    assert isinstance(opened[0], StorageError)
    assert opened[0].code == "storage.locked"
    assert desk.fatal == opened


def test_the_process_ends_with_a_node_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import queue, sys\n"
        "from pathlib import Path\n"
        "from node.executor_process import LedgerProcess\n"
        "from ledger import genesis\n"
        "from simulation.cluster import make_genesis\n"
        "process = LedgerProcess(lambda callback: None, print)\n"
        "process.open(Path(sys.argv[1]), genesis.write(make_genesis(4)))\n"
        "print(process.process_id, flush=True)\n"
        "queue.Queue().get()\n"
    )
    node = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    child = psutil.Process(int(node.stdout.readline()))
    node.kill()
    node.wait()
    node.stdout.close()
    psutil.wait_procs([child], timeout=WAIT_S)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    LevelStore(tmp_path).close()


class _Waiting(ChainService):
    """A ledger that is busy until it is told to go on."""

    def __init__(self, gate: queue.SimpleQueue[BaseException | None]) -> None:
        super().__init__(Chain.open(MemoryStore(), GENESIS))
        self._gate = gate
        self.begun = threading.Event()

    def pause(self) -> str:
        self.begun.set()
        failure = self._gate.get(timeout=WAIT_S)
        if failure is not None:
            raise failure
        return "done"


class Waiting:
    """An executor over such a ledger; `go_on` lets a pause end, or fail."""

    def __init__(self, desk: Desk) -> None:
        self._gate: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.go_on = self._gate.put
        self.service = _Waiting(self._gate)
        self.executor = ThreadExecutor(lambda: self.service, desk.post, desk.fatal.append)
        opened: list[Any] = []
        self.executor.start(lambda *answer: opened.append(answer))
        desk.wait(lambda: opened)


def test_a_full_queue_refuses_reads_but_never_decisions() -> None:
    desk = Desk()
    waiting = Waiting(desk)
    executor = waiting.executor
    executor.call("pause", (), lambda *_: None)
    for _ in range(REQUESTS_MAX + 1):
        executor.call("head", (), lambda *_: None)
    with pytest.raises(ExecutorBusy):
        desk.ask(executor, "head")
    answers: list[Any] = []
    executor.call("execute", (1, DecidedProposal(0, START_MS), []), lambda *got: answers.append(got))
    waiting.go_on(None)
    desk.wait(lambda: answers)
    assert answers[0][0].block.header.height == 1
    executor.stop()


def test_a_stop_finishes_what_is_under_way_and_refuses_what_waits() -> None:
    desk = Desk()
    waiting = Waiting(desk)
    executor = waiting.executor
    answers: list[Any] = []
    executor.call("pause", (), lambda *got: answers.append(got))
    executor.call("head", (), lambda *got: answers.append(got))
    assert waiting.service.begun.wait(WAIT_S)
    stopping = threading.Thread(target=executor.stop)
    stopping.start()
    while not executor.stopped:
        pass
    waiting.go_on(None)
    stopping.join(WAIT_S)
    executor.stop()
    executor.call("head", (), lambda *got: answers.append(got))
    desk.wait(lambda: len(answers) == 3)
    assert answers[0] == ("done", None)
    assert [type(error) for _, error in answers[1:]] == [ExecutorStopped, ExecutorStopped]


@pytest.mark.parametrize("failure", [StorageError("storage.failed", "no space"), KeyError("a defect")])
def test_what_is_no_answer_ends_the_node(failure: BaseException) -> None:
    """D5: a ledger whose store failed, or that has a defect."""
    desk = Desk()
    waiting = Waiting(desk)
    executor = waiting.executor
    waiting.go_on(failure)
    executor.call("pause", (), lambda *_: None)
    desk.wait(lambda: desk.fatal)
    assert desk.fatal == [failure]
    executor.stop()
