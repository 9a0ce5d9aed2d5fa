"""A whole network in virtual time: genesis, validators, accounts, load."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from consensus.pbft.configuration import Configuration as EngineConfiguration
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    network_id,
    organization_account,
)
from ledger.modules.credits.operations import Transfer
from ledger.parameters import Parameters
from ledger.transaction import build, transaction_id
from node.core import Admission
from p2p.channels import Channel
from primitives.identifiers import NodeId, key_to_text, node_id
from primitives.keys import SigningKey
from simulation.adversary import TICK_MS, Adversary, Listening, Outgoing
from simulation.invariants import Invariants
from simulation.latency import LatencyMatrix, timeouts
from simulation.network import Network, NetworkFaults
from simulation.node import SimulatedNode
from simulation.signatures import SignatureKind, make_key, share_decoding
from simulation.world import START_MS, World

ACCOUNTS: Final = 8
CREDITS: Final = 1_000_000
ENGINE: Final = timeouts("hostile")
PARAMETERS: Final = Parameters()


@lru_cache(maxsize=1_024)
def seeded_key(kind: str, index: int, signatures: SignatureKind = "stub") -> SigningKey:
    """Return a key that is the same in every run."""
    return make_key(signatures, f"{kind} {index}".encode().ljust(32, b"."))


class SimulatedCluster:
    """n validators, each of an organization of its own."""

    def __init__(
        self,
        seed: int,
        n: int = 4,
        faults: NetworkFaults | None = None,
        engine: EngineConfiguration = ENGINE,
        *,
        adversaries: Mapping[int, Adversary] | None = None,
        latencies: LatencyMatrix | None = None,
        signatures: SignatureKind = "stub",
        parameters: Parameters = PARAMETERS,
        joiners: int = 0,
    ) -> None:
        """Build a network that has not started.

        Args:
            adversaries: the Byzantine members; see `corrupt`, which can add to them before the start.
            latencies: of all links, instead of those in `faults`.
            joiners: nodes behind the validators that the genesis does not name; their members' validators may be let
                in by vote.
        """
        share_decoding()
        self.world = World(seed)
        self.network = Network(self.world, n + joiners, faults, latencies)
        self.signatures: SignatureKind = signatures
        self.genesis = make_genesis(n, signatures, parameters)
        self.network_id = network_id(self.genesis)
        names = [validator_name(index, signatures) for index in range(n + joiners)]
        self.nodes = [
            SimulatedNode(
                self.world, self.network, self.genesis, names, index, seeded_key("validator", index, signatures), engine
            )
            for index in range(n + joiners)
        ]
        self.adversaries: dict[int, Adversary] = {}
        self.invariants = Invariants(self.world, self.network_id, self.nodes, self.adversaries)
        self.invariants.accounts = {self.account_key(index).public_key for index in range(ACCOUNTS)}
        self.world.after_event = self.invariants.after_event
        self.accounts = [organization_account(self.network_id, account) for account in self.genesis.accounts]
        self.taken: set[bytes] = set()
        """Ids that some node took into its pool. A crash may lose them; only what is certified is promised."""
        self.submitted = 0
        for node in self.nodes:
            node.faulty = self.adversaries
        for index, adversary in sorted((adversaries or {}).items()):
            self.corrupt(index, adversary)
        self.network.on_send = self._send
        self.network.on_arrival = self.invariants.on_arrival

    # --- who is who

    @property
    def honest(self) -> list[SimulatedNode]:
        """The nodes whose members keep the protocol, though they may crash."""
        return [node for node in self.nodes if node.index not in self.adversaries]

    def signing_key(self, index: int) -> SigningKey:
        """Return a validator's key, for the adversary that speaks in its name."""
        return self.nodes[index].signing_key

    def account_key(self, index: int) -> SigningKey:
        """Return the key of one of the eight accounts."""
        return seeded_key("account", index, self.signatures)

    def corrupt(self, index: int, adversary: Adversary) -> None:
        """Make a member Byzantine for the whole run. From now on no law is asked of it."""
        self.adversaries[index] = adversary
        if isinstance(adversary, Listening):
            self.nodes[index].on_received = adversary.incoming

    # --- messages

    def _send(self, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        """Every message passes the checker first, and the sender's adversary where it has one."""
        adversary = self.adversaries.get(sender)
        if adversary is not None:
            self._speak(sender, adversary.outgoing(receiver, channel, payload))
            return
        self.invariants.on_sent(sender, channel, payload)
        self.network.transmit(sender, receiver, channel, payload)

    def _speak(self, sender: int, outgoing: Iterable[Outgoing]) -> None:
        for receiver, channel, payload, delay_ms in outgoing:
            self.invariants.on_adversary_sent(sender, channel, payload)
            self.network.transmit(sender, receiver, channel, payload, delay_ms)

    def _tick(self) -> None:
        for index in sorted(self.adversaries):
            self._speak(index, self.adversaries[index].tick())
        self.world.at(TICK_MS, self._tick)

    # --- life

    def start(self) -> None:
        if self.adversaries:
            self.world.at(TICK_MS, self._tick)
        for node in self.nodes:
            node.start()
        self.connect_all()

    def connect_all(self) -> None:
        """Tell each pair that its link is up."""
        for node in self.nodes:
            for other in self.nodes:
                if node is not other and node.core is not None and other.up:
                    self.world.touched.add(node.index)
                    node.core.on_peer_connected(node.names[other.index])

    def restart(self, index: int) -> None:
        """Start a node that is down, and let everyone connect to it.

        Raises:
            NodeFailure: it refuses to start on what its disk holds.
        """
        returned = self.nodes[index]
        returned.start()
        for node in self.nodes:
            if node is not returned and node.core is not None and returned.core is not None:
                self.world.touched.add(node.index)
                node.core.on_peer_connected(node.names[index])
                returned.core.on_peer_connected(node.names[node.index])

    def primary(self) -> int:
        """Return the primary of the highest view that a running node is in."""
        statuses = [node.core.engine_status() for node in self.nodes if node.core is not None]
        return max(statuses, key=lambda status: status.view).primary if statuses else 0

    # --- load

    def submit_transfer(self, index: int) -> bytes:
        """Submit a transfer between random accounts to a node; return its id."""
        chance = self.world.random
        sender = chance.randrange(ACCOUNTS)
        self.submitted += 1
        data = build(
            network_id=self.network_id,
            sender=self.accounts[sender],
            key=self.account_key(sender),
            operations=[Transfer(self.accounts[(sender + 1) % ACCOUNTS], 1 + chance.randrange(100))],
            expires_at_ms=self.world.now_ms + 60_000,
            salt=self.submitted.to_bytes(16, "big"),
        )
        return self.submit(index, data)

    def submit(self, index: int, data: bytes) -> bytes:
        """Submit a transaction to a node; return its id."""
        identifier = transaction_id(data)
        self.invariants.submitted.add(identifier)

        def done(admissions: list[Admission]) -> None:
            if not admissions[0].code:
                self.taken.add(identifier)

        self.nodes[index].submit([data], done)
        return identifier

    # --- what came of it

    def heights(self) -> list[int]:
        return [node.height for node in self.nodes]

    def agreed(self, nodes: Sequence[SimulatedNode] | None = None) -> bool:
        """Tell whether all running honest nodes have one certified head."""
        running = [node for node in (nodes or self.honest) if node.core is not None]
        states = {
            (node.core.head.header.height, node.core.certified_height) for node in running if node.core is not None
        }
        return len(states) == 1 and len(set(next(iter(states)))) == 1


@lru_cache(maxsize=64)
def make_genesis(n: int, signatures: SignatureKind = "stub", parameters: Parameters = PARAMETERS) -> Genesis:
    """Return a development genesis with `n` validators and eight accounts; the same in every run."""
    organizations = tuple(GenesisOrganization(f"member-{index}", f"Member {index}") for index in range(n))
    return Genesis(
        version=1,
        name="simulation",
        salt=bytes(32).hex(),
        created_at_ms=START_MS,
        development=True,
        parameters=parameters,
        organizations=organizations,
        accounts=tuple(
            GenesisAccount(
                organization=f"member-{index % n}",
                key=key_to_text(seeded_key("account", index, signatures).public_key),
                salt=bytes(16).hex(),
                credits=CREDITS,
                name=f"account-{index}",
            )
            for index in range(ACCOUNTS)
        ),
        validators=tuple(_validator(index, signatures) for index in range(n)),
    )


def validator_name(index: int, signatures: SignatureKind) -> NodeId:
    """Return the node id of the validator `index`."""
    return node_id(seeded_key("tls", index, signatures).public_key)


def _validator(index: int, signatures: SignatureKind) -> GenesisValidator:
    name = validator_name(index, signatures)
    return GenesisValidator(
        organization=f"member-{index}",
        node_id=name,
        signing_key=key_to_text(seeded_key("validator", index, signatures).public_key),
        tls_certificate=base64.b64encode(name.encode()).decode(),
        address=f"127.0.0.1:{10_000 + index}",
    )
