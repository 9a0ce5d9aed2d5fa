"""Workloads by name, or from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.workloads.opaque import Opaque
from benchmarks.workloads.trade import Parameters, Trade, read_parameters
from benchmarks.workloads.transfers import Transfers
from benchmarks.workloads.workload import Workload

LICENSES: Final = Parameters({"purchase": 1})
MARKET: Final = Parameters({"purchase": 60, "offer": 15, "transfer": 25})
MIXED: Final = Parameters({"transfer": 70, "purchase": 30})

_KNOWN: Final[dict[str, Callable[[], Workload]]] = {
    "transfers": Transfers,
    "licenses": lambda: Trade("licenses", LICENSES),
    "market": lambda: Trade("market", MARKET),
    "mixed": lambda: Trade("mixed", MIXED),
    "opaque": Opaque,
}


def workload(name: str) -> Workload:
    """Return the workload of a name, or of the file at a path.

    Raises:
        BenchError: `workload.unknown`, `workload.malformed`.
    """
    if name in _KNOWN:
        return _KNOWN[name]()
    path = Path(name)
    if path.is_file():
        return Trade(path.stem, read_parameters(path))
    raise BenchError("workload.unknown", f"{name!r} is no file, and none of {', '.join(sorted(_KNOWN))}")
