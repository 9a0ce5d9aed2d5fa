"""One simulated node: the production core over virtual ports, with a disk that survives its crashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from consensus.pbft.configuration import Configuration as EngineConfiguration
from ledger.chain import Chain, ExecutedBlock
from ledger.genesis import Genesis
from ledger.state.store import MemoryStore
from node.chain_service import ChainService
from node.core import Admission, CoreConfiguration, NodeCore
from node.executor import InlineExecutor
from node.ports import Answer
from node.verifier import InlineVerifier
from p2p.channels import Channel
from primitives.keys import SigningKey
from simulation.disk import SimulatedDisk
from simulation.network import Network
from simulation.world import Handle, World

SYNC_MS: Final = 1
EXECUTION_MS: Final = 1


class _Ports:
    """Clock, jobs, links and executor of one life of a node; when the node crashes, all of them go dead."""

    def __init__(self, node: SimulatedNode, service: ChainService) -> None:
        self._node = node
        self._world = node.world
        self._inline = InlineExecutor(service)
        self.alive = True

    def _later(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        return self._world.at(delay_ms, lambda: callback() if self.alive else None)

    # Clock
    def now_ms(self) -> int:
        return self._world.now_ms + self._node.clock_skew_ms

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        return self._later(delay_ms, callback)

    # Jobs
    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        def finish() -> None:
            job()
            done(None)

        self._later(SYNC_MS, finish)

    # Executor
    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        self._later(EXECUTION_MS, lambda: self._inline.call(method, arguments, answer))

    # Links
    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        receiver = self._node.names.index(node_id)
        if not self.alive or not self._node.network.connected(self._node.index, receiver):
            return False
        self._node.network.send(self._node.index, receiver, channel, payload)
        return True

    def connected(self) -> Sequence[str]:
        node = self._node
        return [
            name
            for other, name in enumerate(node.names)
            if other != node.index and node.network.connected(node.index, other)
        ]

    def misbehaved(self, node_id: str, reason: str) -> None:
        self._node.complaints.append((node_id, reason))


class SimulatedNode:
    """A validator that can crash and return."""

    def __init__(
        self,
        world: World,
        network: Network,
        genesis: Genesis,
        index: int,
        signing_key: SigningKey,
        engine: EngineConfiguration,
    ) -> None:
        self.world = world
        self.network = network
        self.genesis = genesis
        self.index = index
        self.names = [validator.node_id for validator in genesis.validators]
        self.clock_skew_ms = 0
        self.disk = SimulatedDisk(world.random)
        self.store = MemoryStore()
        self.core: NodeCore | None = None
        self.blocks: dict[int, bytes] = {}
        """Height -> hash of every block that this node ever executed."""
        self.roots: dict[int, bytes] = {}
        self.executed_ids: dict[bytes, int] = {}
        """Transaction id -> height; a second execution is a violation."""
        self.certified: set[bytes] = set()
        self.lives = 0
        self.violations: list[str] = []
        self.complaints: list[tuple[str, str]] = []
        self._key = signing_key
        self._engine = engine
        self._ports: _Ports | None = None

    @property
    def up(self) -> bool:
        return self.core is not None

    def start(self) -> None:
        """Open the ledger and the vote log as they are, and take part."""
        self.lives += 1
        chain = Chain.open(self.store, self.genesis)
        service = ChainService(chain)
        ports = self._ports = _Ports(self, service)
        core = NodeCore(
            CoreConfiguration(engine=self._engine),
            self.genesis,
            self.names[self.index],
            self._key,
            head=service.head(),
            stable=chain.certificate(chain.certified_height),
            clock=ports,
            files=self.disk,
            jobs=ports,
            links=ports,
            executor=ports,
            verifier=InlineVerifier(),
            on_fatal=self._fatal,
        )
        self.core = core
        core.subscribe(self)
        self.network.attach(self.index, self._deliver)
        core.start()

    def crash(self) -> None:
        """End without warning; what was not synced is lost."""
        assert self._ports is not None
        self._ports.alive = False
        self.core = None
        self.network.detach(self.index)
        self.disk.crash()
        self.world.trace.note(f"{self.world.now_ms} crash {self.index}")

    def submit(self, transactions: Sequence[bytes], done: Callable[[list[Admission]], None]) -> None:
        assert self.core is not None
        self.core.submit(transactions, done)

    def _deliver(self, sender: int, channel: Channel, payload: bytes) -> None:
        if self.core is not None:
            self.core.on_payload(self.names[sender], channel, payload)

    def _fatal(self, error: BaseException) -> None:
        self.violations.append(f"node {self.index} failed: {error!r}")

    # --- node.core.Listener

    def on_executed(self, block: ExecutedBlock) -> None:
        height = block.header.height
        if self.blocks and height != max(self.blocks) + 1:
            self.violations.append(f"I2: node {self.index} executed {height} after {max(self.blocks)}")
        self.blocks[height] = block.block_hash
        self.roots[height] = block.header.state_root
        for outcome in block.outcomes:
            if outcome.receipt is not None and outcome.id is not None:
                if outcome.id in self.executed_ids:
                    self.violations.append(f"I2: node {self.index} executed {outcome.id.hex()} twice")
                self.executed_ids[outcome.id] = height
        self.world.trace.note(f"{self.world.now_ms} executed {self.index} {height} {block.block_hash.hex()}")

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        self.certified.update(
            outcome.id
            for block in blocks
            for outcome in block.outcomes
            if outcome.id is not None and outcome.receipt is not None
        )
        self.world.trace.note(f"{self.world.now_ms} certified {self.index} {height}")

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        self.world.trace.note(f"{self.world.now_ms} dropped {self.index} {len(identifiers)}")
