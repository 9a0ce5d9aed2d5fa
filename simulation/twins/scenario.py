"""What happens in one schedule, as a value: who is twinned, who hears whom in each round, whose log grows old.

Instances are numbered: 0..n-1 are the validators, n and above the second instances of those that are twinned, in the
order in which these are named. A split of a round divides the instances into two sides. It is written as one bit for
each instance: those on the side of instance 0 are set, so bit 0 always is. Format: docs/twins.md.
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


class Round(msgspec.Struct, frozen=True):
    """The splits of one round, by what a message is for. In a plain schedule the four are equal."""

    enter: int
    """ViewChange, NewView and requests for ViewChanges."""
    order: int
    """Batches and their requests, PrePrepare, Prepare."""
    commit: int
    """Commit."""
    seal: int
    """Checkpoint, Status, fetched blocks."""

    @property
    def plain(self) -> bool:
        return self.enter == self.order == self.commit == self.seal


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
            for mask in (round_.enter, round_.order, round_.commit, round_.seal):
                require(mask & 1 == 1 and mask < 1 << self.instances, f"split {mask:#b} is not of {self.instances}")
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


def plain_round(mask: int) -> Round:
    """Return a round with one split for everything."""
    return Round(mask, mask, mask, mask)


def side(mask: int, instances: int) -> list[int]:
    """Return the instances on the side of instance 0."""
    return [instance for instance in range(instances) if mask >> instance & 1]


# --- JSON -----------------------------------------------------------------------------------------------------------

_FIELDS: Final = ("enter", "order", "commit", "seal")


def to_document(scenarios: Iterable[Scenario]) -> dict[str, Any]:
    """Return the JSON value that stands for `scenarios`."""
    return {"format": FORMAT, "version": VERSION, "scenarios": [_scenario_value(scenario) for scenario in scenarios]}


def write_scenarios(scenarios: Iterable[Scenario]) -> str:
    """Return the text of a file of scenarios."""
    return json.dumps(to_document(scenarios), indent=1) + "\n"


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


class _ScenarioValue(msgspec.Struct, forbid_unknown_fields=True):
    replicas: int
    twinned: tuple[int, ...]
    rounds: list[dict[str, list[int]]]
    copies: int = 2
    repair: bool = False
    shuffle: int = 0
    restarts: list[Restart] = []


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    scenarios: list[_ScenarioValue]


def _scenario_value(scenario: Scenario) -> dict[str, Any]:
    value: dict[str, Any] = {
        "replicas": scenario.replicas,
        "twinned": list(scenario.twinned),
        "rounds": [_round_value(round_, scenario.instances) for round_ in scenario.rounds],
    }
    if scenario.copies != 2:
        value["copies"] = scenario.copies
    if scenario.repair:
        value["repair"] = True
    if scenario.shuffle:
        value["shuffle"] = scenario.shuffle
    if scenario.restarts:
        value["restarts"] = [msgspec.to_builtins(restart) for restart in scenario.restarts]
    return value


def _round_value(round_: Round, instances: int) -> dict[str, list[int]]:
    if round_.plain:
        return {"all": side(round_.order, instances)}
    return {field: side(getattr(round_, field), instances) for field in _FIELDS}


def _read_scenario(value: _ScenarioValue) -> Scenario:
    instances = value.replicas + (value.copies - 1) * len(value.twinned)
    return Scenario(
        replicas=value.replicas,
        twinned=value.twinned,
        rounds=tuple(_read_round(sides, instances) for sides in value.rounds),
        copies=value.copies,
        repair=value.repair,
        shuffle=value.shuffle,
        restarts=tuple(value.restarts),
    )


def _read_round(sides: dict[str, list[int]], instances: int) -> Round:
    if set(sides) == {"all"}:
        return plain_round(_mask(sides["all"], instances))
    require(set(sides) == set(_FIELDS), f"a round has `all`, or {', '.join(_FIELDS)}; not {', '.join(sorted(sides))}")
    return Round(*(_mask(sides[field], instances) for field in _FIELDS))


def _mask(members: Sequence[int], instances: int) -> int:
    """Accept either side of a split."""
    require(all(0 <= member < instances for member in members), f"{list(members)} names an instance that is none")
    require(len(set(members)) == len(members), f"{list(members)} names an instance twice")
    mask = sum(1 << member for member in members)
    return mask if mask & 1 else (1 << instances) - 1 ^ mask
