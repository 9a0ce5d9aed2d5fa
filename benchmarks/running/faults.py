"""Disturbing the network on time: "10:kill:0,25:restart:0"."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

from benchmarks.errors import BenchError
from benchmarks.results.schema import Mark
from guildmark.cluster.local import LocalCluster
from guildmark.errors import ClusterError

Action = Literal["kill", "pause", "resume", "restart"]
_EVENT: Final = re.compile(r"\A\s*(\d+(?:\.\d+)?):([a-z]+):(\d+)\s*\Z")


class Fault(NamedTuple):
    at_s: float
    action: Action
    node: int


def parse_faults(text: str, validators: int, duration_s: float) -> tuple[Fault, ...]:
    """Read "SECONDS:ACTION:NODE,...", in order of time.

    Raises:
        BenchError: `faults.malformed`.
    """
    found: list[Fault] = []
    for part in filter(None, text.split(",")):
        match = _EVENT.match(part)
        if match is None or match[2] not in get_args(Action):
            raise BenchError(
                "faults.malformed", f"{part!r} is not SECONDS:ACTION:NODE with one of {', '.join(get_args(Action))}"
            )
        fault = Fault(float(match[1]), match[2], int(match[3]))  # type: ignore[arg-type]  # checked above
        if fault.node >= validators or fault.at_s > duration_s:
            raise BenchError("faults.malformed", f"{part!r}: there is no such validator, or the run has ended by then")
        if found and fault.at_s < found[-1].at_s:
            raise BenchError("faults.malformed", f"{part!r} comes before what is written before it")
        found.append(fault)
    return tuple(found)


class FaultSchedule:
    """Carries faults out, in a thread of its own."""

    def __init__(self, faults: tuple[Fault, ...], cluster: LocalCluster, on_restarted: Callable[[int], None]) -> None:
        self._faults = faults
        self._cluster = cluster
        self._on_restarted = on_restarted
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self._began_ns = 0
        self.marks: list[Mark] = []
        self.killed_at_ns: dict[int, list[int]] = {}
        """When a validator lost its memory: a kill, or the end before a restart."""
        self.errors: list[str] = []

    @property
    def disturbed(self) -> set[int]:
        """Validators that did not run from beginning to end."""
        return {fault.node for fault in self._faults}

    def start(self, began_ns: int) -> None:
        """`began_ns` is the monotonic time from which the faults count."""
        self._began_ns = began_ns
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        for fault in self._faults:
            wait_s = self._began_ns / 1e9 + fault.at_s - time.monotonic()
            if self._stop.wait(max(0.0, wait_s)):
                return
            try:
                self._do(fault)
            except ClusterError as error:
                self.errors.append(f"{fault.action} of validator {fault.node} failed: {error.message}")

    def _do(self, fault: Fault) -> None:
        at_ns = time.monotonic_ns()
        self.marks.append(Mark((at_ns - self._began_ns) / 1e9, f"{fault.action} {fault.node}"))
        if fault.action == "pause":
            self._cluster.pause(fault.node)
        elif fault.action == "resume":
            self._cluster.resume(fault.node)
        elif fault.action == "kill":
            self.killed_at_ns.setdefault(fault.node, []).append(at_ns)
            self._cluster.kill(fault.node)
        else:
            if self._cluster.nodes[fault.node].running() is not None:
                self.killed_at_ns.setdefault(fault.node, []).append(at_ns)
            self._cluster.restart(fault.node, wait_ready=False)
            self._on_restarted(fault.node)
