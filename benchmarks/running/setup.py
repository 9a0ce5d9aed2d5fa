"""What must be in the state before the load: funded accounts, and what the workload needs.

Accounts are opened by transactions like any other, a hundred operations each: a genesis holds ten thousand at most, and
a network that already runs can be prepared in the same way.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from benchmarks.errors import BenchError
from benchmarks.workloads.accounts import Accounts, Identity
from ledger.modules.credits.operations import Transfer
from ledger.modules.organizations.operations import OpenAccount
from ledger.operations import Operation
from ledger.transaction import OPERATIONS_MAX, build, transaction_id

CREDITS_EACH: Final = 1_000_000
"""Minor units that every account begins with."""
ACCOUNTS_EACH: Final = OPERATIONS_MAX // 2
"""Accounts in one transaction, each opened and paid."""
BULK: Final = 50
UNDER_WAY_MAX: Final = 200
"""Transactions sent and not seen in a block; the pool and the lifetime have room for more."""
TIMEOUT_S: Final = 120.0
"""Without any progress."""


class _Batch(msgspec.Struct):
    refused: dict[str, list[int]]


class _State(msgspec.Struct):
    state: str
    code: str = ""
    message: str = ""


class Sender:
    """Sends transactions to one node, and waits for them."""

    def __init__(self, url: str, network_id: bytes, lifetime_ms: int) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._network_id = network_id
        self._lifetime_ms = lifetime_ms

    def close(self) -> None:
        self._connection.close()

    def make(self, sender: Identity, operations: Sequence[Operation]) -> bytes:
        return build(
            network_id=self._network_id,
            sender=sender.account,
            key=sender.key,
            operations=operations,
            expires_at_ms=time.time_ns() // 1_000_000 + self._lifetime_ms * 3 // 4,
        )

    def submit(self, transactions: Sequence[bytes]) -> None:
        """Have transactions taken.

        Raises:
            BenchError: `setup.refused`.
        """
        answer = self._ask("POST", "/v1/transactions:batch", msgspec.msgpack.encode(list(transactions)))
        refused = ", ".join(msgspec.json.decode(answer, type=_Batch).refused)
        if refused:
            raise BenchError("setup.refused", f"the network refuses to be set up: {refused}")

    def wait(self, transaction: bytes) -> None:
        """Wait until a transaction is final.

        Raises:
            BenchError: `setup.refused`, `setup.timeout`.
        """
        identifier = transaction_id(transaction).hex()
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            answer = self._ask("GET", f"/v1/transactions/{identifier}?wait_ms=5000")
            state = msgspec.json.decode(answer, type=_State)
            if state.state == "committed":
                return
            if state.state in ("rejected", "expired"):
                raise BenchError("setup.refused", f"setting up: {state.state}, {state.code} {state.message}")
        raise BenchError("setup.timeout", f"a transaction of the setting up was not final after {TIMEOUT_S:.0f} s")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            self._connection.request(method, path, body)
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError("setup.unreachable", f"{method} {path}: {error}") from error
        if response.status != 200:
            raise BenchError("setup.refused", f"{method} {path}: {response.status} {data[:300]!r}")
        return data


def open_accounts(
    sender: Sender, sponsors: Sequence[Identity], accounts: Accounts, progress: Callable[[str], None]
) -> None:
    """Open and pay all accounts. Raises BenchError `setup.*`."""
    under_way: list[bytes] = []
    sent = 0
    for part in _bulks(sender, sponsors, accounts):
        sender.submit(part)
        under_way += part
        sent += len(part) * ACCOUNTS_EACH
        if len(under_way) >= UNDER_WAY_MAX:
            sender.wait(under_way[len(under_way) // 2])
            del under_way[: len(under_way) // 2]
            progress(f"opened {min(sent, len(accounts)):,} of {len(accounts):,} accounts")
    for transaction in under_way:
        sender.wait(transaction)


def _bulks(sender: Sender, sponsors: Sequence[Identity], accounts: Accounts) -> Iterator[list[bytes]]:
    bulk: list[bytes] = []
    for transaction in _openings(sender, sponsors, accounts):
        bulk.append(transaction)
        if len(bulk) == BULK:
            yield bulk
            bulk = []
    if bulk:
        yield bulk


def _openings(sender: Sender, sponsors: Sequence[Identity], accounts: Accounts) -> Iterator[bytes]:
    by_organization: dict[str, list[Operation]] = {sponsor.organization: [] for sponsor in sponsors}
    sponsor_of = {sponsor.organization: sponsor for sponsor in sponsors}
    for index in range(len(accounts)):
        opened = accounts[index]
        operations = by_organization[opened.organization]
        operations.append(OpenAccount(opened.key.public_key, accounts.salt, ""))
        operations.append(Transfer(opened.account, CREDITS_EACH))
        if len(operations) >= 2 * ACCOUNTS_EACH:
            yield sender.make(sponsor_of[opened.organization], tuple(operations))
            operations.clear()
    for organization, operations in by_organization.items():
        if operations:
            yield sender.make(sponsor_of[organization], tuple(operations))
