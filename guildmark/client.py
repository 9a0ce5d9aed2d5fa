"""The asynchronous client: one account (or none, for reading) on one network, through any of its nodes.

    async with AsyncClient(["http://127.0.0.1:8080", "http://127.0.0.1:8081"], account) as client:
        await client.credits.transfer(other, 5_000)

What belongs together is grouped: `accounts`, `accreditations`, `artifacts`, `assets`, `attestations`, `certificates`,
`charters`, `contributions`, `credits`, `disputes`, `governance`, `licenses`, `market`, `observers`, `organizations`,
`reputation`, `transfers`. Every method that changes something waits until a certified block says what became of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import msgspec

from guildmark import transactions
from guildmark.accounts import AsyncAccounts, AsyncCredits
from guildmark.accreditations import AsyncAccreditations
from guildmark.artifact_transfer import AsyncArtifacts
from guildmark.assets import AsyncAssets
from guildmark.attestations import AsyncAttestations
from guildmark.certificates import AsyncCertificates
from guildmark.charters import AsyncCharters
from guildmark.contributions import AsyncContributions
from guildmark.decisions import AsyncDecisions
from guildmark.disputes import AsyncDisputes
from guildmark.errors import Denied, NotFound, Refused, Unreachable, VerificationFailed
from guildmark.governance import AsyncGovernance
from guildmark.identity import Account
from guildmark.licenses import AsyncLicenses
from guildmark.market import AsyncMarket
from guildmark.observers import AsyncObservers
from guildmark.organizations import AsyncOrganizations
from guildmark.reputation import AsyncReputation
from guildmark.transactions import NetworkClock, Outcome, PreparedTransaction
from guildmark.transfers import AsyncTransfers
from guildmark.transport import AT_LEAST_WAIT_S, RETRY_TIMEOUT_S, Transport, path, pause
from ledger import genesis as genesis_files
from ledger.errors import InvalidGenesis
from ledger.operations import Operation
from ledger.parameters import Parameters

OnSlow = Callable[[str], None]
"""Gets the id of a transaction that was sent and has waited for `SLOW_AFTER_S`; on the client's loop."""
SLOW_AFTER_S: Final = 3.0
CLOCK_AGE_S_MAX: Final = 60.0
PARAMETERS_AGE_S_MAX: Final = 60.0
"""How long the chain's parameters are believed to be what they were; a vote changes them seldom, and says so days
before."""
"""How old the known clock offset may be; on development networks, where time can be moved, it is always asked for."""
MOVED_CLOCK_CODES: Final = frozenset({"transaction.expired", "transaction.expiry_too_far"})


class _Network:
    """What clients of one network share: connections, its genesis, its clock."""

    def __init__(self, transport: Transport, network_id: bytes | None) -> None:
        self.transport = transport
        self.clock = NetworkClock()
        self.network_id = network_id
        self.genesis: genesis_files.Genesis | None = None
        self.clock_read_at: float | None = None
        self.parameters: Parameters | None = None
        self.parameters_read_at = 0.0
        self.on_slow: OnSlow | None = None
        self._under_way: set[str] = set()

    def under_way(self) -> tuple[str, ...]:
        """The ids of the transactions that are being delivered and not known to be settled; from any thread."""
        return tuple(self._under_way)

    @contextmanager
    def delivering(self, identifier: str) -> Iterator[None]:
        """Count a transaction among those that are under way: one for each call that waits."""
        self._under_way.add(identifier)
        try:
            yield
        finally:
            self._under_way.discard(identifier)

    @contextmanager
    def tell_when_slow(self, identifier: str) -> Iterator[None]:
        """Tell who wants to know when this takes long."""
        if self.on_slow is None:
            yield
            return
        timer = asyncio.get_running_loop().call_later(SLOW_AFTER_S, self.on_slow, identifier)
        try:
            yield
        finally:
            timer.cancel()


