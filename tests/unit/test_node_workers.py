"""Workers: large jobs in a process of their own, small ones here, and nothing lost when a process is."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psutil
import pytest

from ledger.errors import InvalidBlock
from node.block_ranges import Trust, check_range
from node.workers import LARGE_BYTES, ProcessWorkers, workers_for
from primitives.finality import FinalityCertificate

WAIT_S = 30.0
CERTIFICATE = FinalityCertificate(0, 1, bytes(32), 0, ())


class Loop:
    """The deciding thread: runs what is posted."""

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.fatal: list[BaseException] = []
        self.heard: list[tuple[Any, BaseException | None]] = []
        self.workers = ProcessWorkers(self._posted.put, self.fatal.append, 1)

    def run(self, job: Callable[[], Any], size_bytes: int = 0) -> tuple[Any, BaseException | None]:
        """Have a job done, and return its answer."""
        self.workers.run(job, lambda result, error: self.heard.append((result, error)), size_bytes)
        self.turn()
        return self.heard[-1]

    def turn(self) -> None:
        self._posted.get(timeout=WAIT_S)()


@pytest.fixture
def loop() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.workers.stop()


def test_a_little_is_done_here_and_much_in_a_process(loop: Loop) -> None:
    assert loop.run(os.getpid) == (os.getpid(), None)
    assert loop.run(os.getpid, LARGE_BYTES // 2) == (os.getpid(), None)
    child, _ = loop.run(os.getpid, LARGE_BYTES - LARGE_BYTES // 2)
    assert child in {process.pid for process in psutil.Process().children()}
    assert loop.run(os.getpid) == (child, None), "while there is one, it does them all"


@pytest.mark.parametrize("size_bytes", [0, LARGE_BYTES])
def test_a_refusal_is_an_answer_with_its_kind_and_code(loop: Loop, size_bytes: int) -> None:
    job = partial(check_range, Trust(bytes(32), 0, ()), 1, 1, (b"no block",), (), CERTIFICATE)
    result, error = loop.run(job, size_bytes)
    assert result is None
    assert isinstance(error, InvalidBlock)
    assert error.code == "block.malformed"


def test_a_job_whose_process_is_killed_is_done_nevertheless(loop: Loop) -> None:
    child, _ = loop.run(os.getpid, LARGE_BYTES)
    os.kill(child, signal.SIGKILL)
    psutil.Process(child).wait(WAIT_S) if psutil.pid_exists(child) else None
    assert loop.run(os.getpid) == (os.getpid(), None)
    again, _ = loop.run(os.getpid, LARGE_BYTES)
    assert again not in (child, os.getpid())


def test_a_defect_ends_the_node(loop: Loop) -> None:
    loop.workers.run(partial(int, "no number"), lambda *_: None, 0)
    loop.turn()
    assert [type(error) for error in loop.fatal] == [ValueError]


def test_after_a_stop_no_process_is_left(loop: Loop) -> None:
    child, _ = loop.run(os.getpid, LARGE_BYTES)
    loop.workers.stop()
    assert not psutil.pid_exists(child)


def test_there_are_as_many_as_cores_beside_the_executors() -> None:
    assert [workers_for(cores) for cores in (1, 2, 4, 64)] == [1, 1, 3, 8]
