"""Carrying out a plan on a network that is set up, and collecting what it leaves behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.generator.plan import Plan, write_plan
from benchmarks.measurement.events import NodeEvents
from benchmarks.running.checks import read_chain
from benchmarks.running.evidence import Evidence, read_requests
from benchmarks.running.faults import FaultSchedule
from benchmarks.running.network import Network
from benchmarks.running.offerer import Generator
from benchmarks.running.sampling import OURSELVES, Sampler
from guildmark.cluster import probe
from guildmark.errors import ClusterError

READY_TIMEOUT_S: Final = 300.0
"""Without any word of the generator while it signs ahead."""
STOP_EXTRA_S: Final = 60.0
DRAIN_EXTRA_S: Final = 30.0
"""Beyond the longest that a taken transaction may wait to be executed or to expire."""
CALM_S: Final = 0.5
"""So long nothing may move before the network counts as finished."""
GENERATOR: Final = "generator"


class Load:
    """One load on one network."""

    def __init__(
        self,
        network: Network,
        plan: Plan,
        directory: Path,
        progress: Callable[[str], None],
        processes: Mapping[str, int],
    ) -> None:
        """`processes` are looked at beside the generator, by name."""
        self._network = network
        self._plan = plan
        self._directory = directory
        self._progress = progress
        self._processes = processes
        self.errors: list[str] = []
        self.sampler: Sampler | None = None
        """While the load runs."""

    def run(self, faults: FaultSchedule | None, events: Callable[[], dict[int, NodeEvents]]) -> Evidence:
        """Offer the load, wait until the network has finished, read the chains; `events` is asked for last.

        Raises:
            BenchError: `generator.*`, `checks.unreadable`, `run.nobody_left`.
        """
        plan, network = self._plan, self._network
        write_plan(self._directory, plan)
        first = self._common_height(list(range(len(network.urls))))
        generator = Generator(self._directory)
        sampler = self.sampler = Sampler({GENERATOR: generator.process_id, OURSELVES: os.getpid(), **self._processes})
        try:
            generator.wait("ready", READY_TIMEOUT_S, self._on_signing)
            sampler.start()
            generator.go()
            began_ns = int(generator.wait("began", 30.0)["at"])
            if faults is not None:
                faults.start(began_ns + int(plan.configuration.warmup_s * 1e9))
            self._watch(began_ns)
            generator.wait("stopped", STOP_EXTRA_S)
            sampler.look()
            self._progress("waiting for the network to finish")
            live = self._drain(set() if faults is None else faults.disturbed)
            generator.go()
            said = generator.wait("done", STOP_EXTRA_S)
        finally:
            if faults is not None:
                faults.stop()
            if sampler.started:
                sampler.stop()
            generator.stop()
        self.errors += faults.errors if faults is not None else []
        self._progress("reading the chains")
        height = self._common_height(live)
        chains = {node: read_chain(network.url(node), first + 1, height) for node in live}
        return Evidence(
            plan=plan,
            requests=read_requests(self._directory, plan, int(said["offered"])),
            codes=tuple(said["codes"]),
            starved=int(said["starved"]),
            began_ns=int(said["began_ns"]),
            samples=sampler.samples,
            node_events=events(),
            heard=[dict(of_one) for of_one in said["heard"]],
            chains=chains,
            disturbed=frozenset() if faults is None else frozenset(faults.disturbed),
            lost_memory_ns={} if faults is None else faults.killed_at_ns,
            marks=() if faults is None else tuple(faults.marks),
        )

    def _on_signing(self, said: dict[str, Any]) -> None:
        if said["event"] == "signed":
            self._progress(f"signed {said['transactions']:,} of {said['of']:,} transactions ahead")

    def _watch(self, began_ns: int) -> None:
        """Say how far the load is."""
        plan = self._plan
        start_s = began_ns / 1e9 + plan.configuration.warmup_s
        end_s = began_ns / 1e9 + plan.total_s
        while (left_s := end_s - time.monotonic()) > 0:
            what = "warming up" if time.monotonic() < start_s else "measuring"
            self._progress(f"{what}, {left_s:.0f} s left")
            time.sleep(min(5.0, left_s))

    def _drain(self, disturbed: set[int]) -> list[int]:
        """Wait until no validator has anything left to do; return those that answer."""
        network = self._network
        deadline_s = time.monotonic() + self._plan.lifetime_ms / 1000 + DRAIN_EXTRA_S
        calm_since_s: float | None = None
        last: tuple[int, ...] = ()
        while True:
            statuses = {index: network.status(index) for index in network.running()}
            live = [index for index, status in statuses.items() if status is not None]
            heights = tuple(int(status["certified_height"]) for status in statuses.values() if status is not None)
            waiting = sum(waiting_transactions(network.url(index)) for index in live)
            if waiting or len(set(heights)) != 1 or heights != last:
                calm_since_s, last = None, heights
            elif calm_since_s is None:
                calm_since_s = time.monotonic()
            elif time.monotonic() - calm_since_s > CALM_S:
                break
            if time.monotonic() > deadline_s:
                self.errors.append("the network did not finish what it had taken")
                break
            time.sleep(0.1)
        for index in sorted(set(range(len(network.urls))) - set(live) - disturbed):
            self.errors.append(f"validator {index} does not answer any more, and nothing was done to it")
        if not live:
            raise BenchError("run.nobody_left", "no validator answers at the end")
        return live

    def _common_height(self, indices: list[int]) -> int:
        """The height up to which these nodes have certified blocks; waits until they agree on it."""
        try:
            return int(self._network.wait_same_head(indices=indices)["certified_height"])
        except ClusterError as error:
            self.errors.append(f"the validators do not agree: {error.message}")
            found = [self._network.status(index) for index in indices]
            return min((int(status["certified_height"]) for status in found if status is not None), default=0)


def waiting_transactions(url: str) -> int:
    """Transactions in a node's pool; 0 where it does not answer."""
    answer = probe.get(url, "/metrics")
    if answer is None:
        return 0
    for line in answer[1].splitlines():
        if line.startswith(b"guildmark_pool_transactions "):
            return int(float(line.split()[1]))
    return 0
