"""Our top-level packages have everyday names (`node`, `ledger`, ...): find out where another project has them too.

Node processes are safe from it (`guildmark.cluster.interpreter`). In the test process itself the module path decides,
and whoever comes first on it wins for both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

OURS = Path(__file__).resolve().parents[2]
NEEDED = ("primitives", "ledger", "artifacts")
"""What the fixtures import in the test process."""
OTHERS = ("consensus", "p2p", "node", "simulation", "benchmarks")
"""What only node processes import."""


class Clash(NamedTuple):
    """Two packages or modules with one name on the module path."""

    name: str
    foreign: Path
    foreign_wins: bool
    """Whether `import name` in this process gives the other project's."""

    def __str__(self) -> str:
        winner, loser = (self.foreign, OURS / self.name) if self.foreign_wins else (OURS / self.name, self.foreign)
        return f"`{self.name}`: {winner} hides {loser}"


def find_clashes(names: Iterable[str] = (*NEEDED, *OTHERS), path: Iterable[str] | None = None) -> list[Clash]:
    """Look for regular packages and modules of our names elsewhere on the module path. Imports nothing."""
    entries = [Path(entry or ".").resolve() for entry in (sys.path if path is None else path)]
    found = []
    for name in names:
        for position, entry in enumerate(entries):
            foreign = _module_in(entry, name)
            if foreign is not None and entry != OURS:
                found.append(Clash(name, foreign, _wins(name, position, entries)))
                break
    return found


def _module_in(entry: Path, name: str) -> Path | None:
    if (entry / name / "__init__.py").is_file():
        return entry / name
    module = entry / f"{name}.py"
    return module if module.is_file() else None


def _wins(name: str, position: int, entries: list[Path]) -> bool:
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return OURS not in Path(loaded).resolve().parents
    return OURS not in entries or position < entries.index(OURS)
