"""Workloads by name, or from a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.workloads.transfers import Transfers
from benchmarks.workloads.workload import Workload

_KNOWN: Final[dict[str, Callable[[], Workload]]] = {"transfers": Transfers}


def workload(name: str) -> Workload:
    """Return the workload of a name, or of the file at a path.

    Raises:
        BenchError: `workload.unknown`, `workload.malformed`.
    """
    if name in _KNOWN:
        return _KNOWN[name]()
    raise BenchError("workload.unknown", f"{name!r} is no file, and none of {', '.join(sorted(_KNOWN))}")
