"""What happens in one schedule, as a value: who is twinned, who hears whom in each round, whose log grows old.

Instances are numbered: 0..n-1 are the validators, n and above the second instances of those that are twinned, in the
order in which these are named. A set of instances is written as one bit for each. Format: docs/twins.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from primitives.finality import VALIDATORS_MAX
from primitives.quorum import fault_bound

FORMAT: Final = "guildmark-twins"
VERSION: Final = 1
ROUNDS_MAX: Final = 64
"""Rounds of one schedule."""
EMPTY_LOG: Final = -1
"""A `Restart` from before the first round: log and ledger are lost."""


class ScenarioError(ValueError):
    """A schedule that cannot be played, or a file that holds none. The message says what is wrong with it."""


class Split(msgspec.Struct, frozen=True):
    """Who hears whom. Both sides only themselves; with `one_way` those outside `side` hear everybody."""

    side: int
    """A set of instances. Of a split that is not one-way either side says the same: it is the one of instance 0."""
    one_way: bool = False

    def reach(self, sender: int, instances: int) -> int:
        """Return the set of instances that hear `sender`."""
        everybody = (1 << instances) - 1
        if self.side >> sender & 1:
            return everybody if self.one_way else self.side
        return everybody & ~self.side


class Round(msgspec.Struct, frozen=True):
    """The splits of one round, by what a message is for. In a plain schedule the five are equal."""

    enter: Split
    """ViewChange, NewView and requests for ViewChanges."""
    order: Split
    """Batches and their requests, PrePrepare."""
    prepare: Split
    commit: Split
    seal: Split
    """Checkpoint, Status, fetched blocks."""
    patient: int = 0
    """The set of instances whose timers do not end a view at the beginning of this round."""

    @property
    def splits(self) -> tuple[Split, ...]:
        return (self.enter, self.order, self.prepare, self.commit, self.seal)

    @property
    def plain(self) -> bool:
        return len(set(self.splits)) == 1


class Restart(msgspec.Struct, frozen=True):
    """Before `round` begins, `instance` stops and starts again from the log and ledger of the end of `as_of`."""

    round: int
    instance: int
    as_of: int
    """A round before `round`; the round just before means an ordinary restart. `EMPTY_LOG`: everything is lost."""


class Scenario(msgspec.Struct, frozen=True):
    """One schedule. Raises ScenarioError when it cannot be played."""

    replicas: int
    twinned: tuple[int, ...]
    """The validators that misbehave, f or fewer: each runs `copies` instances and may forget its log."""
    rounds: tuple[Round, ...]
    copies: int = 2
    """Instances of each twinned validator: 2, or 1 where they are only restarted."""
    repair: bool = False
    """Whether Status messages are exchanged at the end of each round; when healed they always are."""
    late: bool = False
    """Whether what a split stops arrives in the next round, after timers expired there, instead of never."""
    shuffle: int = 0
    """Seed of the order in which messages arrive; 0 keeps the order in which they were sent."""
    restarts: tuple[Restart, ...] = ()

    def __post_init__(self) -> None:
        require(4 <= self.replicas <= VALIDATORS_MAX, f"replicas is {self.replicas}, allowed are 4 to {VALIDATORS_MAX}")
        faulty = fault_bound(self.replicas)
        require(1 <= len(self.twinned) <= faulty, f"{len(self.twinned)} are twinned, allowed are 1 to {faulty}")
        require(len(set(self.twinned)) == len(self.twinned), f"{list(self.twinned)} names a validator twice")
        for twinned in self.twinned:
            require(0 <= twinned < self.replicas, f"there is no validator {twinned} to be twinned")
        require(self.copies in (1, 2), f"copies is {self.copies}, allowed are 1 and 2")
        require(1 <= len(self.rounds) <= ROUNDS_MAX, f"{len(self.rounds)} rounds, allowed are 1 to {ROUNDS_MAX}")
        for round_ in self.rounds:
            for split in round_.splits:
                named = split.side & 1 == 1 or split.one_way
                require(
                    named and 0 <= split.side < 1 << self.instances, f"{split} is not of {self.instances} instances"
                )
            require(0 <= round_.patient < 1 << self.instances, f"{round_} names instances that are none")
        for restart in self.restarts:
            require(0 <= restart.round < len(self.rounds), f"a restart in round {restart.round}, which is none")
            require(EMPTY_LOG <= restart.as_of < restart.round, f"a restart as of round {restart.as_of}")
            require(
                0 <= restart.instance < self.instances and self.validator(restart.instance) in self.twinned,
                f"instance {restart.instance} may not restart: only twinned validators misbehave",
            )

    @property
    def instances(self) -> int:
        return self.replicas + (self.copies - 1) * len(self.twinned)

    def validator(self, instance: int) -> int:
        """Return the validator that `instance` runs as."""
        return instance if instance < self.replicas else self.twinned[instance - self.replicas]


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ScenarioError(message)


def plain_round(side: int) -> Round:
    """Return a round with one split for everything."""
    split = Split(side)
    return Round(split, split, split, split, split)


def members(instances: int) -> list[int]:
    """Return what a set of instances holds."""
    return [instance for instance in range(instances.bit_length()) if instances >> instance & 1]


# --- JSON -----------------------------------------------------------------------------------------------------------

PHASES: Final = ("enter", "order", "prepare", "commit", "seal")


def to_document(scenarios: Iterable[Scenario]) -> dict[str, Any]:
    """Return the JSON value that stands for `scenarios`."""
    return {"format": FORMAT, "version": VERSION, "scenarios": [_scenario_value(scenario) for scenario in scenarios]}


def write_scenarios(scenarios: Iterable[Scenario]) -> str:
    """Return the text of a file of scenarios, one round a line."""
    document = to_document(scenarios)
    values = [_scenario_text(value) for value in document.pop("scenarios")]
    return json.dumps(document)[:-1] + ', "scenarios": [\n' + ",\n".join(values) + "\n]}\n"


def _scenario_text(value: dict[str, Any]) -> str:
    rounds = ",\n".join(f"  {json.dumps(round_)}" for round_ in value.pop("rounds"))
    return " " + json.dumps(value)[:-1] + f', "rounds": [\n{rounds}\n ]}}'


def read_scenarios(text: str | bytes) -> tuple[Scenario, ...]:
    """Read a file of scenarios.

    Raises:
        ScenarioError: not JSON, not this format or version, a field that is unknown, missing or out of range.
    """
    try:
        document = msgspec.json.decode(text, type=_Document)
    except msgspec.MsgspecError as error:
        raise ScenarioError(f"not a file of Twins scenarios: {error}") from error
    require(document.format == FORMAT, f"the format is {document.format!r}, not {FORMAT!r}")
    require(document.version == VERSION, f"version {document.version} is not supported, only {VERSION}")
    return tuple(_read_scenario(value) for value in document.scenarios)


class _OneWay(msgspec.Struct, forbid_unknown_fields=True):
    deaf: list[int]


class _RoundValue(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    all: list[int] | _OneWay | None = None
    enter: list[int] | _OneWay | None = None
    order: list[int] | _OneWay | None = None
    prepare: list[int] | _OneWay | None = None
    commit: list[int] | _OneWay | None = None
    seal: list[int] | _OneWay | None = None
    patient: list[int] = []


class _ScenarioValue(msgspec.Struct, forbid_unknown_fields=True):
    replicas: int
    twinned: tuple[int, ...]
    rounds: list[_RoundValue]
    copies: int = 2
    repair: bool = False
    late: bool = False
    shuffle: int = 0
    restarts: list[Restart] = []


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    scenarios: list[_ScenarioValue]


def _scenario_value(scenario: Scenario) -> dict[str, Any]:
    value: dict[str, Any] = {"replicas": scenario.replicas, "twinned": list(scenario.twinned)}
    if scenario.copies != 2:
        value["copies"] = scenario.copies
    if scenario.repair:
        value["repair"] = True
    if scenario.late:
        value["late"] = True
    if scenario.shuffle:
        value["shuffle"] = scenario.shuffle
    if scenario.restarts:
        value["restarts"] = [msgspec.to_builtins(restart) for restart in scenario.restarts]
    value["rounds"] = [msgspec.to_builtins(_round_value(round_, scenario.instances)) for round_ in scenario.rounds]
    return value


def _round_value(round_: Round, instances: int) -> _RoundValue:
    patient = members(round_.patient)
    if round_.plain:
        return _RoundValue(all=_split_value(round_.order), patient=patient)
    whole = Split((1 << instances) - 1)
    splits = {phase: getattr(round_, phase) for phase in PHASES}
    return _RoundValue(
        patient=patient, **{phase: _split_value(split) for phase, split in splits.items() if split != whole}
    )


def _split_value(split: Split) -> list[int] | _OneWay:
    return _OneWay(members(split.side)) if split.one_way else members(split.side)


def _read_scenario(value: _ScenarioValue) -> Scenario:
    instances = value.replicas + (value.copies - 1) * len(value.twinned)
    return Scenario(
        replicas=value.replicas,
        twinned=value.twinned,
        rounds=tuple(_read_round(sides, instances) for sides in value.rounds),
        copies=value.copies,
        repair=value.repair,
        late=value.late,
        shuffle=value.shuffle,
        restarts=tuple(value.restarts),
    )


def _read_round(value: _RoundValue, instances: int) -> Round:
    patient = _read_set(value.patient, instances)
    given = [phase for phase in PHASES if getattr(value, phase) is not None]
    require(value.all is None or not given, f"a round has `all`, or some of {', '.join(PHASES)}; not both")
    enter, order, prepare, commit, seal = (
        _read_split(value.all if value.all is not None else getattr(value, phase), instances) for phase in PHASES
    )
    return Round(enter, order, prepare, commit, seal, patient)


def _read_split(value: list[int] | _OneWay | None, instances: int) -> Split:
    if value is None:
        return Split((1 << instances) - 1)
    if isinstance(value, _OneWay):
        return Split(_read_set(value.deaf, instances), one_way=True)
    side = _read_set(value, instances)
    return Split(side if side & 1 else (1 << instances) - 1 ^ side)


def _read_set(members: Sequence[int], instances: int) -> int:
    require(all(0 <= member < instances for member in members), f"{list(members)} names an instance that is none")
    require(len(set(members)) == len(members), f"{list(members)} names an instance twice")
    return sum(1 << member for member in members)
