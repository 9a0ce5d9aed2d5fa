"""What tests of real processes share: load that sees every transaction to its end, waiting, asking every node,
and a shell."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from forked_guildmark import ForkedGuildmark

from guildmark import transactions
from guildmark.client import AsyncClient
from guildmark.errors import Refused
from guildmark.identity import Account
from guildmark.testing.clusters import TestCluster
from guildmark.transactions import Outcome, PreparedTransaction
from ledger.modules.credits.operations import Transfer
from ledger.operations import Operation

GUILDMARK: Final = [sys.executable, "-m", "guildmark.cli.main"]
COMMANDS: Final = ForkedGuildmark()
"""For stories of many commands."""
atexit.register(COMMANDS.close)
FINAL: Final = ("committed", "rejected", "expired")


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


class Nodes:
    """A client for each node of a network, which asks that node and no other."""

    def __init__(self, cluster: TestCluster, clients: Sequence[AsyncClient]) -> None:
        self.cluster = cluster
        self.clients = clients

    async def sign(self, account: Account, *operations: Operation) -> PreparedTransaction:
        return await self.clients[0].acting_as(account).prepare(*operations)

    async def sign_all(self, pairs: Sequence[tuple[Account, Operation]]) -> list[PreparedTransaction]:
        """Sign one operation for each account, all with one expiry."""
        parameters = (await self.clients[0].genesis()).parameters
        expires_at_ms = await self.clients[0].network_time_ms() + parameters.lifetime_ms // 2
        return [
            transactions.prepare(account, self.cluster.network_id, [operation], expires_at_ms)
            for account, operation in pairs
        ]

    async def rush(self, prepared: Sequence[PreparedTransaction]) -> list[Outcome]:
        """Send all at once, dealt out to the nodes in turn, and see each to its end at the node that got it."""
        dealt = [(self.clients[turn % len(self.clients)], each) for turn, each in enumerate(prepared)]
        await asyncio.gather(*(client.submit(each) for client, each in dealt))
        return list(await asyncio.gather(*(client.wait(each) for client, each in dealt)))

    async def everywhere(self, identifier: str) -> Outcome:
        """Return what became of a transaction, which every node must say alike."""
        outcomes = [await final(client, identifier) for client in self.clients]
        assert all(outcome == outcomes[0] for outcome in outcomes), outcomes
        return outcomes[0]

    async def refusals(self, data: bytes) -> set[str]:
        """Send bytes to every node at once; return the codes with which they are refused."""

        async def refused(client: AsyncClient) -> str:
            with pytest.raises(Refused) as found:
                await transactions.submit(client.transport, data)
            return found.value.code

        return set(await asyncio.gather(*map(refused, self.clients)))

    async def balances(self, accounts: Sequence[Account]) -> list[int]:
        """Return balances that all nodes must state alike."""
        told = await asyncio.gather(*(ask_balances(client, accounts) for client in self.clients))
        assert all(balances == told[0] for balances in told)
        return told[0]

    async def check_supply(self, *, waiting: int = 0, minted: int = 0) -> None:
        """All accounts, the treasury and what waits in pools hold what the genesis gave out and votes have minted, on
        every node."""
        accounts = [self.cluster.account(name) for name in self.cluster.accounts]
        held = sum(await self.balances(accounts))
        given = minted + sum(entry.credits for entry in self.cluster.genesis.accounts)
        for client in self.clients:
            supply = await client.query("credits.supply")
            assert supply["supply"] == given == held + supply["treasury"] + waiting


@asynccontextmanager
async def nodes_of(cluster: TestCluster) -> AsyncIterator[Nodes]:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(url, network_id=cluster.network_id)) for url in cluster.urls
        ]
        yield Nodes(cluster, clients)


async def ask_balances(client: AsyncClient, accounts: Sequence[Account]) -> list[int]:
    answers = await asyncio.gather(*(client.query("credits.balance", account=account.text) for account in accounts))
    return [int(answer["balance"]) for answer in answers]


async def final(client: AsyncClient, identifier: str) -> Outcome:
    """Ask one node until its answer is final; it waits for news itself."""
    for _ in range(10):
        outcome = await transactions.status(client.transport, identifier, 5_000)
        if outcome.state in FINAL:
            return outcome
    raise AssertionError(f"not final: {outcome}")


class Shell:
    """A directory with a network in it, and no settings of the caller's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("GUILDMARK_")}

    def __call__(self, *arguments: str, ends_with: int = 0) -> Any:
        run = COMMANDS.run([*arguments, "--json"], self.directory, self.environment)
        assert run.returncode == ends_with, (arguments, run.stdout, run.stderr)
        assert "Traceback" not in run.stderr
        return json.loads(run.stdout) if run.stdout else json.loads(run.stderr.splitlines()[-1])
