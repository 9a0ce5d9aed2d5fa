"""A whole network in virtual time: genesis, validators, accounts, load."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
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
from simulation.network import Network, NetworkFaults
from simulation.node import SimulatedNode
from simulation.world import START_MS, World

ACCOUNTS: Final = 8
CREDITS: Final = 1_000_000
ENGINE: Final = EngineConfiguration(suspicion_timeout_ms=500, suspicion_timeout_cap_ms=4_000, turn_ms=3_000)


def seeded_key(kind: str, index: int) -> SigningKey:
    """Return a key that is the same in every run."""
    return SigningKey(f"{kind} {index}".encode().ljust(32, b"."))


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
    ) -> None:
        """`adversaries` are the Byzantine members; see `corrupt`, which can add to them before the start."""
        self.world = World(seed)
        self.network = Network(self.world, n, faults)
        self.genesis = make_genesis(n)
        self.network_id = network_id(self.genesis)
        self.nodes = [
            SimulatedNode(self.world, self.network, self.genesis, index, seeded_key("validator", index), engine)
            for index in range(n)
        ]
        self.adversaries: dict[int, Adversary] = {}
        for node in self.nodes:
            node.faulty = self.adversaries
        self.invariants = Invariants(self.nodes, self.adversaries)
        self.world.after_event.append(self.invariants.after_event)
        self.accounts = [organization_account(self.network_id, account) for account in self.genesis.accounts]
        self.taken: set[bytes] = set()
        """Ids that some node took into its pool. A crash may lose them; only what is certified is promised."""
        self.submitted = 0
        for index, adversary in sorted((adversaries or {}).items()):
            self.corrupt(index, adversary)
        self.network.on_send = self._send

    @property
    def honest(self) -> list[SimulatedNode]:
        """The nodes whose members keep the protocol, though they may crash."""
        return [node for node in self.nodes if node.index not in self.adversaries]

    def signing_key(self, index: int) -> SigningKey:
        """Return a validator's key, for the adversary that speaks in its name."""
        return self.nodes[index].signing_key

    def corrupt(self, index: int, adversary: Adversary) -> None:
        """Make a member Byzantine for the whole run. From now on no law is asked of it."""
        self.adversaries[index] = adversary
        if isinstance(adversary, Listening):
            self.nodes[index].on_received = adversary.incoming

    def _send(self, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        """Every message passes the checker first, and the sender's adversary where it has one."""
        adversary = self.adversaries.get(sender)
        if adversary is not None:
            self._speak(sender, adversary.outgoing(receiver, channel, payload))
            return
        self.invariants.on_sent(channel, payload)
        self.network.transmit(sender, receiver, channel, payload)

    def _speak(self, sender: int, outgoing: Iterable[Outgoing]) -> None:
        for receiver, channel, payload, delay_ms in outgoing:
            self.invariants.on_adversary_sent(channel, payload)
            self.network.transmit(sender, receiver, channel, payload, delay_ms)

    def _tick(self) -> None:
        for index in sorted(self.adversaries):
            self._speak(index, self.adversaries[index].tick())
        self.world.at(TICK_MS, self._tick)

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
                    node.core.on_peer_connected(node.names[other.index])

    def restart(self, index: int) -> None:
        self.nodes[index].start()
        self.connect_all()

    def primary(self) -> int:
        """Return the primary of the highest view that a running node is in."""
        statuses = [node.core.engine_status() for node in self.nodes if node.core is not None]
        return max(statuses, key=lambda status: status.view).primary

    def submit_transfer(self, index: int) -> bytes:
        """Submit a transfer between random accounts to a node; return its id."""
        chance = self.world.random
        sender = chance.randrange(ACCOUNTS)
        self.submitted += 1
        data = build(
            network_id=self.network_id,
            sender=self.accounts[sender],
            key=seeded_key("account", sender),
            operations=[Transfer(self.accounts[(sender + 1) % ACCOUNTS], 1 + chance.randrange(100))],
            expires_at_ms=self.world.now_ms + 60_000,
            salt=self.submitted.to_bytes(16, "big"),
        )
        identifier = transaction_id(data)

        def done(admissions: list[Admission]) -> None:
            if not admissions[0].code:
                self.taken.add(identifier)

        self.nodes[index].submit([data], done)
        return identifier

    def heights(self) -> list[int]:
        return [max(node.blocks, default=0) for node in self.nodes]

    def agreed(self, nodes: Sequence[SimulatedNode] | None = None) -> bool:
        """Tell whether all running honest nodes have one certified head."""
        running = [node for node in (nodes or self.honest) if node.core is not None]
        states = {
            (node.core.head.header.height, node.core.certified_height) for node in running if node.core is not None
        }
        return len(states) == 1 and len(set(next(iter(states)))) == 1


def make_genesis(n: int) -> Genesis:
    """Return a development genesis with `n` validators and eight accounts; the same in every run."""
    organizations = tuple(GenesisOrganization(f"member-{index}", f"Member {index}") for index in range(n))
    return Genesis(
        version=1,
        name="simulation",
        salt=bytes(32).hex(),
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(),
        organizations=organizations,
        accounts=tuple(
            GenesisAccount(
                organization=f"member-{index % n}",
                key=key_to_text(seeded_key("account", index).public_key),
                salt=bytes(16).hex(),
                credits=CREDITS,
                name=f"account-{index}",
            )
            for index in range(ACCOUNTS)
        ),
        validators=tuple(_validator(index) for index in range(n)),
    )


def _validator(index: int) -> GenesisValidator:
    name: NodeId = node_id(seeded_key("tls", index).public_key)
    return GenesisValidator(
        organization=f"member-{index}",
        node_id=name,
        signing_key=key_to_text(seeded_key("validator", index).public_key),
        tls_certificate=base64.b64encode(name.encode()).decode(),
        address=f"127.0.0.1:{10_000 + index}",
    )
