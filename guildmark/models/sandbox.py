"""Run a module that may do anything, in a child that can do little: limits, no network, own directory, bounded output.

What holds where: resource limits, the wall clock, bounded output, bounds on what the process tree uses in all, and its
end as a whole, everywhere; no network, no foreign processes, no foreign files, no disk and no memory that none of its
processes shows, where the kernel permits (`Outcome.isolation` says which). The child sees the interpreter, installed
packages, the paths it is given and its own directory. The kernel keeps the limits of single processes and files. Sums
are looked at ten times a second, and a fast child can exceed them until the next look (`usage` says by how much);
those of a scratch directory it cannot.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from guildmark.models.errors import ConfinedRunFailed
from guildmark.models.usage import Bounds

GIBIBYTE: Final = 1 << 30
_ROOT: Final = Path(__file__).resolve().parents[2]
"""Where this package lies: a clone, or the directory of installed packages."""
_PACKAGES: Final = ("guildmark", "artifacts", "primitives", "ledger")
_SYSTEM_PATHS: Final = ("/usr", "/lib", "/lib64", "/bin", "/proc", "/sys", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES: Final = ("/dev/null", "/dev/urandom", "/dev/random")
"""Not /dev/zero: mapped by several it is memory that none of them shows."""
_STDERR_TAIL_BYTES: Final = 16 << 10
_READ_BYTES: Final = 64 << 10
_REPORT_BYTES_MAX: Final = 4 << 10
_STOP_S: Final = 2.0
"""How long the supervisor gets to kill and reap the worker before it is killed itself."""
_POLL_S: Final = 0.1


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the child may use. A limit of the process that is already lower stays."""

    wall_ms: int = 60_000
    cpu_seconds: int = 120
    """Of each process."""
    address_space_bytes: int = 8 * GIBIBYTE
    """Of each process. TensorFlow maps several GiB that it never touches."""
    memory_bytes: int = 8 * GIBIBYTE
    """What all processes hold together, a scratch directory not included."""
    file_bytes: int = 256 << 20
    """Of each file that it writes."""
    directory_bytes: int = GIBIBYTE
    """By how much its directory may grow."""
    directory_files: int = 1_024
    """By how many files and directories. Each look counts them all, so this bounds what a look takes."""
    open_files: int = 256
    """Of each process."""
    processes: int = 32
    """At one time, ended ones that nobody has waited for included."""
    tasks: int = 1_024
    """Threads of all processes together."""
    user_tasks: int = 4_096
    """Threads of this user in all, the child's and others', where it gets no user namespace (nothing to root)."""
    stdout_bytes: int = 1 << 20
    stderr_bytes: int = 16 << 20
    """Above either, the child is killed; only the end of stderr is kept."""
    threads: int = 2
    """For computing: what libraries are told."""
    nice: int = 0
    """Added to the caller's niceness: how far the child stands back behind other processes, 0 to 19."""


_STOPPED: Final = {
    "timeout": "ran out of time",
    "output": "wrote too much to its output",
    "disk": "wrote more files, or more to them, than it may",
    "memory": "took more memory than it may",
    "processes": "started more processes or threads than it may",
}


class Outcome(NamedTuple):
    """How a confined run ended."""

    returncode: int | None
    """Exit status, minus the signal that ended it, or None when it had to be stopped."""
    stopped: str
    """`` when it ended by itself, else `timeout`, `output`, `disk`, `memory` or `processes`."""
    stdout: bytes
    stderr: str
    """The end of it."""
    isolation: tuple[str, ...]
    """Of `network`, `processes`, `files`, `memory`, and `disk` of a scratch directory: what the system permitted beyond
    the limits."""
    elapsed_ms: int

    def check(self) -> Outcome:
        """Return this outcome when it is a success.

        Raises:
            ConfinedRunFailed: `confined.timeout`, `confined.output`, `confined.disk`, `confined.memory`,
                `confined.processes`, `confined.killed` (a signal), `confined.failed`.
        """
        if self.stopped:
            raise ConfinedRunFailed(f"confined.{self.stopped}", f"the child {_STOPPED[self.stopped]}", self.stderr)
        if self.returncode is None or self.returncode < 0:
            raise ConfinedRunFailed("confined.killed", f"the child was killed ({self._signal()})", self.stderr)
        if self.returncode:
            raise ConfinedRunFailed("confined.failed", f"the child ended with status {self.returncode}", self.stderr)
        return self

    def _signal(self) -> str:
        with contextlib.suppress(ValueError):
            return signal.Signals(-(self.returncode or 0)).name
        return "signal unknown"


