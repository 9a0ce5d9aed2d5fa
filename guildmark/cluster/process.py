"""One node process: started in the background, known by its pid and start time, ended by whoever started it.

A pid alone is not enough: after a restart of the machine another process may have it. Only a process whose start time
is the recorded one is ever signaled.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types

from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.errors import ClusterError

LOG_TAIL_LINES: Final = 20
POLL_S: Final = 0.01
_START_TIME_TOLERANCE_S: Final = 0.02
_RECORD: Final = "process.json"


class Listening(msgspec.Struct, frozen=True):
    """The line that a node writes on standard output when it serves; other members are ignored."""

    event: str
    api: str = ""
    p2p: str = ""
    node_id: str = ""


class ProcessRecord(msgspec.Struct, frozen=True):
    """Which process runs in a node's directory."""

    pid: int
    started_at_s: float
    """As the system states it, in seconds since the epoch."""
    api: str = ""


@functools.lru_cache(maxsize=1)
def _launcher() -> concurrent.futures.ThreadPoolExecutor:
    """The one thread that starts processes.

    The signal that a child gets when its parent ends is sent when the *thread* ends that started it; this one lives as
    long as the process.
    """
    return concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="guildmark-launcher")


class NodeProcess:
    """The process of the node in `directory`, whether this program or an earlier one started it."""

    def __init__(self, directory: Path, logs: Path) -> None:
        self.directory = directory
        self.name = directory.name
        self.log_path = logs / f"{directory.name}.log"
        self._output_path = logs / f"{directory.name}.out"
        self._child: subprocess.Popen[bytes] | None = None
        self._output_start = 0

    # Looking

    def record(self) -> ProcessRecord | None:
        """What is known of the last process, running or not."""
        try:
            return msgspec.json.decode((self.directory / _RECORD).read_bytes(), type=ProcessRecord)
        except (OSError, msgspec.MsgspecError):
            return None

    def running(self) -> psutil.Process | None:
        """The recorded process, if it is still the same one and has not ended."""
        if self._child is not None and self._child.poll() is not None:
            return None
        record = self.record()
        if record is None:
            return None
        try:
            process = psutil.Process(record.pid)
            same = abs(process.create_time() - record.started_at_s) < _START_TIME_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def api(self) -> str:
        """The base URL. Empty while the node has never listened."""
        record = self.record()
        return "" if record is None else record.api

    def tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The end of the log, for people."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, self.log_path.stat().st_size - 64 * 1024))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # Starting

    def start(self, *, exit_with_parent: bool) -> None:
        """Start the process and return at once; `wait_listening` follows.

        Raises:
            ClusterError: `cluster.running`, `cluster.start`.
        """
        if self.running() is not None:
            raise ClusterError("cluster.running", f"{self.name} is running already")
        arguments = ["start", "--data-dir", str(self.directory)]
        if exit_with_parent:
            arguments.append("--exit-with-parent")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._output_path.open("ab") as output, self.log_path.open("ab") as log:
            self._output_start = output.tell()

            def spawn() -> subprocess.Popen[bytes]:
                return subprocess.Popen(
                    node_command(*arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=log,
                    cwd=self.directory,
                    env=node_environment(),
                    start_new_session=True,
                )

            try:
                child = _launcher().submit(spawn).result()
            except OSError as error:
                raise ClusterError("cluster.start", f"{self.name}: {error}") from error
        self._child = child
        self._write_record(ProcessRecord(child.pid, psutil.Process(child.pid).create_time()))

    def listening(self) -> Listening | None:
        """What the process that `start` began says about where it listens; None while it does not.

        Raises:
            ClusterError: `cluster.exited`, with the end of its log.
        """
        assert self._child is not None, "start comes first"
        exited = self._child.poll()
        with self._output_path.open("rb") as file:
            file.seek(self._output_start)
            for line in file:
                found = _listening(line)
                if found is not None:
                    record = self.record()
                    assert record is not None
                    self._write_record(msgspec.structs.replace(record, api=found.api))
                    return found
        if exited is not None:
            raise ClusterError("cluster.exited", f"{self.name} ended with status {exited}\n{self.tail()}")
        return None

    def wait_listening(self, deadline: float) -> Listening:
        """Wait for it until `deadline` (monotonic seconds). Raises as `listening`, or `cluster.timeout`."""
        while True:
            found = self.listening()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise ClusterError("cluster.timeout", f"{self.name} does not listen yet\n{self.tail()}")
            time.sleep(POLL_S)

    # Ending and disturbing

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to the recorded process; False when it is not running."""
        process = self.running()
        if process is None:
            return False
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return False
        return True

    def pause(self, timeout_s: float = 5.0) -> bool:
        """Stop its execution and wait until it has stopped; False when it is not running."""
        deadline = time.monotonic() + timeout_s
        sent = self.signal(signal.SIGSTOP)
        while (process := self.running()) is not None and time.monotonic() < deadline:
            try:
                if process.status() == psutil.STATUS_STOPPED:
                    break
            except psutil.NoSuchProcess:
                return False
            time.sleep(POLL_S)
        return sent

    def terminate(self) -> bool:
        """Ask it to end. A paused process is woken, or it would never hear."""
        sent = self.signal(signal.SIGTERM)
        return self.signal(signal.SIGCONT) or sent

    def kill(self, timeout_s: float = 10.0) -> bool:
        """End it at once by SIGKILL and wait until it is gone; False when it was not running."""
        killed = self.signal(signal.SIGKILL)
        self.wait_ended(time.monotonic() + timeout_s)
        return killed

    def wait_ended(self, deadline: float) -> bool:
        """Wait until it has ended, at most until `deadline` (monotonic seconds); tell whether it has."""
        # Asked rather than waited for: another program's child stays as a zombie until that program looks.
        while self.running() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        (self.directory / _RECORD).unlink(missing_ok=True)
        if self._child is not None:
            self._child.wait()  # it may have ended after it was last asked: nobody else reaps it
            self._child = None
        return True

    def _write_record(self, record: ProcessRecord) -> None:
        path = self.directory / _RECORD
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(record))
        os.replace(fresh, path)


def _listening(line: bytes) -> Listening | None:
    if not line.endswith(b"\n"):
        return None
    try:
        found = msgspec.json.decode(line, type=Listening)
    except msgspec.MsgspecError:
        return None
    return found if found.event == "listening" else None
