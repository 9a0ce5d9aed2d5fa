"""One simulated node: the production core over virtual ports, with a disk that survives its crashes."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from consensus.evidence import Evidence
from consensus.pbft.configuration import Configuration as EngineConfiguration
from ledger.block import Header, block_hash
from ledger.chain import Chain, ExecutedBlock
from ledger.genesis import Genesis
from ledger.transaction import transaction_id
from node.chain_service import ChainService
from node.core import Admission, CoreConfiguration, NodeCore
from node.evidence_judge import ConsensusJudge
from node.journal import JournalFailed
from node.ports import Ports
from node.verifier import InlineVerifier
from p2p.channels import Channel
from primitives.keys import SigningKey
from simulation.disk import SimulatedDisk, SimulatedStore
from simulation.network import Network
from simulation.ports import CrashPoint, SimulatedPorts, SimulatedWorkers, Surroundings
from simulation.world import World


class DiskCopy(NamedTuple):
    """A node's data directory at some moment."""

    files: Mapping[str, bytes]
    store: SimulatedStore


class SimulatedNode:
    """A validator that can crash and return."""

    def __init__(
        self,
        world: World,
        network: Network,
        genesis: Genesis,
        names: Sequence[str],
        index: int,
        signing_key: SigningKey,
        engine: EngineConfiguration,
    ) -> None:
        self.world = world
        self.network = network
        self.genesis = genesis
        self.index = index
        self.signing_key = signing_key
        self.names = names
        """Node ids of all that take part, in order of index; those that the genesis names come first."""
        self.clock_skew_ms = 0
        """How far this node's clock is ahead; may change at any time."""
        self.make_service: Callable[[Chain], ChainService] = ChainService
        """Makes what answers for the ledger; a hostile one lies to others."""
        self.crash_at: CrashPoint | None = None
        """Where the next crash is to happen by itself; see `on_crash`."""
        self.on_crash: Callable[[int], None] = lambda _: None
        """Hears this node's index when it has crashed at `crash_at`."""
        self.on_received: Callable[[int, Channel, bytes], None] = lambda *_: None
        """Sees what arrives: a Byzantine member's adversary."""
        self.faulty: Container[int] = ()
        """The Byzantine members: only they may be accused."""
        self.work_done: dict[str, int] = {}
        self.disk = SimulatedDisk(world.random)
        self.store = SimulatedStore()
        self.core: NodeCore | None = None
        self.chain: Chain | None = None
        """The ledger of this life."""
        self.lives = 0
        self.begin_record()
        self._engine = engine
        self._indices = {name: position for position, name in enumerate(self.names)}
        self._ports: SimulatedPorts | None = None

    def begin_record(self) -> None:
        """What this node did over all its lives, for the checks."""
        self.height = 0
        """The highest block that it ever executed."""
        self.blocks: dict[int, bytes] = {}
        """Height -> hash of every block that this node ever executed."""
        self.headers: list[tuple[Header, bytes]] = []
        """Headers with hashes of blocks that the checker has not looked at yet."""
        self.executed_ids: dict[bytes, int] = {}
        """Transaction id -> height; a second execution is a violation."""
        self.certified: set[bytes] = set()
        self.certified_height = 0
        self.violations: list[str] = []
        self.failures: list[BaseException] = []
        """Why this node ended by itself where it had to: its disk refused."""
        self.complaints: list[tuple[str, str]] = []
        self.evidence: list[Evidence] = []

    @property
    def up(self) -> bool:
        return self.core is not None

    def start(self) -> None:
        """Open the ledger and the vote log as they are, and take part.

        Raises:
            NodeFailure: the node would refuse to start.
        """
        self.lives += 1
        self.world.touched.add(self.index)
        chain = self.chain = Chain.open(self.store, self.genesis, judge=ConsensusJudge())
        self._note_unheard(chain)
        service = self.make_service(chain)
        around = Surroundings(
            self.world, self.network, self.disk, self.names, self._indices, self.index, self.complaints, self.work_done
        )
        ports = self._ports = SimulatedPorts(
            around, service, lambda: self.clock_skew_ms, self.crash_at, self._crash_by_itself
        )
        core = NodeCore(
            CoreConfiguration(engine=self._engine),
            self.genesis,
            self.names[self.index],
            self.signing_key,
            opening=service.opening(),
            ports=Ports(
                clock=ports,
                files=self.disk,
                jobs=ports,
                links=ports,
                executor=ports,
                verifier=InlineVerifier(),
                workers=SimulatedWorkers(ports),
                entropy=lambda: self.world.random.randbytes(32),
            ),
            on_fatal=self._fatal,
        )
        self.core = core
        core.subscribe(self)
        self.network.attach(self.index, self._deliver)
        core.start()

    def _note_unheard(self, chain: Chain) -> None:
        """Blocks that the ledger took in the moment of the last crash: nobody heard of them then."""
        for height in range(self.height + 1, chain.height + 1):
            block = chain.block(height)
            assert block is not None
            ids = [
                transaction_id(data)
                for batch in block.batches
                for data, mark in zip(batch.transactions, batch.marks, strict=True)
                if not mark
            ]
            self._note_block(block.header, block_hash(block.header), ids)

    def _crash_by_itself(self, power_loss: bool) -> None:
        self.crash_at = None
        self.crash(power_loss)
        self.on_crash(self.index)

    def disarm(self) -> None:
        """Crash by itself no more."""
        self.crash_at = None
        if self._ports is not None:
            self._ports.crash_at = None

    def crash(self, power_loss: bool = True) -> None:
        """End without warning. Without power, what was not synced is lost or torn."""
        assert self._ports is not None
        self._ports.die(power_loss)
        if power_loss:
            self.store.lose_power()
        self.core = None
        self.network.detach(self.index)
        self.world.touched.add(self.index)
        self.world.trace.note(f"{self.world.now_ms} crash {self.index}")

    def lose_everything(self) -> None:
        """While it is down: its disk is replaced by an empty one. The keys are kept elsewhere."""
        assert self.core is None
        self.disk.wipe()
        self.store = SimulatedStore()
        self.begin_record()

    def lose_ledger(self) -> None:
        """While it is down: the ledger is gone, the vote log is not."""
        assert self.core is None
        self.store = SimulatedStore()
        self.begin_record()

    def keep_copy(self) -> DiskCopy:
        """Return what a backup holds that is taken now."""
        return DiskCopy(self.disk.copy(), self.store.copy())

    def restore_copy(self, copy: DiskCopy) -> None:
        """While it is down: put an old backup in the place of everything."""
        assert self.core is None
        self.disk.put_back(copy.files)
        self.store = copy.store.copy()
        self.begin_record()

    def submit(self, transactions: Sequence[bytes], done: Callable[[list[Admission]], None]) -> None:
        assert self.core is not None
        self.world.touched.add(self.index)
        self.core.submit(transactions, done)

    def _deliver(self, sender: int, channel: Channel, payload: bytes) -> None:
        if self.core is not None:
            self.world.touched.add(self.index)
            self.on_received(sender, channel, payload)
            self.core.on_payload(self.names[sender], channel, payload)

    def _fatal(self, error: BaseException) -> None:
        if isinstance(error, JournalFailed) or self.index in self.faulty:
            self.failures.append(error)
            self.crash(power_loss=False)
        else:
            self.violations.append(f"node {self.index} failed: {error!r}")

    # --- node.core.Listener

    def on_executed(self, block: ExecutedBlock) -> None:
        ids = [outcome.id for outcome in block.outcomes if outcome.receipt is not None and outcome.id is not None]
        self._note_block(block.header, block.block_hash, ids)

    def _note_block(self, header: Header, hashed: bytes, ids: Sequence[bytes]) -> None:
        height = header.height
        if height != self.height + 1:
            self.violations.append(f"I2: node {self.index} executed {height} after {self.height}")
        if height > 1 and header.parent_hash != self.blocks.get(height - 1):
            self.violations.append(f"I2: node {self.index} executed {height} on another parent than its own")
        self.height = max(self.height, height)
        self.blocks[height] = hashed
        self.headers.append((header, hashed))
        for identifier in ids:
            if identifier in self.executed_ids:
                self.violations.append(f"I2: node {self.index} executed {identifier.hex()} twice")
            self.executed_ids[identifier] = height
        self.world.trace.note(f"{self.world.now_ms} executed {self.index} {height} {hashed.hex()}")

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        self.certified.update(
            outcome.id
            for block in blocks
            for outcome in block.outcomes
            if outcome.id is not None and outcome.receipt is not None
        )
        self.certified_height = max(self.certified_height, height)
        self.world.trace.note(f"{self.world.now_ms} certified {self.index} {height}")

    def on_evidence(self, evidence: Evidence) -> None:
        if evidence.culprit not in self.faulty:
            self.violations.append(f"I15: node {self.index} accuses correct replica {evidence.culprit}")
        self.evidence.append(evidence)

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        self.world.trace.note(f"{self.world.now_ms} dropped {self.index} {len(identifiers)}")
