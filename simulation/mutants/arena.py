"""Bare replicas in virtual time: a network, disks, crashes, liars, and the judge who sees everything.

Whole nodes (`simulation.cluster`) run all of a node; this runs the engine alone, some ten times as fast, under harder
faults, and with a judge that reads the votes and records themselves. One seed is one run.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from consensus import engine
from consensus.messages import Message
from consensus.pbft.configuration import Configuration
from primitives.quorum import fault_bound
from simulation.byzantine.liar import Conspiracy, Liar, Saying, well_formed
from simulation.byzantine.mixtures import Draw, draw_any
from simulation.mutants.host import Host
from simulation.mutants.judge import Judge, Violation
from simulation.twins.crypto import NETWORK_ID, FastSigner, public_key, validator_set

START_MS: Final = 1_800_000_000_000
LIAR_TICK_MS: Final = 60
EVENTS_MAX: Final = 250_000
"""More than any run needs: one that gets here would not end."""
FAST: Final = Configuration(
    window=16,
    proposal_spacing_ms=0,
    suspicion_timeout_ms=200,
    suspicion_timeout_cap_ms=1_600,
    turn_ms=0,
    resend_ms=50,
    status_period_ms=50,
)
"""Without distance between proposals: several sequences on their way make more trouble."""


class Arena:
    """n replicas, some of which may lie."""

    def __init__(
        self, n: int, seed: int, configuration: Configuration = FAST, liars: Iterable[int] = (), draw: Draw = draw_any
    ) -> None:
        self.n = n
        self.seed = seed
        self.chance = random.Random(seed)
        self.configuration = configuration
        self.validators = validator_set(n)
        self.now_ms = 0
        self.loss = self.duplication = 0.0
        self.delay_ms = (1, 3)
        self.sync_ms_max = 2
        self.truncation = 0.0
        """The chance that a certificate is followed by a rewritten log."""
        self.skew_ms: dict[int, int] = {}
        self.cut: set[tuple[int, int]] = set()
        """Links that lose everything, by direction."""
        self.passes: Callable[[int, int, Message], bool] = lambda _sender, _receiver, _message: True
        """What a story lets through; its losses are on top of all others."""
        self.messages = 0
        self.events = 0
        members = sorted(liars)
        conspiracy = Conspiracy(members)
        self.liars: dict[int, Liar] = {}
        for index in members:
            signer = FastSigner(public_key(index))
            self.liars[index] = Liar(index, n, NETWORK_ID, signer, random.Random(seed + index), conspiracy, draw)
        self.judge = Judge(self)
        self.hosts = [Host(self, index) for index in range(n)]
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._marks = 0
        for index in members:
            self.after(LIAR_TICK_MS, partial(self._tick, index))

    @property
    def correct(self) -> list[Host]:
        """Return the hosts of which everything is asked."""
        return [host for host in self.hosts if host.index not in self.liars and not (host.lost or host.spoiled)]

    @property
    def faults_left(self) -> int:
        """Return how many more may fail for good."""
        failed = len(self.liars) + sum(host.lost or host.spoiled for host in self.hosts)
        return fault_bound(self.n) - failed

    # --- time

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._order, action))

    def run(self, duration_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, or until a condition holds; tell whether it did. Raises Violation."""
        end_ms = self.now_ms + duration_ms
        look_ms = self.now_ms
        while self._heap and self._heap[0][0] <= end_ms:
            self.now_ms, _, action = heapq.heappop(self._heap)
            action()
            self.events += 1
            if self.events > EVENTS_MAX:
                raise Violation(f"I13: {self.events} events and no end")
            if until is not None and self.now_ms >= look_ms:
                if until():
                    return True
                look_ms = self.now_ms + 10
        self.now_ms = end_ms
        return until is not None and until()

    def clock(self, index: int) -> int:
        return START_MS + self.now_ms + self.skew_ms.get(index, 0)

    def sync_ms(self) -> int:
        return self.chance.randint(0, self.sync_ms_max)

    def execution_ms(self) -> int:
        return self.chance.randint(0, 3)

    def truncates(self) -> bool:
        return self.truncation > 0 and self.chance.random() < self.truncation

    def next_mark(self) -> int:
        self._marks += 1
        return self._marks

    # --- the network

    def connected(self, sender: int, receiver: int) -> bool:
        return (sender, receiver) not in self.cut

    def split(self, *groups: Iterable[int]) -> None:
        """Cut all links but those within a group."""
        side = {index: number for number, group in enumerate(groups) for index in group}
        self.cut = {(a, b) for a in range(self.n) for b in range(self.n) if side.get(a, -1) != side.get(b, -2)}

    def transmit(self, sender: int, receiver: int, message: Message) -> None:
        liar = self.liars.get(sender)
        if liar is None:
            self._carry(sender, receiver, message, 0)
        else:
            self._spread(liar, liar.says(receiver, message))

    def _spread(self, liar: Liar, sayings: Iterable[Saying]) -> None:
        checked: dict[int, Message | None] = {}
        for receiver, said, delay_ms in sayings:
            if isinstance(said, bytes):
                continue  # not even a message: nodes refuse it before the engine hears of it
            if id(said) not in checked:
                checked[id(said)] = well_formed(said)
            if (message := checked[id(said)]) is not None and receiver != liar.index:
                self.judge.on_lie(liar.index, message)
                self._carry(liar.index, receiver, message, delay_ms)

    def _carry(self, sender: int, receiver: int, message: Message, later_ms: int) -> None:
        self.messages += 1
        if (sender, receiver) in self.cut or not self.passes(sender, receiver, message):
            return
        chance = self.chance
        if self.loss and chance.random() < self.loss:
            return
        for _ in range(2 if self.duplication and chance.random() < self.duplication else 1):
            self.after(later_ms + chance.randint(*self.delay_ms), lambda: self._deliver(sender, receiver, message))

    def _deliver(self, sender: int, receiver: int, message: Message) -> None:
        liar = self.liars.get(receiver)
        if liar is not None and sender not in self.liars:
            self._spread(liar, liar.hears(message))
        self.hosts[receiver].step(engine.MessageReceived(message, engine.ReplicaId(sender)))

    def _tick(self, index: int) -> None:
        self._spread(self.liars[index], self.liars[index].speaks())
        self.after(LIAR_TICK_MS, lambda: self._tick(index))

    # --- lives

    def start(self, *indices: int) -> None:
        """Start hosts, all by default, and tell everyone that they are connected."""
        started = list(indices or range(self.n))
        for index in started:
            self.hosts[index].start()
        for index in started:
            for other in range(self.n):
                if other != index and self.hosts[other].alive:
                    self.hosts[index].step(engine.PeerConnected(engine.ReplicaId(other)))
                    self.hosts[other].step(engine.PeerConnected(engine.ReplicaId(index)))

    def heights(self) -> Mapping[int, int]:
        return {host.index: host.height for host in self.hosts}

    def settled(self, *items: bytes) -> bool:
        """Tell whether all correct replicas executed `items`, and have one certified head."""
        correct = self.correct
        if len({host.height for host in correct}) != 1 or any(host.height not in host.certificates for host in correct):
            return False
        return all(set(items) <= host.items() for host in correct)
