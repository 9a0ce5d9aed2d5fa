"""Measuring a network: `run` starts one, offers it a load, checks what came of it, and says what it cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration, Result

__all__ = ["run"]


def run(configuration: Configuration, directory: Path, progress: Callable[[str], None]) -> Result:
    """Measure, in `directory`, which is made where there is none and keeps what the run wrote.

    Raises:
        BenchError: it cannot be run. A run that was made and does not count is a result with `errors`.
        ClusterError: the network did not start.
    """
    if configuration.kind == "simulated":
        from benchmarks.simulated.running import run as simulate

        return simulate(configuration, directory, progress)
    if configuration.attach:
        raise BenchError("attach.account", "a running network is measured by `guildmark bench run --attach` only")
    from benchmarks.running.real import run_real

    return run_real(configuration, directory, progress)
