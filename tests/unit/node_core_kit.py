"""A node's surroundings for tests: a disk that can fail, jobs and answers that wait until a test lets them go, a clock
that a test moves, links that remember. And one whole node in them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from consensus.evidence import Evidence
from consensus.messages import S, Status, encode_message, sign
from consensus.pbft.configuration import Configuration as EngineConfiguration
from ledger.chain import Chain, ExecutedBlock
from ledger.errors import LedgerError
from ledger.genesis import Genesis, network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.state.store import MemoryStore
from ledger.transaction import build
from node.chain_service import ChainService
from node.core import CoreConfiguration, NodeCore
from node.evidence_judge import ConsensusJudge
from node.intake import Admission
from node.ports import Answer, Ports, RegisteredPeer
from node.verifier import InlineVerifier
from node.wire import SyncMessage, decode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate
from primitives.keys import SigningKey
from simulation.cluster import make_genesis, seeded_key
from simulation.world import START_MS

STATUS_PERIOD_MS = 60_000
QUIET = EngineConfiguration(status_period_ms=STATUS_PERIOD_MS)


class Disk:
    """node.ports.Files in memory. What was synced is `durable`."""

    def __init__(self) -> None:
        self.current: dict[str, bytearray] = {}
        self.durable: dict[str, bytes] = {}
        self.fail_sync: OSError | None = None
        self.fail_append: OSError | None = None
        self.fail_replace: OSError | None = None
        self.syncs = 0

    def read(self, name: str) -> bytes | None:
        return bytes(self.current[name]) if name in self.current else None

    def open_append(self, name: str) -> DiskFile:
        self.current.setdefault(name, bytearray())
        return DiskFile(self, name)

    def replace(self, name: str, data: bytes) -> None:
        if self.fail_replace is not None:
            raise self.fail_replace
        self.current[name] = bytearray(data)
        self.durable[name] = bytes(data)

    def truncate(self, name: str, size: int) -> None:
        del self.current[name][size:]
        self.durable[name] = bytes(self.current[name])


class DiskFile:
    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        self._open = True

    def append(self, data: bytes) -> None:
        self._check(self._disk.fail_append)
        self._disk.current[self._name] += data

    def sync(self) -> None:
        self._disk.syncs += 1
        self._check(self._disk.fail_sync)
        self._disk.durable[self._name] = bytes(self._disk.current[self._name])

    def size(self) -> int:
        self._check(None)
        return len(self._disk.current[self._name])

    def close(self) -> None:
        self._open = False

    def _check(self, failure: OSError | None) -> None:
        if not self._open:
            raise OSError(9, "Bad file descriptor")
        if failure is not None:
            raise failure


class Jobs:
    """node.ports.Jobs: runs at once, or when told to."""

    def __init__(self, *, held: bool = False) -> None:
        self.held = held
        self.waiting: deque[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = deque()

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        self.waiting.append((job, done))
        if not self.held:
            self.go_on()

    def go_on(self) -> None:
        """Run what waits, one after the other."""
        while self.waiting:
            self.one()

    def one(self) -> None:
        job, done = self.waiting.popleft()
        failure: BaseException | None = None
        try:
            job()
        except OSError as error:
            failure = error
        done(failure)


class _Handle:
    def __init__(self) -> None:
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True


class Clock:
    """node.ports.Clock: time stands still until it is moved."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self.set_by_ms = 0
        """How far somebody has set the wall clock; timers do not notice."""
        self._order = 0
        self._heap: list[tuple[int, int, _Handle, Callable[[], None]]] = []

    def now_ms(self) -> int:
        return self._now_ms + self.set_by_ms

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> _Handle:
        handle = _Handle()
        self._order += 1
        heapq.heappush(self._heap, (self._now_ms + delay_ms, self._order, handle, callback))
        return handle

    @property
    def timers(self) -> int:
        return sum(not handle.canceled for _, _, handle, _ in self._heap)

    def advance(self, duration_ms: int) -> None:
        end_ms = self._now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end_ms:
            due_ms, _, handle, callback = heapq.heappop(self._heap)
            self._now_ms = max(self._now_ms, due_ms)
            if not handle.canceled:
                callback()
        self._now_ms = end_ms


class Links:
    """node.ports.Links: remembers what was sent and complained about."""

    def __init__(self, *peers: str) -> None:
        self.peers = list(peers)
        self.sent: list[tuple[str, Channel, bytes]] = []
        self.complaints: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.registered: list[tuple[str, ...]] = []
        """Node ids, each time that somebody said who belongs to the network."""

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        if node_id not in self.peers or node_id in self.refuses:
            return False
        self.sent.append((node_id, channel, payload))
        return True

    def connected(self) -> Sequence[str]:
        return list(self.peers)

    def register(self, peers: Sequence[RegisteredPeer]) -> None:
        self.registered.append(tuple(peer.node_id for peer in peers))

    def misbehaved(self, node_id: str, reason: str) -> None:
        self.complaints.append((node_id, reason))


