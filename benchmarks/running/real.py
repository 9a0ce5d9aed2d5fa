"""One measured run on real processes: of a network started for it, or of one that somebody else runs."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.measurement.events import NodeEvents, read_events
from benchmarks.measurement.machine import describe_machine
from benchmarks.measurement.verify_unit import judge, measure_unit
from benchmarks.results.parquet import write_tables
from benchmarks.results.schema import FORMAT, Configuration, Result, VerifyUnit, write
from benchmarks.results.summary import summary
from benchmarks.running.costs import cpu_share, foreign_share, node_costs
from benchmarks.running.delays import Relays, one_way_ms
from benchmarks.running.evidence import Evidence
from benchmarks.running.faults import FaultSchedule, parse_faults
from benchmarks.running.judging import Judgement
from benchmarks.running.load import Load
from benchmarks.running.network import Attached
from benchmarks.running.preparing import check, prepare
from benchmarks.workloads.accounts import SALT, Identity
from benchmarks.workloads.choosing import workload
from guildmark.cluster.local import LocalCluster

FOREIGN_WARNED: Final = 0.03
"""Share of all processors."""
RELAYS: Final = "relays"
EVENTS_FILE: Final = "measurement.jsonl"
STOP_TIMEOUT_S: Final = 10.0
ATTACHED: Final = (
    "attached to a network that somebody else runs: no processor figures, no unit, and commits count when the "
    "generator hears of them"
)
Progress = Callable[[str], None]


def run_real(configuration: Configuration, directory: Path, progress: Progress) -> Result:
    """Measure a network of real processes. Raises as `benchmarks.running.run`.

    `directory` then holds the result (result.json, summary.txt), the raw events (*.parquet), and of a run that does not
    count also what the network wrote. One that is not empty gets a directory of the run's own.
    """
    check(configuration)
    place = _place(directory)
    return _kept(place, *_OwnNetwork(configuration, place, progress).measure())


def run_attached(configuration: Configuration, sponsor: Identity, directory: Path, progress: Progress) -> Result:
    """Measure the running network of `configuration.attach`; `sponsor` opens and pays the accounts.

    Raises as `run_real`. Nobody else should use the network meanwhile: what others send counts as load that nobody
    offered, and keeps the checks waiting.
    """
    check(configuration)
    place, network = _place(directory), Attached(configuration.attach)
    started_at, errors = _now(), list[str]()
    # Other accounts than those of an earlier run with the same seed.
    plan = prepare(configuration, network, [sponsor], os.urandom(len(SALT)), 0.0, progress, follow=True)
    load = Load(network, plan, place, progress, {})
    judgement = Judgement(load.run(None, dict))
    errors += load.errors
    return _kept(place, _result(started_at, None, judgement, [ATTACHED], errors), judgement)


class _OwnNetwork:
    """A network that is started for the run, and stopped after it."""

    def __init__(self, configuration: Configuration, directory: Path, progress: Progress) -> None:
        """Raises BenchError where the configuration makes no sense."""
        self._asked = configuration
        self._directory = directory
        self._progress = progress
        self._faults = parse_faults(configuration.faults, configuration.validators, configuration.duration_s)
        self._delays_ms = one_way_ms(configuration.latency, configuration.validators) if configuration.latency else []
        self._signed = workload(configuration.workload).signed
        self._errors: list[str] = []

    def measure(self) -> tuple[Result, Judgement]:
        started_at = _now()
        self._progress("measuring what a signature check costs")
        before_us, samples_before = measure_unit()
        cluster = self._create()
        relays = Relays(cluster, self._delays_ms, self._directory) if self._delays_ms else None
        try:
            self._progress("starting the network")
            cluster.start()
            evidence = self._load(cluster, before_us, {} if relays is None else {RELAYS: relays.process_id})
        finally:
            cluster.stop()
            if relays is not None:
                relays.stop()
        self._progress("measuring what a signature check costs, again")
        after_us, samples_after = measure_unit()
        unit = VerifyUnit(before_us, after_us, samples_before, samples_after)
        judgement = Judgement(evidence)
        return _result(started_at, unit, judgement, [], self._errors), judgement

    def _create(self) -> LocalCluster:
        asked = self._asked
        node = {name: dict(table) for name, table in asked.node.items()}
        node.setdefault("measurement", {})["file"] = EVENTS_FILE
        genesis: dict[str, Any] = {"name": "benchmark", **asked.genesis}
        if not self._signed:
            genesis["opaque_bundles"] = True
        return LocalCluster.create(self._directory / "network", validators=asked.validators, genesis=genesis, node=node)

    def _load(self, cluster: LocalCluster, verify_us: float, others: dict[str, int]) -> Evidence:
        sponsors = [_sponsor(cluster, organization.id) for organization in cluster.genesis.organizations]
        plan = prepare(self._asked, cluster, sponsors, SALT, verify_us, self._progress)
        load = Load(cluster, plan, self._directory, self._progress, {**others, **_process_ids(cluster)})

        def restarted(node: int) -> None:
            running = cluster.nodes[node].running()
            if running is not None and load.sampler is not None:
                load.sampler.replace(str(node), int(running.pid))

        try:
            return load.run(FaultSchedule(self._faults, cluster, restarted), lambda: _stop_and_read(cluster))
        finally:
            self._errors += load.errors


def _sponsor(cluster: LocalCluster, organization: str) -> Identity:
    account = cluster.account(organization)
    return Identity(account.id, account.key, organization)


def _process_ids(cluster: LocalCluster) -> dict[str, int]:
    running = {str(index): process.running() for index, process in enumerate(cluster.nodes)}
    return {index: int(process.pid) for index, process in running.items() if process is not None}


def _stop_and_read(cluster: LocalCluster) -> dict[int, NodeEvents]:
    """End all nodes and read what they wrote: who ends in order leaves nothing unwritten."""
    for index in cluster.running():
        cluster.nodes[index].terminate()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for process in cluster.nodes:
        process.wait_ended(deadline)
    return {index: read_events(process.directory / EVENTS_FILE) for index, process in enumerate(cluster.nodes)}


def _result(
    started_at: str, unit: VerifyUnit | None, judgement: Judgement, warnings: list[str], errors: list[str]
) -> Result:
    evidence, machine = judgement.evidence, describe_machine()
    asked, cores = evidence.plan.configuration, machine.cores
    of_unit: tuple[list[str], list[str]] = ([], []) if unit is None else judge(unit)
    throughput = judgement.throughput(unit, cores)
    checks, generator = judgement.checks(), judgement.generator(cores)
    nodes = tuple(
        node_costs(evidence, index, throughput.transactions) for index in range(asked.validators if unit else 0)
    )
    notes = [f"validator {node.index} dropped {node.events_dropped} events" for node in nodes if node.events_dropped]
    if RELAYS in evidence.samples:
        share = cpu_share(evidence.samples[RELAYS], evidence.start_ns, evidence.end_ns, cores)
        notes.append(f"the relays that delay links took {share:.1%} of all processors")
    foreign = foreign_share(evidence, cores)
    if foreign > FOREIGN_WARNED:
        notes.append(f"other programs took {foreign:.1%} of all processors")
    impossible = []
    if throughput.utilization > 1:
        impossible.append("a utilization above 1 cannot be: something else ran while the unit was measured")
    empty = [] if throughput.transactions else ["nothing was committed in the measured part"]
    return Result(
        format=FORMAT,
        started_at=started_at,
        configuration=asked,
        machine=machine,
        unit=unit,
        throughput=throughput,
        end_to_end=judgement.end_to_end(),
        submission=judgement.submission(),
        nodes=nodes,
        generator=generator,
        refused=judgement.refused(),
        checks=checks,
        series=judgement.series(),
        marks=evidence.marks,
        warnings=(*warnings, *of_unit[0], *notes),
        errors=(*errors, *empty, *impossible, *judgement.errors, *of_unit[1]),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _place(directory: Path) -> Path:
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="run-", dir=directory)) if any(directory.iterdir()) else directory


def _kept(place: Path, result: Result, judgement: Judgement) -> Result:
    """Write the result and its tables down; remove what was only needed to run."""
    (place / "result.json").write_bytes(write(result))
    (place / "summary.txt").write_text(summary(result) + "\n", encoding="utf-8")
    write_tables(place, judgement)
    for path in place.glob("chunk-*"):
        path.unlink()
    (place / "requests.npz").unlink(missing_ok=True)
    if result.valid:
        shutil.rmtree(place / "network", ignore_errors=True)
        for name in ("plan.msgpack", "generator.log", "relays.json"):
            (place / name).unlink(missing_ok=True)
    return result
