"""Real nodes whose ledger is in a process of its own, beside one whose ledger is in a thread: one chain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from node.failures import ExitCode

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("executor-processes")]


@pytest.fixture(scope="module")
def cluster(guildmark_cluster_factory: Any) -> Iterator[Any]:
    made = guildmark_cluster_factory(node={"executor": {"mode": "process"}}, start=False)
    settings = made.nodes[3].directory / "node.toml"
    settings.write_text(settings.read_text().replace('mode = "process"', 'mode = "thread"'))
    made.start()
    yield made
    made.stop()


def ledger_processes(cluster: Any, index: int) -> list[psutil.Process]:
    node = cluster.nodes[index].running()
    assert node is not None
    return [child for child in node.children() if "node.executor_child" in child.cmdline()]


def ended(process: psutil.Process, seconds: float = 20.0) -> bool:
    psutil.wait_procs([process], timeout=seconds)
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def pay(cluster: Any, amount: int = 1) -> None:
    with cluster.client(cluster.accounts[0]) as client:
        client.credits.transfer(cluster.account(cluster.accounts[1]), amount)


def test_thread_and_process_agree_on_every_block(cluster: Any) -> None:
    assert [len(ledger_processes(cluster, index)) for index in range(4)] == [1, 1, 1, 0]
    for amount in range(1, 6):
        pay(cluster, amount)
    head = cluster.wait_same_head()
    assert head["height"] >= 5


def test_a_clean_stop_ends_the_ledgers_process_and_keeps_its_work(cluster: Any) -> None:
    (child,) = ledger_processes(cluster, 0)
    process = cluster.nodes[0]
    own = process._child
    process.signal(signal.SIGTERM)
    assert process.wait_ended(time.monotonic() + 20)
    assert own.wait(10) == 0, process.tail()
    assert ended(child)
    cluster.restart(0)
    pay(cluster)
    cluster.wait_same_head()


def test_a_killed_node_takes_its_ledgers_process_along_and_both_come_back(cluster: Any) -> None:
    """R1"""
    (child,) = ledger_processes(cluster, 1)
    cluster.kill(1)
    assert ended(child)
    pay(cluster)
    cluster.restart(1)
    cluster.wait_same_head()


def test_a_killed_ledger_process_ends_its_node_with_a_reason(cluster: Any) -> None:
    """R1: a node without its ledger must not go on, and says in one line why."""
    (child,) = ledger_processes(cluster, 2)
    process = cluster.nodes[2]
    own = process._child
    os.kill(child.pid, signal.SIGKILL)
    assert own.wait(20) == ExitCode.STORAGE, process.tail()
    assert "the ledger's process" in process.tail()
    assert "Traceback" not in process.tail()
    pay(cluster)
    cluster.restart(2)
    cluster.wait_same_head()
