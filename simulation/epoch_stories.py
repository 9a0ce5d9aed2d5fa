"""Runs in which the validator set changes while links fail and nodes crash: additions, removals, losses of disks.

Everything follows from the seed. The laws are checked after every event; then there is peace, in which all members must
come to one certified head, in one epoch, with everyone who may vote voting.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from ledger.parameters import Parameters
from simulation.cluster import SimulatedCluster
from simulation.governance import Consortium
from simulation.network import NetworkFaults
from simulation.node import DiskCopy
from simulation.promises import InvariantViolated

WINDOW: Final = 16
PEACE_LIMIT_MS: Final = 120_000

Loss: TypeAlias = Literal["directory", "stale copy", "vote log", "ledger"]
"""What a validator's disk has lost when it returns."""


class EpochResult(msgspec.Struct, frozen=True):
    """What a run came to."""

    seed: int
    epoch: int
    height: int
    crashes: int
    losses: tuple[Loss, ...]
    changes: int
    """Additions and removals that took effect."""
    trace: str


class EpochRun:
    """One run, under way."""

    def __init__(self, seed: int, n: int = 4, *, joiners: int = 1, losses: tuple[Loss, ...] = ()) -> None:
        """`losses` befall validators one after the other, each when the one before has rejoined."""
        self.seed = seed
        self.cluster = SimulatedCluster(
            seed,
            n,
            NetworkFaults(loss=0.02, duplication=0.05, latency_ms_max=15),
            parameters=Parameters(window=WINDOW, rejoin_interval_ms=0),
            joiners=joiners,
        )
        self.consortium = Consortium(self.cluster)
        self.crashes = 0
        self._n = n
        self._joiners = joiners
        self._losses = losses
        self._copies: dict[int, DiskCopy] = {}

    def play(self) -> EpochResult:
        """Run it. Raises InvariantViolated."""
        self.cluster.start()
        self._work(6)
        for joiner in range(self._n, self._n + self._joiners):
            proposal = self.consortium.propose_to_add(joiner)
            self._work(5)
            self.consortium.approve(proposal)
            self._work(25, crashing=True)
            self._rest()
        for loss in self._losses:
            self._lose(loss)
            self._rest()
        changes = self._joiners
        if self._joiners:
            victim = self.cluster.world.random.randrange(self._n)
            proposal = self.consortium.propose_to_remove(victim)
            self._work(5)
            self.consortium.approve(proposal)
            self._work(25, crashing=True)
            changes += 1
        self._rest()
        self.cluster.invariants.check_durable(self.cluster.invariants.members(self._epochs()[0]))
        return EpochResult(
            self.seed,
            self._epochs()[0],
            max(self.cluster.heights()),
            self.crashes,
            self._losses,
            changes,
            self.cluster.world.trace.digest(),
        )

    def _work(self, rounds: int, *, crashing: bool = False) -> None:
        """Submit and let time pass; now and then a node crashes, at most one is down at a time."""
        world, chance = self.cluster.world, self.cluster.world.random
        for _ in range(rounds):
            up = [node.index for node in self.cluster.nodes if node.up]
            self.cluster.submit_transfer(chance.choice(up))
            world.run(chance.randint(20, 200))
            down = [node.index for node in self.cluster.nodes if not node.up]
            if down and chance.random() < 0.4:
                self.cluster.restart(down[0])
            elif crashing and not down and chance.random() < 0.2:
                victim = self.cluster.nodes[chance.randrange(len(self.cluster.nodes))]
                victim.crash(power_loss=chance.random() < 0.5)
                self.crashes += 1

    def _lose(self, loss: Loss) -> None:
        """A validator loses its disk, or parts of it, and returns after a while."""
        chance = self.cluster.world.random
        members = self.cluster.invariants.members(self._epochs()[0])
        victim = self.cluster.nodes[chance.choice(list(members))]
        copy = victim.keep_copy()
        self._work(chance.randint(3, 10))
        if victim.up:
            victim.crash(power_loss=chance.random() < 0.5)
        if loss == "directory":
            victim.lose_everything()
        elif loss == "stale copy":
            victim.restore_copy(copy)
        elif loss == "vote log":
            victim.disk.lose("votes.log")
        else:
            victim.lose_ledger()
        self._work(chance.randint(1, 3))
        if not victim.up:
            self.cluster.restart(victim.index)
        self._work(10)

    def _epochs(self) -> list[int]:
        found = [node.core.engine_status().epoch for node in self.cluster.nodes if node.core is not None]
        return sorted(found, reverse=True)

    def _rest(self) -> None:
        """Peace: everyone returns, who was let in takes its place, and the members must agree, all of them voting."""
        cluster = self.cluster
        faults, cluster.network.faults = cluster.network.faults, NetworkFaults()
        for node in cluster.nodes:
            if not node.up:
                cluster.restart(node.index)
        identifier = cluster.submit_transfer(0)

        def rested() -> bool:
            epoch = self._epochs()[0]
            members = [cluster.nodes[index] for index in cluster.invariants.members(epoch)]
            states = [node.core.engine_status() for node in members if node.core is not None]
            return (
                len(states) == len(members)
                and all(state.epoch == epoch and not state.outdated and not state.epoch_end for state in states)
                and sum(state.voting for state in states) >= len(states) - 1
                and not any(node.chain.candidates() for node in members if node.chain is not None)
                and all(identifier in node.executed_ids for node in members)
                and cluster.agreed(members)
            )

        if not cluster.world.run_until(rested, PEACE_LIMIT_MS):
            states = [node.core.status().why for node in cluster.nodes if node.core is not None]
            raise InvariantViolated(
                f"I14: seed {self.seed}: epochs {self._epochs()}, heights {cluster.heights()}, {states}"
            )
        cluster.network.faults = faults
