"""Runs on the machines of a Ray cluster, behind the same interface as processes of this one.

Jobs are placed by us, on named machines: a real run must have its machine for itself, which Ray's counting of
processors does not promise. Raw events and logs stay on the machine that did the run; the result comes back.
"""

from __future__ import annotations

import logging
import os
import secrets
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from benchmarks.errors import BenchError
from benchmarks.sweeps.job import Job, Outcome

LOCAL: Final = "local"
"""Instead of an address: a cluster of this machine alone, for the time of the sweep."""
QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
}
"""Ray reports to nobody, and warns of nothing that does not concern runs."""


class RayFanout:
    """A Ray cluster; one job a machine at a time, or with `share` one a processor."""

    def __init__(self, address: str, *, share: bool, workers: int | None = None) -> None:
        """Join the cluster. Raises BenchError (`ray.missing`, `ray.unreachable`)."""
        self._environment = dict(os.environ)
        os.environ.update(QUIET)
        if address == LOCAL:
            # Ray would keep its secret in the home directory; this one lives as long as the cluster. Ray reads it when
            # it is imported.
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        try:
            import ray
        except ImportError as error:
            self._restore_environment()
            raise BenchError("ray.missing", "Ray is not installed: pip install 'guildmark[ray]'") from error
        self._ray = ray
        self._waiting: deque[Job] = deque()
        self._running: dict[Any, tuple[Job, str]] = {}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        options: dict[str, Any] = {"address": address}
        if address == LOCAL:
            # A short path, as Unix sockets live in it; ours, so that nothing is left.
            self._scratch = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
            options = {
                "address": "local",
                "include_dashboard": False,
                "num_cpus": workers or os.cpu_count() or 1,
                "object_store_memory": 100 * 1024 * 1024,
                "_temp_dir": self._scratch.name,
            }
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except Exception as error:
            self.close()
            raise BenchError("ray.unreachable", f"Ray at {address}: {error}") from error
        self._free = deque(self._slots(share)[: workers or None])

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
            while self._waiting and self._free:
                self._start(self._waiting.popleft(), self._free.popleft())
            if not self._running:
                yield Outcome(self._waiting.popleft().name, None, "ray.no_machine", "no machine of the cluster is left")
                continue
            ready, _ = self._ray.wait(list(self._running), num_returns=1)
            for reference in ready:
                yield self._collect(reference)

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=False)
        self._running.clear()
        self._waiting.clear()
        self._ray.shutdown()
        if self._scratch is not None:
            self._scratch.cleanup()
        self._restore_environment()

    def _restore_environment(self) -> None:
        os.environ.clear()
        os.environ.update(self._environment)

    def _slots(self, share: bool) -> list[str]:
        """The machines' ids, each as often as it may have jobs at one time."""
        slots = []
        for machine in self._ray.nodes():
            if machine["Alive"]:
                slots += [machine["NodeID"]] * (int(machine["Resources"].get("CPU", 0)) if share else 1)
        return slots

    def _collect(self, reference: Any) -> Outcome:
        job, machine = self._running.pop(reference)
        try:
            outcome = msgspec.json.decode(self._ray.get(reference), type=Outcome)
        except Exception as error:
            # A machine or process that is gone, or code that is not there.
            outcome = Outcome(job.name, None, "run.died", f"on machine {machine[:8]}: {error}".strip())
            if machine not in self._slots(share=False):
                return outcome
        self._free.append(machine)
        return outcome

    def _start(self, job: Job, machine: str) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self._ray.remote(_perform).options(
            max_retries=0, num_cpus=1, scheduling_strategy=NodeAffinitySchedulingStrategy(machine, soft=False)
        )
        self._running[task.remote(msgspec.json.encode(job))] = job, machine


def _perform(data: bytes) -> bytes:
    """Do one job on the machine that Ray called; bytes, so that both sides may have other versions of msgspec."""
    from benchmarks.sweeps.job import perform

    job = msgspec.json.decode(data, type=Job)
    Path(job.directory).mkdir(parents=True, exist_ok=True)
    return msgspec.json.encode(perform(job, lambda text: print(text, flush=True)))
