"""The simulated network: whole nodes over charged ports, and a record of what they did."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.simulated.meter import Meter, MeteredKey
from benchmarks.simulated.ports import ChargedPorts, Surroundings
from consensus.evidence import Evidence
from ledger.chain import Chain, ExecutedBlock
from ledger.genesis import Genesis, GenesisAccount, GenesisOrganization, GenesisValidator
from ledger.parameters import Parameters
from node.chain_service import ChainService
from node.core import Admission, CoreConfiguration, NodeCore
from node.evidence_judge import ConsensusJudge
from node.ports import Ports
from p2p.channels import Channel
from primitives.identifiers import key_to_text, node_id
from simulation.disk import SimulatedDisk, SimulatedStore
from simulation.world import START_MS

_KIB: Final = 1_024


class Executed(NamedTuple):
    """A block, as the first node that executed it tells."""

    hash: bytes
    ids: tuple[bytes, ...]
    """Of the transactions that have a receipt."""
    refused: dict[bytes, str]
    """Of those whose receipt is a refusal: its code."""
    batches: int


class Chronicle:
    """What all nodes did."""

    def __init__(self) -> None:
        self.blocks: dict[int, Executed] = {}
        self.disagreement = ""
        self.fatal: list[str] = []
        self.certified_first_us: dict[int, int] = {}
        """Height -> when the first node knew that it is final."""
        self.on_certified: Callable[[int], None] = lambda _: None
        """Hears each height once, in order."""

    def executed(self, index: int, block: ExecutedBlock, batches: int) -> None:
        height = block.header.height
        known = self.blocks.get(height)
        if known is None:
            ids = tuple(outcome.id for outcome in block.outcomes if outcome.receipt is not None and outcome.id)
            refused = {receipt.id: receipt.code for receipt in block.receipts if receipt.code}
            self.blocks[height] = Executed(block.block_hash, ids, refused, batches)
        elif known.hash != block.block_hash and not self.disagreement:
            self.disagreement = f"validator {index} has another block {height}"

    def certified(self, first: int, last: int, now_us: int) -> None:
        for height in range(first, last + 1):
            if height not in self.certified_first_us:
                self.certified_first_us[height] = now_us
                self.on_certified(height)


class Validator:
    """One node. Belongs to the run."""

    def __init__(
        self, around: Surroundings, genesis: Genesis, settings: CoreConfiguration, key: MeteredKey, chronicle: Chronicle
    ) -> None:
        self.index = around.index
        self.tally = around.tally
        self.process = around.process
        self.store = SimulatedStore()
        self.certified_us: dict[int, int] = {}
        """Height -> when this node knew that it is final."""
        self.certified_height = 0
        self.core: NodeCore | None = None
        self._around = around
        self._genesis = genesis
        self._settings = settings
        self._key = key
        self._chronicle = chronicle
        self._disk = SimulatedDisk(around.time.random)
        self._chain: Chain | None = None
        self._ports: ChargedPorts | None = None

    @property
    def up(self) -> bool:
        return self.core is not None

    @property
    def height(self) -> int:
        return 0 if self._chain is None else self._chain.height

    def start(self) -> None:
        """Open the ledger and the vote log as they are, and take part."""
        around = self._around
        chain = self._chain = Chain.open(self.store, self._genesis, judge=ConsensusJudge())
        service = ChainService(chain)
        ports = self._ports = ChargedPorts(around, service)
        core = self.core = NodeCore(
            self._settings,
            self._genesis,
            around.names[around.index],
            self._key,
            opening=service.opening(),
            ports=Ports(
                clock=ports,
                files=self._disk,
                jobs=ports,
                links=ports,
                executor=ports,
                verifier=ports,
                entropy=lambda: around.time.random.randbytes(32),
            ),
            on_fatal=self._fatal,
        )
        core.subscribe(self)
        around.wires.attach(around.index, self._deliver)
        ports.on_loop(core.start, 0.0)

    def kill(self) -> None:
        """End without warning. What was written stays: the machine goes on."""
        if self._ports is not None:
            self._ports.die()
        self.core = None
        self._around.wires.detach(self.index)
        self.process.resume()

    def connect(self, other: int) -> None:
        """A link is up."""
        core, ports = self.core, self._ports
        if core is not None and ports is not None:
            ports.on_loop(lambda: core.on_peer_connected(self._around.names[other]), 0.0)

    def submit(self, transactions: Sequence[bytes], done: Callable[[list[Admission] | None], None]) -> None:
        """A request has arrived; `done` hears the answer, or None when nobody listens."""
        core, ports, costs = self.core, self._ports, self._around.costs
        if core is None or ports is None:
            done(None)
            return
        size = sum(map(len, transactions))
        cpu_us = costs.message_us + costs.submission_us * len(transactions) + costs.kib_us * size / _KIB
        ports.on_loop(lambda: core.submit(transactions, done), cpu_us)

    def _deliver(self, sender: int, channel: Channel, payload: bytes) -> None:
        core, ports, costs = self.core, self._ports, self._around.costs
        if core is not None and ports is not None:
            cpu_us = costs.message_us + costs.kib_us * len(payload) / _KIB
            ports.on_loop(lambda: core.on_payload(self._around.names[sender], channel, payload), cpu_us)

    def _fatal(self, error: BaseException) -> None:
        self._chronicle.fatal.append(f"validator {self.index} failed: {error!r}")

    # --- node.core.Listener

    def on_executed(self, block: ExecutedBlock) -> None:
        assert self._chain is not None
        stored = self._chain.block(block.header.height)
        batches = 0 if stored is None else len(stored.batches)
        self._chronicle.executed(self.index, block, batches)

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:  # noqa: ARG002 - the listener's
        now_us = self._around.time.now_us
        for passed in range(self.certified_height + 1, height + 1):
            self.certified_us[passed] = now_us
        self._chronicle.certified(self.certified_height + 1, height, now_us)
        self.certified_height = max(self.certified_height, height)

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """The checks at the end tell what is missing."""

    def on_evidence(self, evidence: Evidence) -> None:
        self._chronicle.fatal.append(f"validator {self.index} accuses validator {evidence.culprit}")


class Members(NamedTuple):
    """Keys and names, the same in every run."""

    keys: tuple[MeteredKey, ...]
    names: tuple[str, ...]


def make_members(n: int, meter: Meter) -> Members:
    return Members(
        tuple(MeteredKey(_seed("validator", index), meter) for index in range(n)),
        tuple(node_id(MeteredKey(_seed("tls", index), meter).public_key) for index in range(n)),
    )


def make_genesis(
    members: Members,
    parameters: Parameters,
    organizations: Sequence[str],
    account_keys: Sequence[bytes],
    account_salt: bytes,
    credits: int,
) -> Genesis:
    """Return a development genesis; account `i` belongs to organization `i` modulo their number."""
    made = Genesis(
        version=1,
        name="simulated",
        salt=bytes(32).hex(),
        created_at_ms=START_MS,
        development=True,
        parameters=parameters,
        organizations=tuple(GenesisOrganization(name, name) for name in organizations),
        accounts=tuple(
            GenesisAccount(organizations[index % len(organizations)], key_to_text(key), account_salt.hex(), credits)
            for index, key in enumerate(account_keys)
        ),
        validators=tuple(
            GenesisValidator(
                organization=organizations[index % len(organizations)],
                node_id=name,
                signing_key=key_to_text(key.public_key),
                tls_certificate=base64.b64encode(name.encode()).decode(),
                address=f"127.0.0.1:{10_000 + index}",
            )
            for index, (key, name) in enumerate(zip(members.keys, members.names, strict=True))
        ),
    )
    made.validate()
    return made


def _seed(kind: str, index: int) -> bytes:
    return f"{kind} {index}".encode().ljust(32, b".")
