"""One run in virtual time, from a configuration to a result."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration, Mark, Result, write
from benchmarks.results.summary import summary
from benchmarks.running.faults import Fault, parse_faults
from benchmarks.simulated.calibration import load_costs
from benchmarks.simulated.clock import US_PER_S, Time
from benchmarks.simulated.costs import Costs
from benchmarks.simulated.load import Load
from benchmarks.simulated.meter import Meter, StandInAccounts, account_key
from benchmarks.simulated.network import Wires
from benchmarks.simulated.outcome import Run, Snapshot, result_of, snapshot
from benchmarks.simulated.ports import Surroundings, Tally
from benchmarks.simulated.processors import Machine, Process
from benchmarks.simulated.validators import Chronicle, Validator, make_genesis, make_members
from benchmarks.workloads.accounts import SALT
from benchmarks.workloads.choosing import workload
from benchmarks.workloads.workload import Facts, Simple, Workload
from ledger.errors import InvalidGenesis
from ledger.genesis import network_id
from ledger.parameters import Parameters
from node.configuration import Configuration as NodeConfiguration
from node.core_settings import core_configuration
from simulation.latency import LatencyMatrix, local_area, wide_area
from simulation.signatures import share_decoding

VALIDATORS_MAX: Final = 128
ACCOUNTS_MAX: Final = 1_000
"""In the state of a simulated network: it is there once for each validator. What a transaction costs is calibrated."""
CREDITS_EACH: Final = 1_000_000_000
DRAIN_S: Final = 30
"""How long after the load what is on its way may take."""
_STEP_US: Final = US_PER_S // 10


def run(configuration: Configuration, directory: Path, progress: Callable[[str], None]) -> Result:
    """Run a simulated configuration with the costs that its `calibration` names: a calibration, or a real result.

    `directory` then holds the result (result.json, summary.txt). There are no raw events.

    Raises:
        BenchError: what is asked for cannot be simulated.
    """
    if not configuration.calibration:
        raise BenchError(
            "simulation.calibration",
            "a simulated run needs a calibration, or a real result to make one from",
        )
    path = Path(configuration.calibration)
    result = simulate(configuration, load_costs(path if path.is_absolute() else _find(path, directory)), progress)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_bytes(write(result))
    (directory / "summary.txt").write_text(summary(result) + "\n", encoding="utf-8")
    return result


def _find(path: Path, directory: Path) -> Path:
    """A relative path is one from here, or from the run's directory."""
    beside = directory / path
    return beside if beside.exists() and not path.exists() else path


def simulate(configuration: Configuration, costs: Costs, progress: Callable[[str], None]) -> Result:
    """As `run`, with costs at hand."""
    share_decoding()
    meter = Meter()
    with meter.counting():
        simulated = _Simulation(configuration, costs, meter, progress)
        frozen = gc.isenabled()
        gc.disable()  # a run makes few cycles, and a collection looks at every record of every node
        try:
            return simulated.run()
        finally:
            if frozen:
                gc.enable()


