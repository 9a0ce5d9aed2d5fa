"""A liar in a whole node's place: payloads are decoded, given to the behaviors, and encoded again.

Everything but consensus messages passes as it is: what a liar could do in block synchronization, a node's own hostile
service does (`SimulatedNode.make_service`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Final

from consensus.errors import ConsensusError
from consensus.messages import decode_message, encode_message
from node.wire import channel_of
from p2p.channels import Channel
from primitives.quorum import fault_bound
from simulation.adversary import Outgoing
from simulation.byzantine.liar import Conspiracy, Liar, Saying
from simulation.byzantine.mixtures import Draw, draw_any
from simulation.cluster import SimulatedCluster, seeded_key

CONSENSUS_CHANNELS: Final = frozenset({Channel.CONSENSUS, Channel.BATCHES})


class ByzantineMember:
    """simulation.adversary.Adversary and Listening"""

    def __init__(self, liar: Liar) -> None:
        self.liar = liar
        self._waiting: list[Saying] = []
        """What is said because of something heard; it leaves with the next word of the node, or at the next tick."""

    def outgoing(self, receiver: int, channel: Channel, payload: bytes) -> Iterable[Outgoing]:
        if channel not in CONSENSUS_CHANNELS:
            return [(receiver, channel, payload, 0)]
        sayings = [*self._take_waiting(), *self.liar.says(receiver, decode_message(payload))]
        return [encoded(saying) for saying in sayings]

    def incoming(self, sender: int, channel: Channel, payload: bytes) -> None:
        # Conspirators who answer each other would never end, and what one says may bear anybody's name.
        if channel in CONSENSUS_CHANNELS and sender not in self.liar.conspiracy.members:
            try:
                self._waiting += self.liar.hears(decode_message(payload))
            except ConsensusError:
                return  # another liar's noise

    def tick(self) -> Iterable[Outgoing]:
        return [encoded(saying) for saying in [*self._take_waiting(), *self.liar.speaks()]]

    def _take_waiting(self) -> list[Saying]:
        waiting, self._waiting = self._waiting, []
        return waiting


def encoded(saying: Saying) -> Outgoing:
    receiver, said, delay_ms = saying
    if isinstance(said, bytes):
        return receiver, Channel.CONSENSUS, said, delay_ms
    return receiver, channel_of(said), encode_message(said), delay_ms


def corrupt_some(
    cluster: SimulatedCluster, count: int | None = None, draw: Draw = draw_any
) -> Mapping[int, ByzantineMember]:
    """Make `count` members Byzantine, f by default, who conspire; which ones, and what they do, follows the seed.

    Call it before the cluster starts. Returns them by index.
    """
    n = len(cluster.nodes)
    chance = random.Random(cluster.world.random.getrandbits(64))
    members = sorted(chance.sample(range(n), fault_bound(n) if count is None else count))
    conspiracy = Conspiracy(members)
    corrupted = {}
    for index in members:
        key = seeded_key("validator", index, cluster.signatures)
        liar = Liar(index, n, cluster.network_id, key, chance, conspiracy, draw)
        corrupted[index] = ByzantineMember(liar)
        cluster.corrupt(index, corrupted[index])
    return corrupted