class Executor:
    """node.ports.ExecutorPort over any service: answers at once, or when told to."""

    def __init__(self, service: Any, *, held: bool = False) -> None:
        self.service = service
        self.held = held
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.waiting: deque[tuple[str, tuple[Any, ...], Answer]] = deque()

    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        self.calls.append((method, arguments))
        self.waiting.append((method, arguments, answer))
        if not self.held:
            self.go_on()

    def go_on(self) -> None:
        while self.waiting:
            self.one()

    def one(self) -> None:
        method, arguments, answer = self.waiting.popleft()
        try:
            result = getattr(self.service, method)(*arguments)
        except LedgerError as error:
            answer(None, error)
        else:
            answer(result, None)


class Node:
    """One node of a network, without the others: its surroundings do what a test says.

    It is replica 0 of `n` unless a genesis is given together with the names and keys of its validators.
    """

    def __init__(
        self,
        n: int = 4,
        *,
        index: int | None = 0,
        genesis: Genesis | None = None,
        names: Sequence[str] = (),
        keys: Sequence[SigningKey] = (),
        disk: Disk | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        """`index` is the node's place in `names` and `keys`; None for a node that has no validator's key."""
        self.genesis: Genesis = genesis or make_genesis(n, "real")
        self.network_id = network_id(self.genesis)
        self.names = list(names) or [validator.node_id for validator in self.genesis.validators]
        self.keys = list(keys) or [seeded_key("validator", number, "real") for number in range(n)]
        self.clock, self.disk, self.jobs = Clock(START_MS), disk or Disk(), Jobs()
        self.name = "follower" if index is None else self.names[index]
        self.links = Links(*(name for name in self.names if name != self.name))
        self.store = store or MemoryStore()
        self.chain = Chain.open(self.store, self.genesis, judge=ConsensusJudge())
        self.executor = Executor(ChainService(self.chain))
        self.fatal: list[BaseException] = []
        self.executed: list[int] = []
        self.certified: list[int] = []
        self.drawn = 0
        self.core = NodeCore(
            CoreConfiguration(engine=QUIET),
            self.genesis,
            self.name,
            None if index is None else self.keys[index],
            opening=self.executor.service.opening(),
            ports=Ports(
                self.clock, self.disk, self.jobs, self.links, self.executor, InlineVerifier(), entropy=self._draw
            ),
            on_fatal=self.fatal.append,
        )
        self.core.subscribe(self)

    def _draw(self) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(32, "big")

    # --- node.core.Listener

    def on_executed(self, block: ExecutedBlock) -> None:
        self.executed.append(block.header.height)

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        self.certified += [height] if blocks else []

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """Nothing is awaited here."""

    def on_evidence(self, evidence: Evidence) -> None:
        """Counted by the core itself."""

    # --- what comes from outside

    def transfer(self, salt: int) -> bytes:
        accounts = [organization_account(self.network_id, account) for account in self.genesis.accounts]
        return build(
            network_id=self.network_id,
            sender=accounts[0],
            key=seeded_key("account", 0, "real"),
            operations=[Transfer(accounts[1], 1)],
            expires_at_ms=self.clock.now_ms() + 60_000,
            salt=salt.to_bytes(16, "big"),
        )

    def submit(self, *transactions: bytes) -> list[Admission]:
        heard: list[Admission] = []
        self.core.submit(transactions, heard.extend)
        return heard

    def signed(self, message: S) -> S:
        """Sign in the name of the replica that a message of the present epoch names."""
        members = self.core.epochs.membership.validators
        public = members[message.replica].signing_key
        key = next(key for key in self.keys if key.public_key == public)
        return sign(self.network_id, key, message)

    def hear_status(
        self,
        *replicas: int,
        seen: int = 0,
        epoch: int | None = None,
        position: int = 0,
        stable: FinalityCertificate | None = None,
    ) -> None:
        """Let the Status of other replicas come in: they saw the log position `seen` of this node at most."""
        known = self.core.epochs.epoch if epoch is None else epoch
        height = 0 if stable is None else stable.height
        for replica in replicas:
            own = self.core.epochs.replica_id or 0
            status = Status(known, replica, 0, 0, height, stable, (), position, seen, own, bytes(64))
            payload = encode_message(self.signed(status))
            self.core.on_payload(self.core.epochs.node_ids[replica], Channel.CONSENSUS, payload)

    def let_it_vote(self) -> None:
        """Start, and let a quorum say that this node's log is up to date."""
        self.core.start()
        self.hear_status(*range(1, len(self.core.epochs.node_ids)))
        assert self.core.engine_status().silent_because == ""

    # --- what left

    def said(self, kind: type[Any]) -> list[tuple[str, Any]]:
        """(receiver, message) of what left on the channel of synchronization."""
        found: list[tuple[str, SyncMessage]] = [
            (name, decode_sync(payload)) for name, channel, payload in self.links.sent if channel is Channel.SYNC
        ]
        return [(name, message) for name, message in found if isinstance(message, kind)]

    def calls(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments with which the ledger was asked for `method`."""
        return [arguments for name, arguments in self.executor.calls if name == method]
