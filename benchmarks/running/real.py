"""One measured run: start, set up, load, check, judge."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.generator.plan import Plan, write_plan
from benchmarks.measurement.events import read_events
from benchmarks.measurement.machine import describe_machine
from benchmarks.measurement.verify_unit import judge, measure_unit
from benchmarks.results.parquet import write_tables
from benchmarks.results.schema import FORMAT, Configuration, Result, VerifyUnit, write
from benchmarks.results.summary import summary
from benchmarks.running.checks import read_chain
from benchmarks.running.costs import cpu_share, node_costs
from benchmarks.running.delays import Relays, one_way_ms
from benchmarks.running.evidence import Evidence, read_requests
from benchmarks.running.faults import FaultSchedule, parse_faults
from benchmarks.running.judging import Judgement
from benchmarks.running.offerer import Generator
from benchmarks.running.sampling import Sampler
from benchmarks.running.setup import Sender, open_accounts
from benchmarks.workloads.accounts import Accounts, Identity
from benchmarks.workloads.choosing import workload
from benchmarks.workloads.workload import Facts
from guildmark.cluster import probe
from guildmark.cluster.local import LocalCluster
from guildmark.errors import ClusterError

RELAYS: Final = "relays"
EVENTS_FILE: Final = "measurement.jsonl"
DRAIN_EXTRA_S: Final = 30.0
"""Beyond the longest that a taken transaction may wait to be executed or to expire."""
VERIFY_US_SLOW: Final = 50.0
"""A machine where it takes longer is busy with something else at the moment, and may not stay so."""
OPAQUE_PAYLOADS_MAX: Final = 500_000.0
"""A second; nobody has got near it."""
Progress = Callable[[str], None]


def run_real(configuration: Configuration, directory: Path, progress: Progress) -> Result:
    """Measure a network of real processes. Raises as `benchmarks.running.run`.

    `directory` then holds the result (result.json, summary.txt), the raw events (*.parquet), and of a run that does not
    count also what the network wrote. One that is not empty gets a directory of the run's own.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="run-", dir=directory)) if any(directory.iterdir()) else directory
    result, judgement = RealRun(configuration, place, progress).measure()
    (place / "result.json").write_bytes(write(result))
    (place / "summary.txt").write_text(summary(result) + "\n", encoding="utf-8")
    write_tables(place, judgement)
    clear(place, everything=result.valid)
    return result


