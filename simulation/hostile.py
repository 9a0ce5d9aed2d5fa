"""A run under faults: load and everything in `faults`; then peace, in which everything must come to rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ledger.parameters import Parameters
from primitives.quorum import fault_bound
from simulation.adversary import Adversary
from simulation.byzantine.liar import Conspiracy, Liar
from simulation.byzantine.member import ByzantineMember
from simulation.byzantine.mixtures import draw_any
from simulation.cluster import SimulatedCluster
from simulation.faults import FaultMaker, Plan, Planner, Round
from simulation.latency import ProfileName, latencies, timeouts
from simulation.network import NetworkFaults
from simulation.promises import InvariantViolated
from simulation.signatures import SignatureKind
from simulation.world import START_MS

ROUNDS_MIN: Final = 20
ROUNDS_MAX: Final = 400
DECIDED_MIN: Final = 100
"""Decided sequences that a run goes on for; fewer in large networks, where each costs as many times more."""
FAULTS_MIN: Final = 10
PEACE_LIMIT_MS: Final = 60_000
PARAMETERS: Final = Parameters(window=32, rejoin_interval_ms=0)
"""Hostile runs have short windows, so that laggards are left behind and epochs end soon, and may rejoin at once."""
TRANSFERS_PER_ROUND_MAX: Final = 6
"""Of each round, to nodes by chance, at times by chance."""

MakeAdversaries = Callable[[SimulatedCluster, Sequence[int], random.Random], Mapping[int, Adversary]]
"""(cluster, members, chance of their own) -> what speaks for each"""


class RunResult(msgspec.Struct, frozen=True):
    """What a run came to."""

    seed: int
    n: int
    height: int
    """Decided sequences."""
    views: int
    """The highest view: as many times the primary changed."""
    committed: int
    """Transactions."""
    crashes: int
    faults: dict[str, int]
    """Kind -> how many took effect."""
    byzantine: int
    """Members that lied."""
    messages: int
    simulated_ms: int
    trace: str
    """The hash of everything that happened."""

    @property
    def fault_count(self) -> int:
        return sum(self.faults.values()) + self.byzantine


class Options(msgspec.Struct, frozen=True):
    """How to run seeds; the same in every run of a campaign."""

    profile: ProfileName = "hostile"
    signatures: SignatureKind = "stub"
    rounds_max: int = ROUNDS_MAX
    byzantine: bool = True
    """Whether members may lie."""


DEFAULTS: Final = Options()


def make_liars(cluster: SimulatedCluster, members: Sequence[int], chance: random.Random) -> Mapping[int, Adversary]:
    """Return members that conspire, and do a bit of everything that Byzantine members do."""
    conspiracy = Conspiracy(members)
    return {
        index: ByzantineMember(
            Liar(
                index,
                len(cluster.nodes),
                cluster.network_id,
                cluster.signing_key(index),
                random.Random(chance.getrandbits(64)),
                conspiracy,
                draw_any,
            )
        )
        for index in members
    }


class Run:
    """One run, under way: whoever catches a violation finds here what led to it."""

    def __init__(
        self,
        seed: int,
        n: int,
        options: Options = DEFAULTS,
        make_adversaries: MakeAdversaries = make_liars,
        *,
        plan: Plan | None = None,
    ) -> None:
        """Build the network.

        Args:
            make_adversaries: makes those who speak for Byzantine members.
            plan: what happens instead of what follows from the seed.
        """
        self.options = options
        self._planner = Planner(seed, n, options.profile)
        self._plan = plan
        byzantine = self._planner.byzantine() if options.byzantine else ()
        self.byzantine = byzantine = byzantine if plan is None else plan.byzantine
        self.seed = seed
        self.n = n
        self.rounds: list[Round] = []
        """Those that were begun."""
        hostile = options.profile == "hostile"
        faults = NetworkFaults(loss=0.03, duplication=0.03, straggling=0.01, latency_ms_max=20)
        self.cluster = SimulatedCluster(
            seed,
            n,
            faults if hostile else NetworkFaults(),
            timeouts(options.profile),
            latencies=latencies(options.profile, n),
            signatures=options.signatures,
            parameters=PARAMETERS if hostile else Parameters(),
        )
        liars = make_adversaries(self.cluster, byzantine, random.Random(f"liars {seed}"))
        for index, adversary in liars.items():
            self.cluster.corrupt(index, adversary)
        self.faults = FaultMaker(self.cluster)

    def plan(self) -> Plan:
        """Return what was done so far; `replay` does the same again."""
        return Plan(self.seed, self.n, self.options.profile, tuple(self.rounds), self.byzantine)

    def finish(self) -> RunResult:
        """Go through the rounds, then make peace.

        Raises:
            InvariantViolated: naming the invariant; the seed replays it.
        """
        self.cluster.start()
        for round_ in self._own_rounds() if self._plan is None else self._plan.rounds:
            self.rounds.append(round_)
            for fault in round_.faults:
                self.faults.apply(fault)
            self._load(round_.duration_ms)
            self.cluster.world.run(round_.duration_ms)
        make_peace(self.cluster, self.faults)
        return self._result()

    def _own_rounds(self) -> Iterator[Round]:
        decided_min = DECIDED_MIN if self.n <= 10 else max(5, 10 * DECIDED_MIN // self.n)
        faults_min = FAULTS_MIN if self.options.profile == "hostile" and fault_bound(self.n) else 0
        for done in range(self.options.rounds_max):
            enough = (
                self.cluster.invariants.agreed_height >= decided_min and sum(self.faults.applied.values()) >= faults_min
            )
            if enough and done >= ROUNDS_MIN:
                return
            # A run that was held up so long gets its sequences in calm: peace alone would prove less.
            held_up = done >= self.options.rounds_max // 2
            yield self._planner.calm_round() if held_up else self._planner.next_round()

    def _load(self, duration_ms: int) -> None:
        cluster, chance = self.cluster, self.cluster.world.random

        def submit() -> None:
            index = int(chance.random() * self.n)
            if cluster.nodes[index].up:
                cluster.submit_transfer(index)

        for _ in range(1 + int(chance.random() * TRANSFERS_PER_ROUND_MAX)):
            cluster.world.at(int(chance.random() * duration_ms), submit)

    def _result(self) -> RunResult:
        cluster = self.cluster
        return RunResult(
            seed=self.seed,
            n=self.n,
            height=cluster.invariants.agreed_height,
            views=max((node.core.engine_status().view for node in cluster.honest if node.core is not None), default=0),
            committed=len(set[bytes]().union(*(node.certified for node in cluster.honest))),
            crashes=self.faults.crashes,
            faults=dict(sorted(self.faults.applied.items())),
            byzantine=len(cluster.adversaries),
            messages=cluster.network.messages,
            simulated_ms=cluster.world.now_ms - START_MS,
            trace=cluster.world.trace.digest(),
        )


def run_hostile(seed: int, n: int = 4, options: Options = DEFAULTS) -> RunResult:
    """Run one seed: safety is checked after every event, then faults stop and progress is demanded.

    Raises:
        InvariantViolated: naming the invariant; the seed replays it.
    """
    return Run(seed, n, options).finish()


def replay(plan: Plan, options: Options = DEFAULTS, make_adversaries: MakeAdversaries = make_liars) -> RunResult:
    """Run a plan as it was written down. Raises InvariantViolated."""
    options = msgspec.structs.replace(options, profile=plan.profile)
    return Run(plan.seed, plan.n, options, make_adversaries, plan=plan).finish()


def make_peace(cluster: SimulatedCluster, faults: FaultMaker | None = None) -> None:
    """Stop all faults but liars, bring everyone back, and demand a common certified head that includes new work.

    Whoever lost its votes must have got its vote back too.

    Raises:
        InvariantViolated: I14, when it does not come about.
    """
    faults = faults or FaultMaker(cluster)
    cluster.network.faults = NetworkFaults()
    cluster.network.heal()
    for node in cluster.nodes:
        node.disarm()
        node.clock_skew_ms = 0
        node.disk.failure = None
        if not node.up:
            faults.restart(node.index)
    able = cluster.honest
    identifier = cluster.submit_transfer(able[0].index)

    def rested() -> bool:
        faults.note_recovered()
        return not faults.forgetful and all(identifier in node.executed_ids for node in able) and cluster.agreed()

    if not cluster.world.run_until(rested, PEACE_LIMIT_MS):
        states = [node.core.status().why for node in able if node.core is not None]
        raise InvariantViolated(f"I14: no common head in time: heights {cluster.heights()}, {states}")
    cluster.invariants.check_durable()
