"""Where runs happen: one small interface, and processes of this machine behind it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec
from msgspec.structs import asdict

from benchmarks.errors import BenchError
from benchmarks.sweeps.job import Job, Outcome
from benchmarks.sweeps.specification import chosen

POLL_S: Final = 0.05
STOP_TIMEOUT_S: Final = 30.0
"""How long an interrupted run may take to stop its network."""
LOG_LINES: Final = 3
"""Of a process that died, in its reason."""


class Fanout(Protocol):
    """Takes jobs, runs them somewhere, and gives what became of each as they end, in any order.

    Every submitted job has exactly one outcome, also when the process or machine that ran it is gone.
    """

    def submit(self, job: Job) -> None: ...

    def outcomes(self) -> Iterator[Outcome]: ...

    def close(self) -> None:
        """Stop what is running, and return when it has stopped."""
        ...


class Program:
    """Which interpreter and checkout do the runs: this one, or another to compare with."""

    def __init__(self, python: str = "", checkout: str = "") -> None:
        """Raise BenchError (`program.missing`)."""
        self.checkout = Path(checkout).expanduser().resolve() if checkout else None
        if self.checkout and not (self.checkout / "benchmarks" / "sweeps" / "job.py").is_file():
            raise BenchError("program.missing", f"{self.checkout} is no checkout with benchmarks/sweeps/job.py")
        own = self.checkout / ".venv" / "bin" / "python" if self.checkout else None
        self.python = shutil.which(python) if python else str(own) if own and own.exists() else sys.executable
        if not self.python:
            raise BenchError("program.missing", f"there is no interpreter {python}")

    def command(self, job: Path, outcome: Path) -> list[str]:
        return [str(self.python), "-P", "-m", "benchmarks.sweeps.job", str(job), str(outcome)]

    def describe(self, job: Job) -> bytes:
        """The job's file. Another revision is told only what was chosen, as it may not know every field."""
        if self.checkout is None:
            return msgspec.json.encode(job)
        return msgspec.json.encode(asdict(job) | {"configuration": chosen(job.configuration)})

    def environment(self) -> dict[str, str]:
        paths = [str(self.checkout)] if self.checkout else [path for path in sys.path if path]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class LocalFanout:
    """Processes of this machine, `workers` at a time."""

    def __init__(self, workers: int = 1, program: Program | None = None) -> None:
        self._workers = workers
        self._program = program or Program()
        self._waiting: deque[Job] = deque()
        self._running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: Job) -> None:
        self._waiting.append(job)

    def outcomes(self) -> Iterator[Outcome]:
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._workers:
                self._start(self._waiting.popleft())
            ended = [job for job, process in self._running.values() if process.poll() is not None]
            for job in ended:
                _, process = self._running.pop(job.name)
                yield _collect(job, process.returncode)
            if not ended:
                time.sleep(POLL_S)

    def close(self) -> None:
        """Ask running jobs to stop as Ctrl-C does, so that they take their networks along; then end them."""
        self._waiting.clear()
        processes = [process for _, process in self._running.values()]
        self._running.clear()
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, job: Job) -> None:
        directory = Path(job.directory)
        directory.mkdir(parents=True, exist_ok=True)
        request, answer, log = (directory / name for name in ("job.json", "outcome.json", "job.log"))
        answer.unlink(missing_ok=True)
        request.write_bytes(self._program.describe(job))
        with log.open("wb") as stream:
            process = subprocess.Popen(
                self._program.command(request, answer),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=self._program.environment(),
                start_new_session=True,  # Ctrl-C is for us; it reaches them once, by close()
            )
        self._running[job.name] = job, process


def _collect(job: Job, code: int) -> Outcome:
    directory = Path(job.directory)
    answer = directory / "outcome.json"
    try:
        outcome = msgspec.json.decode(answer.read_bytes(), type=Outcome)
        answer.unlink()
        return outcome
    except (OSError, msgspec.MsgspecError):
        lines = (directory / "job.log").read_text(encoding="utf-8", errors="replace").split("\n")
        last = " | ".join([line.strip() for line in lines if line.strip(" ^~")][-LOG_LINES:])
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Outcome(job.name, None, "run.died", f"the process ended with {how}{': ' if last else ''}{last}")
