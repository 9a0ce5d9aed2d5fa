"""What can go wrong in a run, as values: a plan of faults replays, is kept as a test, and is made shorter.

A plan is made from the seed alone, before anything runs. What a fault meets when its time comes may make it void (a
node that is to crash is down already), and then it is not counted.
"""

from __future__ import annotations

import errno
import random
from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from node.journal import FILE_NAME
from primitives.quorum import fault_bound
from simulation.cluster import SimulatedCluster
from simulation.latency import ProfileName
from simulation.node import DiskCopy

FaultKind: TypeAlias = Literal[
    "crash",
    "crash-primary",
    "blackout",
    "restart",
    "cut",
    "isolate",
    "split",
    "split-one-way",
    "slow",
    "heal",
    "skew",
    "disk-full",
    "disk-error",
    "rot",
    "backup",
    "lost-log",
    "lost-disk",
    "old-copy",
]
REMEDIES: Final[frozenset[FaultKind]] = frozenset({"restart", "heal", "backup"})
"""They end faults, and are none. Healing mends links and sets clocks right."""
_NEEDS_REDUNDANCY: Final[frozenset[FaultKind]] = frozenset(get_args(FaultKind)) - {
    "slow",
    "skew",
    "heal",
    "restart",
    "backup",
}
"""More than f members would fail by any of these where f is 0."""

_WEIGHTS: Final[dict[FaultKind, int]] = {
    "crash": 10,
    "crash-primary": 14,
    "blackout": 1,
    "restart": 44,
    "cut": 8,
    "isolate": 4,
    "split": 4,
    "split-one-way": 2,
    "slow": 5,
    "heal": 44,
    "skew": 5,
    "disk-full": 3,
    "disk-error": 3,
    "rot": 3,
    "backup": 8,
    "lost-log": 3,
    "lost-disk": 3,
    "old-copy": 5,
}
_FORGETTING: Final[frozenset[FaultKind]] = frozenset({"rot", "lost-log", "lost-disk", "old-copy"})
"""What befalls the disk of a node that is down, and may cost it its votes."""
_CALM_KINDS: Final[tuple[FaultKind, ...]] = ("crash", "crash-primary", "restart", "split", "heal")
"""What befalls the networks of the profiles `lan` and `wan`."""
FAULTS_PER_ROUND: Final = {"hostile": 0.6, "lan": 0.25, "wan": 0.25}
ROUND_MS: Final = {"hostile": (10, 400), "lan": (10, 400), "wan": (200, 3_000)}
SKEW_MS_MAX: Final = 5_000
SLOW_MS_MAX: Final = 400
REPLICAS_MAX: Final = 128
ROUND_MS_MAX: Final = 86_400_000


