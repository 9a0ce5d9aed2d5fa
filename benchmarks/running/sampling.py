"""Processor time and memory of processes, looked at from outside: their own threads and children included."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import psutil  # type: ignore[import-untyped]  # ships no types

PERIOD_S: Final = 1.0


class Sample(NamedTuple):
    """One process with its descendants."""

    at_ns: int
    cpu_s: float
    rss_bytes: int


def look(process_id: int) -> Sample | None:
    """Return what a process and its children have used so far; None when it has ended."""
    try:
        process = psutil.Process(process_id)
        family = [process, *process.children(recursive=True)]
        cpu_s, rss_bytes = 0.0, 0
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess), member.oneshot():
                times = member.cpu_times()
                cpu_s += times.user + times.system
                rss_bytes += member.memory_info().rss
        return Sample(time.monotonic_ns(), cpu_s, rss_bytes)
    except psutil.NoSuchProcess:
        return None


class Sampler:
    """Looks once a second, from a thread of its own, at named processes."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in processes}
        self._processes = dict(processes)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    @property
    def started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        self.look()
        self._thread.start()

    def replace(self, name: str, process_id: int) -> None:
        """A process was started anew."""
        with self._lock:
            self._processes[name] = process_id

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Look now, beside the regular times."""
        with self._lock:
            for name, process_id in self._processes.items():
                sample = look(process_id)
                if sample is not None:
                    self.samples[name].append(sample)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self.look()
