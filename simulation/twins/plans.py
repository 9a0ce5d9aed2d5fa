"""Which schedules a campaign plays: every one of a small scope, a sample of a larger one, or those of a file.

A plan gives each schedule by its number, so that workers share it and an interrupted campaign goes on where it was.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Final, Protocol

from primitives.finality import VALIDATORS_MAX
from primitives.quorum import fault_bound
from simulation.twins.scenario import (
    EMPTY_LOG,
    ROUNDS_MAX,
    Restart,
    Round,
    Scenario,
    ScenarioError,
    Split,
    plain_round,
    read_scenarios,
    require,
    write_scenarios,
)

SCHEDULES_MAX: Final = 10**9
DEFAULT_SEED: Final = 1
REPLICAS_MIN: Final = 4
"""Fewer tolerate no twin."""


class Plan(Protocol):
    """A numbered family of schedules."""

    @property
    def text(self) -> str:
        """What names the plan, and what `read_plan` reads back (for a file: its path)."""
        ...

    @property
    def content(self) -> str:
        """Hash of what `text` does not say: the schedules of a file. Empty where it says all."""
        ...

    def __len__(self) -> int: ...

    def scenario(self, number: int) -> Scenario:
        """Return schedule `number`, 0 <= number < len."""
        ...


def _require_scope(rounds: int, replicas: int) -> None:
    require(1 <= rounds <= ROUNDS_MAX, f"{rounds} rounds, allowed are 1 to {ROUNDS_MAX}")
    require(
        REPLICAS_MIN <= replicas <= VALIDATORS_MAX,
        f"{replicas} replicas, allowed are {REPLICAS_MIN} to {VALIDATORS_MAX}",
    )


class Exhaustive:
    """Every schedule of `rounds` plain rounds: for each validator as the only twin, every split in every round.

    The primary moves by one with every view, so the choice of the twinned validator is the choice of the rounds in
    which it leads.
    """

    def __init__(self, rounds: int, replicas: int = 4) -> None:
        self.rounds = rounds
        self.replicas = replicas
        self._splits = 1 << replicas  # of n + 1 instances, where instance 0's side has no name of its own
        _require_scope(rounds, replicas)
        self._size: int = replicas * self._splits**rounds
        require(self._size <= SCHEDULES_MAX, f"more than {SCHEDULES_MAX} schedules: sample them")

    @property
    def text(self) -> str:
        return f"exhaustive:{self.rounds}" + ("" if self.replicas == 4 else f":n={self.replicas}")

    @property
    def content(self) -> str:
        return ""

    def __len__(self) -> int:
        return self._size

    def scenario(self, number: int) -> Scenario:
        twinned, number = divmod(number, self._splits**self.rounds)
        rounds = []
        for _ in range(self.rounds):
            number, split = divmod(number, self._splits)
            rounds.append(plain_round(split << 1 | 1))
        return Scenario(self.replicas, (twinned,), tuple(rounds))


class Sampled:
    """Schedules by seed from a far larger space: up to f twinned, rough splits, any order of arrival, old logs."""

    def __init__(self, rounds: int, count: int, seed: int = DEFAULT_SEED, replicas: int = 4) -> None:
        self.rounds = rounds
        self.count = count
        self.seed = seed
        self.replicas = replicas
        _require_scope(rounds, replicas)
        require(1 <= count <= SCHEDULES_MAX, f"the number of schedules is 1 to {SCHEDULES_MAX}")

    @property
    def text(self) -> str:
        seed = "" if self.seed == DEFAULT_SEED else f":seed={self.seed}"
        replicas = "" if self.replicas == 4 else f":n={self.replicas}"
        return f"sampled:{self.rounds}:{self.count}{seed}{replicas}"

    @property
    def content(self) -> str:
        return ""

    def __len__(self) -> int:
        return self.count

    def scenario(self, number: int) -> Scenario:
        chance = random.Random(f"twins {self.seed} {self.rounds} {self.replicas} {number}")
        twinned = tuple(chance.sample(range(self.replicas), chance.randint(1, fault_bound(self.replicas))))
        copies = 1 if chance.random() < 0.1 else 2
        instances = self.replicas + (copies - 1) * len(twinned)
        rough = chance.random() < 0.6
        rounds = tuple(
            _sample_rough_round(chance, instances) if rough else plain_round(_sample_split(chance, instances).side)
            for _ in range(self.rounds)
        )
        restarts: tuple[Restart, ...] = ()
        if self.rounds > 1 and (copies == 1 or chance.random() < 0.2):
            instance = chance.choice([*twinned, *range(self.replicas, instances)])
            round_ = chance.randrange(1, self.rounds)
            restarts = (Restart(round_, instance, chance.randrange(EMPTY_LOG, round_)),)
        return Scenario(
            self.replicas,
            twinned,
            rounds,
            copies,
            repair=chance.random() < 0.4,
            late=chance.random() < 0.4,
            shuffle=chance.randrange(1, 2**31) if chance.random() < 0.5 else 0,
            restarts=restarts,
        )


def _sample_split(chance: random.Random, instances: int) -> Split:
    """Nobody apart now and then: else little ever begins."""
    whole = (1 << instances) - 1
    return Split(whole if chance.random() < 0.15 else chance.randrange(1 << instances - 1) << 1 | 1)


def _sample_rough_round(chance: random.Random, instances: int) -> Round:
    """Most phases under one split, others under their own, which may be one-way; some who do not give up the view."""
    base = _sample_split(chance, instances)

    def split() -> Split:
        kind = chance.random()
        if kind < 0.5:
            return base
        return _sample_split(chance, instances) if kind < 0.75 else Split(chance.randrange(1 << instances), True)

    patient = chance.randrange(1 << instances) if chance.random() < 0.5 else 0
    return Round(split(), split(), split(), split(), split(), patient)


class Listed:
    """The schedules of a file."""

    def __init__(self, scenarios: tuple[Scenario, ...], text: str) -> None:
        self._scenarios = scenarios
        self._text = text
        require(len(scenarios) > 0, "no scenario in it")

    @property
    def text(self) -> str:
        return self._text

    @property
    def content(self) -> str:
        return hashlib.sha256(write_scenarios(self._scenarios).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._scenarios)

    def scenario(self, number: int) -> Scenario:
        return self._scenarios[number]


def read_plan(text: str, replicas: int = 4) -> Plan:
    """Read `exhaustive:ROUNDS[:n=N]`, `sampled:ROUNDS:COUNT[:seed=S][:n=N]`, or the path of a file of scenarios.

    Args:
        replicas: n where the text says none.

    Raises:
        ScenarioError: none of these, out of range, or a file that cannot be read.
    """
    kind, *words = text.split(":")
    if kind == "exhaustive":
        (rounds,), named = _numbers(text, words, 1, {"n": replicas})
        return Exhaustive(rounds, named["n"])
    if kind == "sampled":
        (rounds, count), named = _numbers(text, words, 2, {"seed": DEFAULT_SEED, "n": replicas})
        return Sampled(rounds, count, named["seed"], named["n"])
    try:
        content = Path(text).read_bytes()
    except OSError as error:
        raise ScenarioError(
            f"{text!r} is neither exhaustive:ROUNDS, nor sampled:ROUNDS:COUNT, nor a readable file ({error.strerror})"
        ) from error
    return Listed(read_scenarios(content), text)


def _numbers(text: str, words: list[str], count: int, named: dict[str, int]) -> tuple[list[int], dict[str, int]]:
    """Return `count` numbers by place, then `name=number` for those in `named`, which has the defaults."""
    try:
        placed = [int(word) for word in words[:count]]
        for word in words[count:]:
            name, _, value = word.partition("=")
            require(name in named, f"{text!r}: {word!r} is not understood")
            named[name] = int(value)
    except ValueError as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError(f"{text!r}: {error}") from error
    require(len(placed) == count, f"{text!r} lacks a number")
    return placed, named