class PlanError(ValueError):
    """No plan of a run."""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One thing that happens; which fields mean something depends on the kind."""

    kind: FaultKind
    node: int = 0
    other: int = 0
    amount: int = 0
    """Milliseconds of skew or delay; for a crash, 1 where the power goes; for a split, the group as a bit mask."""


class Round(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Faults at its beginning, then a stretch of virtual time with load."""

    duration_ms: Annotated[int, msgspec.Meta(ge=0, le=ROUND_MS_MAX)]
    faults: tuple[Fault, ...] = ()


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A whole run. With the seed it determines every event."""

    seed: Annotated[int, msgspec.Meta(ge=0)]
    n: Annotated[int, msgspec.Meta(ge=1, le=REPLICAS_MAX)]
    profile: ProfileName
    rounds: tuple[Round, ...]
    byzantine: tuple[int, ...] = ()
    """Members whose messages pass through an adversary."""


def read_plan(data: bytes) -> Plan:
    """Read a plan that people may have changed. Raises PlanError, which says what no run can do."""
    try:
        plan = msgspec.json.decode(data, type=Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(str(error)) from error
    for at, member in enumerate(plan.byzantine):
        if not 0 <= member < plan.n or member in plan.byzantine[:at]:
            raise PlanError(f"byzantine[{at}] is {member}: members are 0 to {plan.n - 1}, each once")
    for at, round_ in enumerate(plan.rounds):
        for which, fault in enumerate(round_.faults):
            where = f"rounds[{at}].faults[{which}]"
            if not (0 <= fault.node < plan.n and 0 <= fault.other < plan.n):
                raise PlanError(f"{where}: nodes are 0 to {plan.n - 1}")
            if fault.amount < 0 and fault.kind != "skew":
                raise PlanError(f"{where}: amount is negative")
            if abs(fault.amount) > ROUND_MS_MAX and fault.kind in ("skew", "slow"):
                raise PlanError(f"{where}: amount is more than {ROUND_MS_MAX} ms")
    return plan


class Planner:
    """Makes rounds, from the seed and nothing else."""

    def __init__(self, seed: int, n: int, profile: ProfileName) -> None:
        self._chance = random.Random(f"plan {seed} {n} {profile}")
        self._n = n
        self._profile: ProfileName = profile
        kinds: list[FaultKind] = [kind for kind in get_args(FaultKind) if profile == "hostile" or kind in _CALM_KINDS]
        self._kinds = [kind for kind in kinds if fault_bound(n) > 0 or kind not in _NEEDS_REDUNDANCY]
        self._weights = [_WEIGHTS[kind] for kind in self._kinds]

    def byzantine(self) -> tuple[int, ...]:
        """Return the members that lie in this run: none in half of the hostile runs, else up to f."""
        f = fault_bound(self._n)
        if self._profile != "hostile" or f == 0 or self._chance.random() < 0.5:
            return ()
        return tuple(sorted(self._chance.sample(range(self._n), self._chance.randint(1, f))))

    def next_round(self) -> Round:
        chance = self._chance
        low, high = ROUND_MS[self._profile]
        faults = []
        if chance.random() < FAULTS_PER_ROUND[self._profile]:
            (kind,) = chance.choices(self._kinds, self._weights)
            faults.append(self._fault(kind))
        return Round(chance.randint(low, high), tuple(faults))

    def calm_round(self) -> Round:
        """Return a round in which faults end and none begin."""
        return Round(self._chance.randint(*ROUND_MS[self._profile]), (Fault("heal"), Fault("restart")))

    def _fault(self, kind: FaultKind) -> Fault:
        chance, n = self._chance, self._n
        node, other = chance.randrange(n), chance.randrange(n)
        match kind:
            case "crash" | "crash-primary" | "blackout":
                return Fault(kind, node, amount=chance.randrange(2))
            case "split" | "split-one-way":
                return Fault(kind, amount=chance.randrange(1, 1 << n))
            case "cut":
                return Fault(kind, node, other)
            case "slow":
                return Fault(kind, node, other, chance.randint(1, SLOW_MS_MAX))
            case "skew":
                return Fault(kind, node, amount=chance.randint(-SKEW_MS_MAX, SKEW_MS_MAX))
            case _:
                return Fault(kind, node)


class FaultMaker:
    """Lets faults happen to a cluster."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self.applied: dict[str, int] = {}
        """Kind -> faults that took effect. Remedies are not counted."""
        self._copies: dict[int, DiskCopy] = {}
        self.forgetful: set[int] = set()
        """Nodes that may have lost votes and have not voted since; they count among the f, as the liars do."""
        self._spare = fault_bound(len(cluster.nodes)) - len(cluster.adversaries)
        self._down_max = max(1, self._spare)

    @property
    def crashes(self) -> int:
        kinds = ("crash", "crash-primary", "blackout", "disk-full", "disk-error")
        return sum(self.applied.get(kind, 0) for kind in kinds)

    def apply(self, fault: Fault) -> None:
        if self._happens(fault):
            self._cluster.world.trace.note(f"{self._cluster.world.now_ms} fault {fault}")
            if fault.kind not in REMEDIES:
                self.applied[fault.kind] = self.applied.get(fault.kind, 0) + 1

    def _happens(self, fault: Fault) -> bool:
        cluster, node = self._cluster, self._cluster.nodes[fault.node]
        match fault.kind:
            case "restart":
                return self._restart_one()
            case "heal":
                cluster.network.heal()
                for other in cluster.nodes:
                    other.clock_skew_ms = 0
            case "cut" if fault.node != fault.other:
                cluster.network.cut(fault.node, fault.other)
            case "slow" if fault.node != fault.other:
                cluster.network.slow(fault.node, fault.other, fault.amount)
            case "isolate":
                cluster.network.isolate(fault.node)
            case "split" | "split-one-way":
                group = {index for index in range(len(cluster.nodes)) if fault.amount >> index & 1}
                cluster.network.split(group, one_way=fault.kind == "split-one-way")
            case "skew":
                node.clock_skew_ms = fault.amount
            case "backup" if node.up:
                self._copies[fault.node] = node.keep_copy()
            case "rot" | "lost-log" | "lost-disk" | "old-copy":
                return self._forget(fault.kind)
            case "crash" | "crash-primary" | "blackout" | "disk-full" | "disk-error":
                return self._bring_down(fault)
            case _:
                return False
        return True

    def _bring_down(self, fault: Fault) -> bool:
        cluster = self._cluster
        power_loss = bool(fault.amount)
        if fault.kind == "blackout":
            running = [node for node in cluster.nodes if node.up]
            for node in running:
                node.crash(power_loss)
            return bool(running)
        node = cluster.nodes[cluster.primary() if fault.kind == "crash-primary" else fault.node]
        if not node.up or sum(not other.up for other in cluster.nodes) >= self._down_max:
            return False
        if fault.kind in ("disk-full", "disk-error"):
            # It ends itself at its next write.
            node.disk.failure = errno.ENOSPC if fault.kind == "disk-full" else errno.EIO
        else:
            node.crash(power_loss)
        return True

    def _forget(self, kind: FaultKind) -> bool:
        """Damage the disk of a node that is down, if no more members fail by that than may fail."""
        index = self._first_down()
        self.note_recovered()
        if index is None or (index not in self.forgetful and len(self.forgetful) >= self._spare):
            return False
        node, copy = self._cluster.nodes[index], self._copies.get(index)
        if kind == "rot":
            if not node.disk.rot():
                return False
        elif kind == "lost-log":
            node.disk.lose(FILE_NAME)
        elif kind == "lost-disk":
            node.lose_everything()
        elif copy is None:
            return False
        else:
            node.restore_copy(copy)
        self.forgetful.add(index)
        self._cluster.invariants.on_forgotten(index)
        return True

    def note_recovered(self) -> None:
        """Whoever votes has shown to a quorum that it forgot nothing, or has rejoined."""
        for index in sorted(self.forgetful):
            core = self._cluster.nodes[index].core
            if core is not None and core.engine_status().voting:
                self.forgetful.discard(index)

    def _first_down(self) -> int | None:
        return next((node.index for node in self._cluster.honest if not node.up and node.lives), None)

    def _restart_one(self) -> bool:
        index = next((node.index for node in self._cluster.nodes if not node.up), None)
        if index is not None:
            self.restart(index)
        return index is not None

    def restart(self, index: int) -> None:
        """Start a node on what its disk holds."""
        self._cluster.nodes[index].disk.failure = None
        self._cluster.restart(index)