def run_module(
    module: str,
    arguments: Sequence[str],
    *,
    directory: Path,
    scratch: bool = False,
    readable: Sequence[Path] = (),
    limits: Limits | None = None,
    on_line: Callable[[bytes], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run `python -m module arguments...` confined to `directory`, its working, temporary and home directory.

    `scratch` says that nothing is wanted that lies there before or afterwards: where the system permits, the child gets
    an empty file system in memory in its place. `readable` names further files and directories that it may read.
    `on_line` gets each line of stdout as it comes, without its end. Blocks until the child and all its descendants are
    gone; call it in a thread beside an event loop.

    Raises:
        OSError: no process could be started.
        whatever `on_line` raises, after the child was killed.
    """
    limits = limits or Limits()
    report_read, report_write = os.pipe()
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "guildmark.models.confine"),
                _specification(directory, scratch, readable, limits, report_write),
                *(module, *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=_environment(directory, limits, environment or {}),
            pass_fds=(report_write,),
            start_new_session=True,
        )
    except BaseException:
        os.close(report_read)
        raise
    finally:
        os.close(report_write)
    with process, os.fdopen(report_read, "rb") as report:
        collector = _Collector(process, limits, on_line)
        try:
            stopped = collector.run(started + limits.wall_ms / 1_000)
        finally:
            _stop(process)
        told = report.read(_REPORT_BYTES_MAX)
    isolation, returncode, exceeded = _read_report(told)
    stopped = stopped or exceeded
    elapsed_ms = int((time.monotonic() - started) * 1_000)
    stderr = collector.stderr.decode("utf-8", "replace")
    return Outcome(None if stopped else returncode, stopped, bytes(collector.stdout), stderr, isolation, elapsed_ms)


class _Collector:
    """Reads both pipes within their bounds until the child closes them, dies or is out of time."""

    def __init__(
        self, process: subprocess.Popen[bytes], limits: Limits, on_line: Callable[[bytes], None] | None
    ) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._process = process
        self._limits = limits
        self._on_line = on_line
        self._line_start = 0
        self._stderr_bytes = 0

    def run(self, deadline: float) -> str:
        """Return why the child must be stopped: nothing (it ended), `timeout` or `output`."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, self._on_stdout)
            selector.register(self._process.stderr, selectors.EVENT_READ, self._on_stderr)
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    return "timeout"
                for key, _ in selector.select(min(left, _POLL_S)):
                    data = os.read(key.fd, _READ_BYTES)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif not key.data(data):
                        return "output"
        while self._process.poll() is None:
            if time.monotonic() >= deadline:
                return "timeout"
            time.sleep(0.005)
        return ""

    def _on_stdout(self, data: bytes) -> bool:
        self.stdout += data
        if len(self.stdout) > self._limits.stdout_bytes:
            del self.stdout[self._limits.stdout_bytes :]
            return False
        while self._on_line and (end := self.stdout.find(b"\n", self._line_start)) >= 0:
            line = bytes(self.stdout[self._line_start : end])
            self._line_start = end + 1
            self._on_line(line)
        return True

    def _on_stderr(self, data: bytes) -> bool:
        self._stderr_bytes += len(data)
        self.stderr += data
        del self.stderr[:-_STDERR_TAIL_BYTES]
        return self._stderr_bytes <= self._limits.stderr_bytes


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the child with everything below it, and reap it."""
    if process.poll() is None:
        process.terminate()  # the supervisor kills and reaps the worker and its descendants
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _read_report(told: bytes) -> tuple[tuple[str, ...], int | None, str]:
    """The worker cannot write here once its module runs, so these lines are our own."""
    facts: dict[str, object] = {}
    for line in told.splitlines():
        facts |= msgspec.json.decode(line, type=dict[str, object])
    isolation = msgspec.convert(facts.get("isolation", []), tuple[str, ...])
    returncode = msgspec.convert(facts.get("returncode"), int | None)
    return isolation, returncode, msgspec.convert(facts.get("stopped", ""), str)


def _specification(directory: Path, scratch: bool, readable: Sequence[Path], limits: Limits, report: int) -> str:
    stdlib = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    prefixes = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent)}
    read = {*_SYSTEM_PATHS, *_DEVICES, *stdlib, *prefixes, *(str(_ROOT / name) for name in _PACKAGES)}
    return json.dumps(
        {
            "report_descriptor": report,
            "directory": str(directory.resolve()),
            "scratch": scratch,
            "bounds": {name: getattr(limits, name) for name in Bounds._fields},
            "nice": limits.nice,
            "limits": {
                "RLIMIT_AS": limits.address_space_bytes,
                "RLIMIT_CPU": limits.cpu_seconds,
                "RLIMIT_FSIZE": limits.file_bytes,
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_NPROC": limits.user_tasks,
                "RLIMIT_CORE": 0,
            },
            "read": sorted(read | {str(path.resolve()) for path in readable}),
            "list": [str(_ROOT)],
            "write": [str(directory.resolve()), "/dev/null"],
        }
    )


def _environment(directory: Path, limits: Limits, more: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's environment, which may hold secrets, but the way to programs; and `more`."""
    threads = str(limits.threads)
    # The child runs the packages of this very process, wherever an installation of the same name points.
    places = [str(_ROOT), *filter(None, [more.get("PYTHONPATH")])]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": str(directory / ".keras"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Other kernels give other sums; the accuracy should not depend on which of them a machine has.
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    } | {**more, "PYTHONPATH": os.pathsep.join(places)}
