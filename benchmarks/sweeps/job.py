"""One run in a process of its own: `python -m benchmarks.sweeps.job JOB OUTCOME`, both JSON files.

A fresh process a run keeps caches, memory and garbage of one run out of the next, and lets another checkout or
interpreter do the run.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.results.schema import Configuration, Result, write
from guildmark.errors import GuildmarkError
from node.parents import end_with_parent

RUNNER: Final = "benchmarks.running:run"
"""Module and function that make a run."""

RUN_FILES: Final = "run"

Run = Callable[[Configuration, Path, Callable[[str], None]], Result]


class Job(msgspec.Struct, frozen=True):
    name: str
    configuration: Configuration
    directory: str
    """On the machine that does the run: the job and its log, and in `run/` whatever the run writes."""
    runner: str = RUNNER


class Outcome(msgspec.Struct, frozen=True):
    """What became of a job: a result, which may not count, or the reason why there is none."""

    name: str
    result: bytes | None
    """As it is stored."""
    code: str = ""
    message: str = ""


def perform(job: Job, progress: Callable[[str], None]) -> Outcome:
    """Do the run here. Never raises for what a run may meet; only an interruption passes."""
    try:
        module, name = job.runner.split(":")
        run: Run = getattr(importlib.import_module(module), name)
        return Outcome(job.name, write(run(job.configuration, Path(job.directory) / RUN_FILES, progress)))
    except GuildmarkError as error:  # it cannot be run, or the network did not start
        return Outcome(job.name, None, error.code, error.message)
    except Exception as error:
        # Whatever a run dies of is what its row says; the trace is in the log.
        import traceback

        traceback.print_exc()
        return Outcome(job.name, None, "run.crashed", f"{type(error).__name__}: {error}")


def main() -> int:
    end_with_parent()
    job_path, outcome_path = map(Path, sys.argv[1:3])
    job = msgspec.json.decode(job_path.read_bytes(), type=Job)
    outcome = perform(job, lambda text: print(text, file=sys.stderr, flush=True))
    outcome_path.write_bytes(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
