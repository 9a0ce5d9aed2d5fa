"""All entries of `operation_costs`, and whether they are complete."""

from __future__ import annotations

from typing import Final

from benchmarks.errors import BenchError
from benchmarks.micro import (  # noqa: F401 - each enters its own
    operation_entries_attestations,
    operation_entries_charters,
    operation_entries_contributions,
    operation_entries_core,
    operation_entries_decisions,
    operation_entries_licenses,
    operation_entries_trade,
)
from benchmarks.micro.operation_entry import ENTRIES, Ready
from benchmarks.micro.operation_world import World
from ledger.operations import Registry

_HINT: Final = "add a function to benchmarks/micro/operation_entries_*.py"


def check_complete(registry: Registry) -> None:
    """Refuse to measure where an operation is missing, or an entry has none.

    Raises:
        BenchError: `operation_costs.incomplete`, naming the tags.
    """
    tags = {str(operation.__struct_config__.tag) for operation in registry.handlers}
    known = {tag for tag, _ in ENTRIES}
    if missing := sorted(tags - known):
        raise BenchError("operation_costs.incomplete", f"no entry for {', '.join(missing)}: {_HINT}")
    if foreign := sorted(known - tags):
        raise BenchError(
            "operation_costs.incomplete", f"entries for operations that do not exist: {', '.join(foreign)}"
        )


def prepare(registry: Registry, tag: str, variant: str) -> tuple[World, Ready]:
    """Prepare a world for one entry.

    Raises:
        BenchError: `operation_costs.entry`, it prepares another operation; `operation_costs.refused`, by `World.do`.
    """
    world = World(registry)
    ready = ENTRIES[tag, variant](world)
    made = type(ready.operation).__struct_config__.tag
    if made != tag:
        raise BenchError("operation_costs.entry", f"the entry for {tag} prepares {made}")
    return world, ready
