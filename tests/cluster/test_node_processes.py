"""Four real node processes, seen from outside: commit, crash, restart, refuse, stop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from guildmark.client import AsyncClient
from guildmark.cluster import probe
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.errors import Denied, Refused
from ledger.modules.credits.operations import Transfer

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("node-processes")]


def test_a_transfer_commits_and_every_node_agrees(guildmark_cluster: Any, guildmark_client: Any) -> None:
    other = guildmark_cluster.account(guildmark_cluster.accounts[1])
    before = guildmark_client.credits.balance(other)
    guildmark_client.credits.transfer(other, 1_234)
    head = guildmark_cluster.wait_same_head()
    assert head["ready"]
    for index in range(4):
        with guildmark_cluster.client(node=index) as one:
            assert one.credits.balance(other) == before + 1_234


class Load:
    """Transfers of one unit by several streams at once, in a thread, until told to stop; each is seen to its end."""

    STREAMS = 8

    def __init__(self, cluster: Any, sender: str, recipient: str) -> None:
        self.sent: list[str] = []
        self.committed: list[str] = []
        self._cluster = cluster
        self._sender, self._recipient = cluster.account(sender), cluster.account(recipient)
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> None:
        """Stop, wait for every outcome, and raise what went wrong."""
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive()
        for failure in self._failures:
            raise failure

    def _run(self) -> None:
        try:
            asyncio.run(self._streams())
        except BaseException as error:  # raised again by `finish`, in the test's thread
            self._failures.append(error)

    async def _streams(self) -> None:
        async with AsyncClient(self._cluster.urls, self._sender, network_id=self._cluster.network_id) as client:
            await asyncio.gather(*(self._stream(client) for _ in range(self.STREAMS)))

    async def _stream(self, client: AsyncClient) -> None:
        while not self._stop.is_set():
            transaction = await client.prepare(Transfer(self._recipient.id, 1))
            self.sent.append(transaction.id)
            outcome = await client.deliver(transaction)
            assert outcome.committed
            self.committed.append(transaction.id)


def test_a_killed_primary_loses_nothing_that_was_acknowledged(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """L1: SIGKILL of the primary under load; the others carry on, it catches up, every transaction executed once."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[2]
    before = guildmark_client.credits.balance(guildmark_cluster.account(recipient))
    load = Load(guildmark_cluster, sender, recipient)
    try:
        _wait(lambda: len(load.committed) > 50)
        primary = guildmark_cluster.primary()
        guildmark_cluster.kill(primary)
        reached = len(load.committed)
        _wait(lambda: len(load.committed) > reached + 100)
        guildmark_cluster.restart(primary)
        reached = len(load.committed)
        _wait(lambda: len(load.committed) > reached + 50)
    finally:
        load.finish()
    head = guildmark_cluster.wait_same_head()
    after = guildmark_client.credits.balance(guildmark_cluster.account(recipient))
    assert after == before + len(load.committed)
    assert sorted(load.sent) == sorted(load.committed)
    executed = [
        entry["id"]
        for height in range(1, head["height"] + 1)
        for entry in guildmark_client.block(height)["transactions"]
        if not entry["code"]
    ]
    assert len(set(executed)) == len(executed)
    assert set(load.committed) <= set(executed)


def test_a_second_process_on_a_data_directory_says_so_and_ends(guildmark_cluster: Any) -> None:
    """R8"""
    directory = guildmark_cluster.nodes[0].directory
    run = subprocess.run(
        node_command("start", "--data-dir", str(directory)),
        env=node_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 4
    assert "is in use by process" in run.stderr
    assert "Traceback" not in run.stderr
    assert guildmark_cluster.status(0) is not None


def test_sigterm_ends_a_node_cleanly_and_it_comes_back(guildmark_cluster: Any, guildmark_client: Any) -> None:
    process = guildmark_cluster.nodes[3]
    running, child = process.running(), process._child
    assert running is not None
    process.signal(signal.SIGTERM)
    assert process.wait_ended(time.monotonic() + 10)
    assert child.wait(10) == 0, process.tail()
    guildmark_client.credits.transfer(guildmark_cluster.account(guildmark_cluster.accounts[1]), 1)
    guildmark_cluster.restart(3)
    guildmark_cluster.wait_same_head()
    assert not psutil.pid_exists(running.pid) or psutil.Process(running.pid).status() == psutil.STATUS_ZOMBIE


def test_an_artifact_is_held_by_all_and_read_by_who_may(
    guildmark_cluster: Any, guildmark_client: Any, tmp_path: Path
) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(bytes(range(256)) * 10_000)
    registered = guildmark_client.assets.register(source, kind="dataset", name="bytes")
    held = guildmark_client.artifacts.wait_held(registered.cid)
    assert held["complete"] or held["held_quorum"]
    stranger = guildmark_cluster.account(guildmark_cluster.accounts[1])
    for index in range(4):
        with guildmark_cluster.client(guildmark_client.account, node=index) as owner:
            copy = owner.assets.download(registered.asset, tmp_path / f"copy-{index}.bin")
            assert copy.read_bytes() == source.read_bytes()
        with guildmark_cluster.client(stranger, node=index) as other, pytest.raises(Denied) as denied:
            other.artifacts.fetch_block(registered.cid, registered.cid)
        assert denied.value.code == "no_grant"
        url = guildmark_cluster.url(index)
        answer = probe.get(url, f"/v1/artifacts/{registered.cid}/blocks/{registered.cid}")
        assert answer is not None
        assert (answer[0], msgspec.json.decode(answer[1])["code"]) == (401, "artifact.unsigned")


def test_wrong_transactions_get_stable_codes_and_change_nothing(guildmark_cluster: Any, guildmark_client: Any) -> None:
    with pytest.raises(Refused) as refused:
        guildmark_client.credits.transfer(guildmark_cluster.account(guildmark_cluster.accounts[1]), 2**62)
    assert refused.value.code.startswith("credits.")
    with pytest.raises(Refused) as refused:
        guildmark_client.submit(b"nonsense")
    assert refused.value.code == "transaction.malformed"


def _wait(done: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
