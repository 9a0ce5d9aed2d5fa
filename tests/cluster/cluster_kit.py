"""What tests of real processes share: load that sees every transaction to its end, and waiting for a condition."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from guildmark.client import AsyncClient
from ledger.modules.credits.operations import Transfer


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

    def wait_for(self, more: int, seconds: float = 60.0) -> None:
        """Wait until so many more are committed."""
        reached = len(self.committed)
        wait(lambda: len(self.committed) >= reached + more or bool(self._failures), seconds)
        self._raise()

    def finish(self) -> None:
        """Stop, wait for every outcome, and raise what went wrong."""
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive()
        self._raise()

    def check(self, cluster: Any, client: Any, credits_before: int) -> None:
        """Every transaction sent was executed once, on a chain that all nodes agree on."""
        head = cluster.wait_same_head()
        assert client.credits.balance(self._recipient) == credits_before + len(self.committed)
        assert sorted(self.sent) == sorted(self.committed)
        executed = [
            entry["id"]
            for height in range(1, head["height"] + 1)
            for entry in client.block(height)["transactions"]
            if not entry["code"]
        ]
        assert len(set(executed)) == len(executed)
        assert set(self.committed) <= set(executed)

    def _raise(self) -> None:
        for failure in self._failures:
            raise failure

    def _run(self) -> None:
        try:
            asyncio.run(self._streams())
        except BaseException as error:  # raised again in the test's thread
            self._failures.append(error)

    async def _streams(self) -> None:
        async with AsyncClient(
            self._cluster.urls, self._sender, network_id=self._cluster.network_id, retry_timeout_s=40
        ) as client:
            await asyncio.gather(*(self._stream(client) for _ in range(self.STREAMS)))

    async def _stream(self, client: AsyncClient) -> None:
        while not self._stop.is_set():
            transaction = await client.prepare(Transfer(self._recipient.id, 1))
            self.sent.append(transaction.id)
            outcome = await client.deliver(transaction)
            assert outcome.committed
            self.committed.append(transaction.id)


def wait(done: Callable[[], object], seconds: float = 60.0) -> None:
    """Ask until it is true; an assertion fails when it is not in time."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.01)
