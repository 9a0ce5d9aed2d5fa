"""Processor time and memory of processes, looked at from outside: their own threads and children included."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import psutil  # type: ignore[import-untyped]  # ships no types

PERIOD_S: Final = 1.0
LOOKS_PER_SEARCH: Final = 15


class Sample(NamedTuple):
    """One process with its descendants."""

    at_ns: int
    cpu_s: float
    rss_bytes: int


class Family:
    """A process and its descendants, found again now and then: finding them reads about every process there is."""

    def __init__(self, process_id: int) -> None:
        self._process_id = process_id
        self._members: list[psutil.Process] = []
        self._looks = 0

    def search(self) -> None:
        """Look for descendants at the next look."""
        self._looks = 0

    def look(self) -> Sample | None:
        """Return what they have used so far; None when the process has ended."""
        try:
            if self._looks % LOOKS_PER_SEARCH == 0:
                process = psutil.Process(self._process_id)
                self._members = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return None
        self._looks += 1
        cpu_s, rss_bytes = 0.0, 0
        for member in self._members:
            try:
                with member.oneshot():
                    times = member.cpu_times()
                    cpu_s += times.user + times.system
                    rss_bytes += member.memory_info().rss
            except psutil.NoSuchProcess:
                if member.pid == self._process_id:
                    return None
        return Sample(time.monotonic_ns(), cpu_s, rss_bytes)


OURSELVES: Final = "runner"
"""Who orders all this, and every process that it has started: all that is ours."""
MACHINE: Final = "machine"
"""Everything that runs, ours or not; what a hypervisor took counts as busy."""


def look_at_machine() -> Sample:
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # guest and guest_nice are part of user and nice.
    return Sample(time.monotonic_ns(), sum(times[:8]) - idle_s, 0)


class Sampler:
    """Looks once a second, from a thread of its own, at named processes and at the whole machine."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in (*processes, MACHINE)}
        self._families = {name: Family(process_id) for name, process_id in processes.items()}
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
            self._families[name] = Family(process_id)
            for family in self._families.values():
                family.search()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Look now, beside the regular times."""
        with self._lock:
            self.samples[MACHINE].append(look_at_machine())
            for name, family in self._families.items():
                sample = family.look()
                if sample is not None:
                    self.samples[name].append(sample)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self.look()