class RealRun:
    """The steps, in the order of their methods."""

    def __init__(self, configuration: Configuration, directory: Path, progress: Progress) -> None:
        """Raises BenchError where the configuration makes no sense."""
        check(configuration)
        self._asked = configuration
        self._directory = directory
        self._progress = progress
        self._workload = workload(configuration.workload)
        self._faults = parse_faults(configuration.faults, configuration.validators, configuration.duration_s)
        self._delays_ms = one_way_ms(configuration.latency, configuration.validators) if configuration.latency else []
        self._cores = len(os.sched_getaffinity(0))
        self._errors: list[str] = []
        self._warnings: list[str] = []

    def measure(self) -> tuple[Result, Judgement]:
        started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._progress("measuring what a signature check costs")
        before_us, samples_before = measure_unit()
        cluster = self._create()
        relays = Relays(cluster, self._delays_ms, self._directory) if self._delays_ms else None
        try:
            self._progress("starting the network")
            cluster.start()
            others = {} if relays is None else {RELAYS: relays.process_id}
            evidence = self._load(cluster, self._plan(cluster, before_us), others)
        finally:
            cluster.stop()
            if relays is not None:
                relays.stop()
        self._progress("measuring what a signature check costs, again")
        after_us, samples_after = measure_unit()
        unit = VerifyUnit(before_us, after_us, samples_before, samples_after)
        judgement = Judgement(evidence)
        return self._judged(started_at, unit, judgement), judgement

    def _create(self) -> LocalCluster:
        asked = self._asked
        node = {name: dict(table) for name, table in asked.node.items()}
        node.setdefault("measurement", {})["file"] = EVENTS_FILE
        genesis: dict[str, Any] = {"name": "benchmark", **asked.genesis}
        if not self._workload.signed:
            genesis["opaque_bundles"] = True
        return LocalCluster.create(self._directory / "network", validators=asked.validators, genesis=genesis, node=node)

    def _plan(self, cluster: LocalCluster, verify_us: float) -> Plan:
        """Set up the state, and say what the generator is to do."""
        asked, urls = self._asked, tuple(cluster.urls)
        lifetime_ms = cluster.genesis.parameters.lifetime_ms
        organizations = tuple(organization.id for organization in cluster.genesis.organizations)
        accounts = Accounts(cluster.network_id, asked.seed, asked.accounts, organizations)
        sponsors = tuple(self._sponsor(cluster, organization) for organization in organizations)
        facts = Facts(cluster.network_id, urls, sponsors, accounts, asked.payload_bytes)
        sender = Sender(urls[0], cluster.network_id, lifetime_ms)
        try:
            if self._workload.signed:
                open_accounts(sender, sponsors, accounts, self._progress)
        finally:
            sender.close()
        self._progress(f"setting up the workload {self._workload.name}")
        state = self._workload.set_up(facts)
        saturated = asked.rate == "saturate"
        return Plan(
            configuration=asked,
            network_id=cluster.network_id,
            lifetime_ms=lifetime_ms,
            organizations=organizations,
            urls=urls,
            workload_state=msgspec.msgpack.encode(state),
            rate=saturating(asked, self._cores, verify_us) if asked.rate == "saturate" else asked.rate,
            outstanding=max(1, asked.outstanding // units_in_transaction(asked)) if saturated else 0,
            follow=saturated,
        )

    def _sponsor(self, cluster: LocalCluster, organization: str) -> Identity:
        account = cluster.account(organization)
        return Identity(account.id, account.key, organization)

    def _load(self, cluster: LocalCluster, plan: Plan, others: Mapping[str, int]) -> Evidence:
        write_plan(self._directory, plan)
        first = self._height(cluster)
        generator = Generator(self._directory)
        sampler = Sampler({"generator": generator.process_id, **others, **self._process_ids(cluster)})
        schedule = FaultSchedule(self._faults, cluster, lambda node: self._restarted(sampler, cluster, node))
        try:
            generator.wait("ready", 120.0, self._on_signing)
            cluster.wait_same_head()
            sampler.start()
            generator.go()
            began_ns = int(generator.wait("began", 30.0)["at"])
            self._progress("warming up")
            schedule.start(began_ns + int(plan.configuration.warmup_s * 1e9))
            self._watch(began_ns, plan)
            generator.wait("stopped", plan.total_s + 60.0)
            sampler.look()
            self._progress("waiting for the network to finish")
            live = self._drain(cluster, plan)
            generator.go()
            said = generator.wait("done", 60.0)
        finally:
            schedule.stop()
            if sampler.started:
                sampler.stop()
            generator.stop()
        self._errors += schedule.errors
        self._progress("reading the chains")
        height = self._common_height(cluster, live)
        chains = {node: read_chain(cluster.url(node), first + 1, height) for node in live}
        requests = read_requests(self._directory, plan, int(said["offered"]))
        return Evidence(
            plan=plan,
            requests=requests,
            codes=tuple(said["codes"]),
            starved=int(said["starved"]),
            began_ns=int(said["began_ns"]),
            samples=sampler.samples,
            node_events=self._stop_and_read(cluster),
            heard=[dict(of_one) for of_one in said["heard"]],
            chains=chains,
            disturbed=frozenset(schedule.disturbed),
            lost_memory_ns=schedule.killed_at_ns,
            marks=tuple(schedule.marks),
        )

    # --- helpers of the load

    def _on_signing(self, said: dict[str, Any]) -> None:
        if said["event"] == "signed":
            self._progress(f"signed {said['transactions']:,} of {said['of']:,} transactions ahead")

    def _watch(self, began_ns: int, plan: Plan) -> None:
        """Say how far the load is."""
        end_s = began_ns / 1e9 + plan.total_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._progress(f"measuring, {left_s:.0f} s left")
            time.sleep(min(5.0, left_s))

    @staticmethod
    def _process_ids(cluster: LocalCluster) -> dict[str, int]:
        found = {}
        for index, process in enumerate(cluster.nodes):
            running = process.running()
            if running is not None:
                found[str(index)] = int(running.pid)
        return found

    def _restarted(self, sampler: Sampler, cluster: LocalCluster, node: int) -> None:
        running = cluster.nodes[node].running()
        if running is not None:
            sampler.replace(str(node), int(running.pid))

    @staticmethod
    def _height(cluster: LocalCluster) -> int:
        return int(cluster.wait_same_head()["certified_height"])

    def _drain(self, cluster: LocalCluster, plan: Plan) -> list[int]:
        """Wait until no validator has anything left to do; return those that answer."""
        deadline_s = time.monotonic() + plan.lifetime_ms / 1000 + DRAIN_EXTRA_S
        calm_since_s: float | None = None
        last: tuple[int, ...] = ()
        while time.monotonic() < deadline_s:
            live = [index for index in cluster.running() if cluster.status(index) is not None]
            waiting = [waiting_transactions(cluster.url(index)) for index in live]
            heights = tuple(int((cluster.status(index) or {}).get("certified_height", 0)) for index in live)
            if any(waiting) or len(set(heights)) != 1 or heights != last:
                calm_since_s, last = None, heights
            elif calm_since_s is None:
                calm_since_s = time.monotonic()
            elif time.monotonic() - calm_since_s > 0.5:
                return live
            time.sleep(0.1)
        self._errors.append("the network did not finish what it had taken")
        return live

    def _common_height(self, cluster: LocalCluster, live: list[int]) -> int:
        try:
            return int(cluster.wait_same_head(indices=live)["certified_height"])
        except ClusterError as error:
            self._errors.append(f"the validators do not agree: {error.message}")
            return min(int((cluster.status(index) or {}).get("certified_height", 0)) for index in live)

    @staticmethod
    def _stop_and_read(cluster: LocalCluster) -> dict[int, Any]:
        for index in cluster.running():
            cluster.nodes[index].terminate()
        deadline = time.monotonic() + 10.0
        for process in cluster.nodes:
            process.wait_ended(deadline)
        return {index: read_events(process.directory / EVENTS_FILE) for index, process in enumerate(cluster.nodes)}

    # --- the result

    def _judged(self, started_at: str, unit: VerifyUnit, judgement: Judgement) -> Result:
        self._progress("judging")
        evidence = judgement.evidence
        warnings, errors = judge(unit)
        throughput = judgement.throughput(unit, self._cores)
        checks, generator = judgement.checks(), judgement.generator(self._cores)
        nodes = tuple(node_costs(evidence, index, throughput.transactions) for index in range(self._asked.validators))
        self._warnings += warnings
        self._warnings += [
            f"validator {node.index} dropped {node.events_dropped} events" for node in nodes if node.events_dropped
        ]
        if RELAYS in evidence.samples:
            share = cpu_share(evidence.samples[RELAYS], evidence.start_ns, evidence.end_ns, self._cores)
            self._warnings.append(f"the relays that delay links took {share:.1%} of all processors")
        if not throughput.transactions:
            self._errors.append("nothing was committed in the measured part")
        return Result(
            format=FORMAT,
            started_at=started_at,
            configuration=self._asked,
            machine=describe_machine(),
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
            warnings=tuple(self._warnings),
            errors=(*self._errors, *judgement.errors, *errors),
        )


def units_in_transaction(asked: Configuration) -> int:
    return asked.batch_submit if asked.workload == "opaque" else 1


def saturating(asked: Configuration, cores: int, verify_us: float) -> float:
    """Units a second that this machine cannot commit: its processors could not even check their signatures."""
    if asked.workload == "opaque":
        return OPAQUE_PAYLOADS_MAX
    return cores * 1e6 / (asked.validators * min(verify_us, VERIFY_US_SLOW))


def check(configuration: Configuration) -> None:
    """Raises BenchError `configuration.*`."""
    asked = configuration
    if asked.kind != "real":
        raise BenchError("configuration.kind", "this runs real networks")
    rate_ok = asked.rate == "saturate" or asked.rate > 0
    if asked.validators < 1 or asked.duration_s <= 0 or asked.warmup_s < 0 or asked.batch_submit < 1 or not rate_ok:
        raise BenchError("configuration.range", "validators, rate, duration and batch are above 0")
    if asked.accounts < 2 and asked.workload != "opaque":
        raise BenchError("configuration.accounts", "at least 2 accounts")


def clear(directory: Path, *, everything: bool) -> None:
    """Remove what was only needed to run: signed requests, and the network of a run that counts."""
    for path in directory.glob("chunk-*"):
        path.unlink()
    (directory / "requests.npz").unlink(missing_ok=True)
    if everything:
        shutil.rmtree(directory / "network", ignore_errors=True)
        for name in ("plan.msgpack", "generator.log"):
            (directory / name).unlink(missing_ok=True)


def waiting_transactions(url: str) -> int:
    """Transactions in a node's pool; 0 where it does not answer."""
    answer = probe.get(url, "/metrics")
    if answer is None:
        return 0
    for line in answer[1].splitlines():
        if line.startswith(b"guildmark_pool_transactions "):
            return int(float(line.split()[1]))
    return 0