class AsyncClient:
    """Belongs to the event loop that first uses it.

    `on_slow` hears of transactions that were sent and are not settled soon: for people who wait.
    `network_id` (32 bytes) makes the client refuse nodes of any other network; without it the first answer is believed.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        account: Account | None = None,
        *,
        network_id: bytes | None = None,
        retry_timeout_s: float = RETRY_TIMEOUT_S,
        on_slow: OnSlow | None = None,
    ) -> None:
        network = _Network(Transport(urls, retry_timeout_s=retry_timeout_s), network_id)
        network.on_slow = on_slow
        self._bind(network, account)

    def _bind(self, network: _Network, account: Account | None) -> None:
        self._network = network
        self.transport = network.transport
        self.under_way = network.under_way
        self.account = account
        self.accounts = AsyncAccounts(self)
        self.accreditations = AsyncAccreditations(self)
        self.artifacts = AsyncArtifacts(self)
        self.assets = AsyncAssets(self)
        self.attestations = AsyncAttestations(self)
        self.certificates = AsyncCertificates(self)
        self.charters = AsyncCharters(self)
        self.contributions = AsyncContributions(self)
        self.credits = AsyncCredits(self)
        self.disputes = AsyncDisputes(self)
        self.decisions = AsyncDecisions(self)
        self.governance = AsyncGovernance(self)
        self.licenses = AsyncLicenses(self)
        self.market = AsyncMarket(self)
        self.observers = AsyncObservers(self)
        self.reputation = AsyncReputation(self)
        self.transfers = AsyncTransfers(self)
        self.organizations = AsyncOrganizations(self)

    def acting_as(self, account: Account | None) -> AsyncClient:
        """Return a client for another account over the same connections."""
        other = object.__new__(AsyncClient)
        other._bind(self._network, account)
        return other

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, those of `acting_as` included."""
        await self.transport.close()

    # What a node says

    async def status(self) -> dict[str, Any]:
        """The answering node's status: height, certified height, hashes, clock, view, peers, readiness."""
        answer: dict[str, Any] = await self.transport.get_json(path("status"))
        try:
            network, offset_ms = str(answer["network_id"]), int(answer["clock_offset_ms"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unreachable(f"a node's status is incomplete: {error!r}", "node.bad_answer") from error
        if self._network.network_id is not None and network != self._network.network_id.hex():
            raise VerificationFailed("network.other", f"the node belongs to network {network}")
        self._network.clock.learn(offset_ms)
        self._network.clock_read_at = time.monotonic()
        return answer

    async def consensus(self) -> dict[str, Any]:
        """The answering node's consensus engine: view, primary, watermarks, and why it waits."""
        answer: dict[str, Any] = await self.transport.get_json(path("consensus"))
        return answer

    async def genesis(self) -> genesis_files.Genesis:
        """The network's genesis, checked against the network id where one was given.

        Raises:
            VerificationFailed: `genesis.*` or `network.other`.
        """
        if self._network.genesis is None:
            data = (await self.transport.request("GET", path("genesis"))).body
            try:
                genesis = genesis_files.parse(data)
            except InvalidGenesis as error:
                raise VerificationFailed(error.code, error.message) from error
            found = genesis_files.network_id(genesis)
            if self._network.network_id not in (None, found):
                raise VerificationFailed("network.other", f"the node's genesis names network {found.hex()}")
            self._network.network_id, self._network.genesis = found, genesis
        return self._network.genesis

    async def parameters(self) -> Parameters:
        """The chain's parameters as a node stated them within the last minute. The genesis has those it began with."""
        network = self._network
        if network.parameters is None or time.monotonic() - network.parameters_read_at > PARAMETERS_AGE_S_MAX:
            await self.genesis()
            stated: dict[str, Any] = await self.query("parameters.get")
            known = {name: value for name, value in stated.items() if name in Parameters.__struct_fields__}
            try:
                network.parameters = msgspec.convert(known, Parameters)
            except msgspec.ValidationError as error:
                raise Unreachable(f"a node states impossible parameters: {error}", "node.bad_answer") from error
            network.parameters_read_at = time.monotonic()
        return network.parameters

    async def network_id(self) -> bytes:
        """32 bytes."""
        await self.genesis()
        assert self._network.network_id is not None
        return self._network.network_id

    async def block(self, height: int | None = None, wait_ms: int = 0) -> dict[str, Any]:
        """A block's header, certificate summary and transaction ids; the latest when no height is given."""
        where = path("blocks", "latest" if height is None else height)
        answer: dict[str, Any] = await self.transport.get_json(where, {"wait_ms": wait_ms or None}, wait_ms / 1000)
        return answer

    async def query(self, name: str, /, *, at_least: int | None = None, **arguments: Any) -> Any:
        """Ask the ledger a named query and return its `result`; `at_least` waits for that height.

        Bytes are sent as hex; see `docs/` for the names.

        Raises:
            NotFound: its subject does not exist. Refused: unknown name or a wrong argument.
        """
        return (await self.query_at(name, at_least=at_least, **arguments))["result"]

    async def query_at(self, name: str, /, *, at_least: int | None = None, **arguments: Any) -> dict[str, Any]:
        """As `query`, with `height` and `block_time_ms` of the answer."""
        wait_s = AT_LEAST_WAIT_S if at_least else 0.0
        answer: dict[str, Any] = await self.transport.get_json(
            path("query", name), {**arguments, "at_least": at_least}, wait_s
        )
        return answer

    # Transactions

    async def prepare(self, *operations: Operation, memo: str = "") -> PreparedTransaction:
        """Sign a transaction of the client's account; its id is known from here on.

        It expires after half the network's transaction lifetime.
        """
        parameters = await self.parameters()
        now_ms = await self.network_time_ms()
        return transactions.prepare(
            self.signer(),
            await self.network_id(),
            operations,
            now_ms + parameters.lifetime_ms // 2,
            memo=memo,
        )

    async def submit(self, transaction: PreparedTransaction | bytes, *, everywhere: bool = False) -> str:
        """Send signed bytes to any node; returns the id. Sending them again, anywhere, is harmless.

        `everywhere` sends them to all nodes at once: for what one node must not be able to keep from the others.
        """
        data = transaction.data if isinstance(transaction, PreparedTransaction) else transaction
        return await transactions.submit(self.transport, data, everywhere=everywhere)

    async def wait(self, transaction: PreparedTransaction | str, timeout_s: float | None = None) -> Outcome:
        """Wait until a certified block says `committed` or `rejected`; raises OutcomeUnknown when none does in time."""
        return await transactions.wait(self.transport, self._network.clock, transaction, timeout_s)

    async def transaction(self, identifier: str) -> Outcome:
        """What a node knows of a transaction now. Raises NotFound when it knows nothing."""
        outcome = await transactions.status(self.transport, identifier)
        if outcome.state == "unknown":
            raise NotFound("transaction.unknown", f"the node does not know transaction {identifier}")
        return outcome

    async def submit_and_wait(self, *operations: Operation, memo: str = "", timeout_s: float | None = None) -> Outcome:
        """Sign, send and wait; the outcome is `committed`.

        Raises:
            Refused: the network refuses it, at admission or by a receipt.
            OutcomeUnknown: it was sent and nobody knows yet. Unreachable: it was not sent.
        """
        return await self.deliver(await self.prepare(*operations, memo=memo), timeout_s)

    async def deliver(
        self, transaction: PreparedTransaction, timeout_s: float | None = None, *, everywhere: bool = False
    ) -> Outcome:
        """Send a prepared transaction, as `submit` does, and wait; the outcome is `committed`.

        Raises as `submit_and_wait`.
        """
        with self._network.delivering(transaction.id):
            try:
                await self.submit(transaction, everywhere=everywhere)
            except Unreachable as error:
                if not error.maybe_received:
                    raise
            except Refused as error:
                error.transaction_id = transaction.id
                if error.code in MOVED_CLOCK_CODES:
                    self._network.clock_read_at = None
                raise
            with self._network.tell_when_slow(transaction.id):
                outcome = await self.wait(transaction, timeout_s)
            return outcome.raise_for_rejection()

    def signer(self) -> Account:
        """The client's account. Raises Denied when it has none."""
        if self.account is None:
            raise Denied("client.no_account", "this needs an account: give the client one")
        return self.account

    # Time

    async def network_time_ms(self) -> int:
        """The network's time: the own clock and the offset that a node states."""
        genesis = await self.genesis()
        read_at = self._network.clock_read_at
        if genesis.development or read_at is None or time.monotonic() - read_at > CLOCK_AGE_S_MAX:
            await self.status()
        return self._network.clock.now_ms()

    async def advance_clock(self, ms: int) -> int:
        """Move block time ahead by `ms` (development networks only). Returns a height whose block is later by it."""
        from ledger.modules.development.operations import AdvanceClock

        outcome = await self.submit_and_wait(AdvanceClock(ms))
        self._network.parameters = None  # a change of them may have been waiting for this
        assert outcome.height is not None
        return outcome.height

    async def wait_until(self, time_ms: int) -> None:
        """Wait until the network's time, by its own statement of the clock, is at least `time_ms`."""
        while (left_ms := time_ms - await self.network_time_ms()) > 0:
            await pause(min(left_ms / 1000 + 0.02, 5.0))

    async def wait_for_height(self, height: int, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait until a node answers with the block at `height`. Raises Unreachable `node.behind` after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_ms = int((deadline - time.monotonic()) * 1000)
            try:
                return await self.block(height, wait_ms=max(1, min(left_ms, 10_000)))
            except NotFound as error:
                if left_ms <= 0:
                    raise Unreachable(f"no node has block {height} after {timeout_s:.1f} s", "node.behind") from error
                await pause(0.1)
