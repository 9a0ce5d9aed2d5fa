"""What a sweep runs: the cross product of parameters over a base configuration, for each seed and repetition.

A cell's name follows from its configuration alone, so the order of parameters in the file does not matter, and a
result of another base is never taken for this one's.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration

CELLS_MAX: Final = 10_000
TABLES: Final = ("node", "genesis")
"""Parameters inside these are named with dots: `genesis.block_bytes_max`, `node.consensus.batch_delay_ms`."""

REQUESTS_PER_SECOND: Final = 20
BATCH_MAX: Final = 100
OUTSTANDING: Final = Configuration().outstanding
OUTSTANDING_OPAQUE: Final = 40_000
"""Payloads."""

Value = int | float | str | bool


class Specification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sweep's file."""

    base: dict[str, Any] = {}
    """Fields of a configuration that all cells share."""
    parameters: dict[str, tuple[Value, ...]] = {}
    """Field of a configuration -> its values."""
    seeds: tuple[int, ...] = (1,)
    """Other seeds are other loads."""
    repetitions: int = 1
    """Runs of the same load, to see how far results scatter."""


class Cell(msgspec.Struct, frozen=True):
    """One run of a sweep."""

    name: str
    parameters: dict[str, Value]
    """What this cell has of the sweep's parameters."""
    configuration: Configuration
    repetition: int


def read_specification(path: Path) -> Specification:
    """Read a sweep's file. Raises BenchError (`sweep.specification`), OSError."""
    try:
        return msgspec.convert(_toml(path, "sweep.specification"), Specification)
    except msgspec.ValidationError as error:
        raise BenchError("sweep.specification", f"{path}: {error}") from error


def cells(specification: Specification) -> tuple[Cell, ...]:
    """Return all runs, in the order of the file. Raises BenchError (`sweep.specification`)."""
    _check(specification)
    names = list(specification.parameters)
    made: dict[str, Cell] = {}
    for values in itertools.product(*specification.parameters.values()):
        parameters = dict(zip(names, values, strict=True))
        for seed in specification.seeds:
            configuration = configure(specification.base | {"seed": seed}, parameters)
            for repetition in range(1, specification.repetitions + 1):
                name = cell_name(parameters, configuration, repetition)
                made[name] = Cell(name, parameters, configuration, repetition)
    return tuple(made.values())


def _check(specification: Specification) -> None:
    wrong = ""
    if specification.repetitions < 1 or not specification.seeds:
        wrong = "repetitions and seeds must be at least one"
    elif "seed" in specification.base or "seed" in specification.parameters:
        wrong = "seeds are listed as 'seeds', outside of base and parameters"
    elif empty := [name for name, values in specification.parameters.items() if not values]:
        wrong = f"no values for {empty[0]}"
    else:
        count = specification.repetitions * len(specification.seeds)
        for values in specification.parameters.values():
            count *= len(values)
        if count > CELLS_MAX:
            wrong = f"{count} runs are more than {CELLS_MAX}"
    if wrong:
        raise BenchError("sweep.specification", wrong)


def configure(base: dict[str, Any], parameters: dict[str, Value]) -> Configuration:
    """Put parameters into a base; `batch_submit` and `outstanding` fit the rate and workload unless they are there.

    Raises BenchError (`configuration.invalid`).
    """
    merged = msgspec.json.decode(msgspec.json.encode(base))
    for name, value in parameters.items():
        first, *rest = name.split(".")
        if rest and first not in TABLES:
            raise BenchError("configuration.invalid", f"there is no parameter {name}")
        table = merged
        for part in [first, *rest][:-1]:
            table = table.setdefault(part, {})
        table[[first, *rest][-1]] = value
    try:
        configuration = msgspec.convert(merged, Configuration)
    except msgspec.ValidationError as error:
        raise BenchError("configuration.invalid", str(error)) from error
    defaults = {
        "batch_submit": default_batch_submit(configuration.rate),
        "outstanding": default_outstanding(configuration.workload),
    }
    return msgspec.structs.replace(configuration, **{k: v for k, v in defaults.items() if k not in merged})


def default_outstanding(workload: str) -> int:
    """As many as keep every pool filled in a saturated run."""
    return OUTSTANDING_OPAQUE if workload == "opaque" else OUTSTANDING


def default_batch_submit(rate: float | str) -> int:
    """As many transactions a request as make `REQUESTS_PER_SECOND`, at most `BATCH_MAX`.

    A fuller request would let its first transaction wait for its last, and that would be measured as latency.
    """
    if isinstance(rate, str):
        return BATCH_MAX
    return max(1, min(BATCH_MAX, int(rate / REQUESTS_PER_SECOND)))


def read_configuration(path: Path) -> tuple[Configuration, dict[str, Any]]:
    """Read one configuration from TOML; also return its table `program`, which says what program to run.

    Raises BenchError (`configuration.invalid`), OSError.
    """
    document = _toml(path, "configuration.invalid")
    program = document.pop("program", {})
    try:
        return configure(document, {}), program
    except BenchError as error:
        raise BenchError(error.code, f"{path}: {error.message}") from error


def cell_name(parameters: dict[str, Value], configuration: Configuration, repetition: int) -> str:
    """Name a cell for files: its parameters for people, and a hash of the whole configuration for certainty."""
    words = [f"{name.rsplit('.', 1)[-1]}-{parameters[name]}" for name in sorted(parameters)]
    words += [f"seed-{configuration.seed}", f"run-{repetition}"]
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", "_".join(words))[:120]
    digest = hashlib.sha256(msgspec.json.encode(chosen(configuration), order="sorted")).hexdigest()
    return f"{plain}_{digest[:8]}"


def chosen(configuration: Configuration) -> dict[str, Any]:
    """The fields that are not at their defaults: another revision, with other fields, understands these too."""
    default = Configuration()
    fields = msgspec.structs.asdict(configuration).items()
    return {name: value for name, value in fields if value != getattr(default, name)}


def _toml(path: Path, code: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(code, f"{path}: {error}") from error