class _Simulation:
    def __init__(
        self, configuration: Configuration, costs: Costs, meter: Meter, progress: Callable[[str], None]
    ) -> None:
        self._asked = configuration
        self._costs = costs
        self._progress = progress
        self._faults = parse_faults(configuration.faults, configuration.validators, configuration.duration_s)
        self._latencies = matrix(configuration.latency, configuration.validators)
        self._time = Time(configuration.seed)
        self._chronicle = Chronicle()
        self._marks: list[Mark] = []
        self._lost_memory_us: dict[int, int] = {}
        self._build(meter)

    def _build(self, meter: Meter) -> None:
        asked, costs, n = self._asked, self._costs, self._asked.validators
        if not 1 <= n <= VALIDATORS_MAX:
            raise BenchError("simulation.validators", f"1 to {VALIDATORS_MAX} validators, not {n}")
        chosen = _workload(asked)
        parameters = _parameters(asked, opaque=not chosen.signed)
        members = make_members(n, meter)
        organizations = tuple(f"member-{index}" for index in range(n))
        count = min(asked.accounts, ACCOUNTS_MAX)
        keys = [account_key(asked.seed, index).public_key for index in range(count)]
        genesis = make_genesis(members, parameters, organizations, keys, SALT, CREDITS_EACH)
        network = network_id(genesis)
        accounts = StandInAccounts(network, asked.seed, count, organizations)
        chosen.load(Facts(network, (), (), accounts, asked.payload_bytes), {})
        wires = Wires(self._time, self._latencies)
        shared = Machine(self._time, costs.cores) if self._latencies is None else None
        slowdown = 1 / (1 - costs.generator_share) if shared is not None else 1.0
        indices = {name: index for index, name in enumerate(members.names)}
        settings = core_configuration(_settings(asked))
        self._validators = [
            Validator(
                Surroundings(
                    self._time,
                    wires,
                    costs,
                    meter,
                    Process(shared or Machine(self._time, 1), slowdown),
                    members.names,
                    indices,
                    index,
                    Tally(),
                ),
                genesis,
                settings,
                members.keys[index],
                self._chronicle,
            )
            for index in range(n)
        ]
        self._load = Load(self._time, asked, chosen, network, parameters.lifetime_ms, self._validators, self._chronicle)
        self._warnings = _warnings(asked, costs, count)

    def run(self) -> Result:
        asked, time = self._asked, self._time
        for validator in self._validators:
            if validator.index:
                validator.store = self._validators[0].store.copy()  # the same genesis block, executed once
            validator.start()
        for validator in self._validators:
            for other in self._validators:
                if other is not validator:
                    validator.connect(other.index)
        begin_us = round(asked.warmup_s * US_PER_S)
        for fault in self._faults:
            time.after(begin_us + fault.at_s * US_PER_S, lambda fault=fault: self._disturb(fault))  # type: ignore[misc]
        self._load.start()
        self._pass(begin_us)
        before = [snapshot(validator) for validator in self._validators]
        self._pass(begin_us + round(asked.duration_s * US_PER_S))
        after = [snapshot(validator) for validator in self._validators]
        self._drain()
        return result_of(self._record(before, after))

    def _pass(self, end_us: int) -> None:
        while self._time.now_us < end_us and not self._chronicle.fatal:
            self._time.run_until(min(end_us, self._time.now_us + US_PER_S))
            second = self._time.now_us // US_PER_S
            self._progress(f"second {second}: block {max(validator.height for validator in self._validators)}")

    def _drain(self) -> None:
        end_us = self._time.now_us + DRAIN_S * US_PER_S
        while self._time.now_us < end_us and not self._chronicle.fatal and not self._settled():
            self._time.run_until(self._time.now_us + _STEP_US)

    def _settled(self) -> bool:
        live = [validator for validator in self._validators if validator.up and not validator.process.paused]
        heights = {height for validator in live for height in (validator.certified_height, validator.height)}
        if len(heights) > 1:
            return False
        executed = {identifier for block in self._chronicle.blocks.values() for identifier in block.ids}
        return all(
            identifier in executed
            or (entry.code is not None and (entry.code or entry.intended_us < self._lost_memory_us.get(entry.node, -1)))
            for identifier, entry in self._load.sent.items()
        )

    def _disturb(self, fault: Fault) -> None:
        validator = self._validators[fault.node]
        self._marks.append(Mark(fault.at_s, f"{fault.action} {fault.node}"))
        if fault.action == "pause":
            validator.process.pause()
        elif fault.action == "resume":
            validator.process.resume()
        else:
            if validator.up:
                self._lost_memory_us[fault.node] = self._time.now_us
            validator.kill()
            if fault.action == "restart":
                validator.start()
                for other in self._validators:
                    if other is not validator and other.up:
                        other.connect(validator.index)
                        validator.connect(other.index)

    def _record(self, before: Sequence[Snapshot], after: Sequence[Snapshot]) -> Run:
        shared = self._latencies is None
        return Run(
            configuration=self._asked,
            costs=self._costs,
            validators=self._validators,
            chronicle=self._chronicle,
            load=self._load,
            before=before,
            after=after,
            marks=tuple(self._marks),
            lost_memory_us=self._lost_memory_us,
            disturbed=frozenset(fault.node for fault in self._faults),
            machines=1 if shared else len(self._validators),
            cores=self._costs.cores if shared else 1,
            warnings=tuple(self._warnings),
        )


def matrix(name: str, n: int) -> LatencyMatrix | None:
    """Return the links that a configuration names; None for validators on one machine.

    Raises:
        BenchError: `simulation.latency`.
    """
    if not name:
        return None
    if name == "lan":
        return local_area(n)
    if name == "wan":
        return wide_area(n)
    raise BenchError("simulation.latency", f"{name!r}: a simulated network knows lan and wan, or none")


def _workload(asked: Configuration) -> Workload:
    chosen = workload(asked.workload)
    if getattr(type(chosen), "set_up", None) is not Simple.set_up:
        raise BenchError(
            "simulation.workload", f"{asked.workload}: only workloads that need nothing but accounts are simulated"
        )
    return chosen


def _parameters(asked: Configuration, *, opaque: bool) -> Parameters:
    fields: dict[str, Any] = dict(asked.genesis)
    if opaque:
        fields["opaque_bundles"] = True
    try:
        return msgspec.convert(fields, Parameters)
    except (msgspec.ValidationError, InvalidGenesis) as error:
        raise BenchError("simulation.genesis", f"parameters: {error}") from error


def _settings(asked: Configuration) -> NodeConfiguration:
    try:
        return msgspec.convert(asked.node, NodeConfiguration)
    except msgspec.ValidationError as error:
        raise BenchError("simulation.node", f"node.toml: {error}") from error


def _warnings(asked: Configuration, costs: Costs, accounts: int) -> list[str]:
    found = []
    if accounts < asked.accounts:
        found.append(
            f"{accounts} accounts in the state instead of {asked.accounts}; costs are those of the calibration"
        )
    if asked.workload != costs.workload:
        found.append(f"the costs were measured with the workload {costs.workload}")
    return found
