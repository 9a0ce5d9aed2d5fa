"""One run in virtual time, from a configuration to a result."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration, Mark, Result, write
from benchmarks.results.summary import summary
from benchmarks.running.delays import one_way_ms
from benchmarks.running.faults import Fault, parse_faults
from benchmarks.simulated.calibration import load_costs
from benchmarks.simulated.clock import US_PER_MS, US_PER_S, Time
from benchmarks.simulated.costs import Costs
from benchmarks.simulated.load import Load
from benchmarks.simulated.meter import Meter, StandInAccounts, account_key
from benchmarks.simulated.network import Wires
from benchmarks.simulated.outcome import Run, Snapshot, result_of, snapshot
from benchmarks.simulated.ports import Surroundings, Tally
from benchmarks.simulated.processors import Machine, Process
from benchmarks.simulated.trading import set_up
from benchmarks.simulated.validators import Chronicle, Validator, make_genesis, make_members
from benchmarks.workloads.accounts import SALT, Identity
from benchmarks.workloads.choosing import workload
from benchmarks.workloads.trade import Trade
from benchmarks.workloads.workload import Facts, Simple
from ledger.errors import InvalidGenesis
from ledger.genesis import network_id, validator_account_id
from ledger.operations import Operation
from ledger.parameters import Parameters
from ledger.transaction import SALT_BYTES, build, transaction_id
from node.configuration import Configuration as NodeConfiguration
from node.core import Admission
from node.core_settings import core_configuration
from simulation.latency import LatencyMatrix, LinkDelay, local_area, wide_area
from simulation.signatures import share_decoding

VALIDATORS_MAX: Final = 128
ACCOUNTS_MAX: Final = 1_000
"""In the state of a simulated network: it is there once for each validator. What a transaction costs is calibrated."""
CREDITS_EACH: Final = 1_000_000_000
DRAIN_S: Final = 30
"""How long after the load what is on its way may take."""
GARBAGE_AT_ONCE: Final = 100_000
"""A run makes few cycles, and a collection looks at every record of every node."""
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
        before = gc.get_threshold()
        gc.set_threshold(GARBAGE_AT_ONCE, *before[1:])
        try:
            return simulated.run()
        finally:
            gc.set_threshold(*before)


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
        self._made = 0
        """Transactions of the setting up."""
        self._build(meter)

    def _build(self, meter: Meter) -> None:
        asked, costs, n = self._asked, self._costs, self._asked.validators
        if not 1 <= n <= VALIDATORS_MAX:
            raise BenchError("simulation.validators", f"1 to {VALIDATORS_MAX} validators, not {n}")
        if asked.attach:
            raise BenchError("simulation.attach", "a simulated network is not one that runs elsewhere")
        self._workload = chosen = workload(asked.workload)
        self._parameters = parameters = _parameters(asked, opaque=not chosen.signed)
        members = make_members(n, meter)
        organizations = tuple(f"member-{index}" for index in range(n))
        count = min(asked.accounts, ACCOUNTS_MAX)
        keys = [account_key(asked.seed, index).public_key for index in range(count)]
        genesis = make_genesis(members, parameters, organizations, keys, SALT, CREDITS_EACH)
        network = network_id(genesis)
        accounts = StandInAccounts(network, asked.seed, count, organizations)
        self._facts = Facts(network, (), (), accounts, asked.payload_bytes)
        self._members = [
            Identity(validator_account_id(network, organization, key.public_key), key, organization)
            for organization, key in zip(organizations, members.keys, strict=True)
        ]
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
        self._set_up()
        self._load.start()
        begin_us = self._load.start_us + round(asked.warmup_s * US_PER_S)
        for fault in self._faults:
            after_us = begin_us - time.now_us + fault.at_s * US_PER_S
            time.after(after_us, partial(self._disturb, fault))
        self._pass(begin_us)
        before = [snapshot(validator) for validator in self._validators]
        self._pass(self._load.start_us + round((asked.warmup_s + asked.duration_s) * US_PER_S))
        after = [snapshot(validator) for validator in self._validators]
        self._drain()
        return result_of(self._record(before, after))

    def _set_up(self) -> None:
        """Let the network do what the workload's transactions need."""
        state: dict[str, Any] = {}
        if isinstance(self._workload, Trade):
            self._progress(f"setting up the workload {self._workload.name}")
            state = set_up(self._workload, self._facts, self._parameters, self._members, self)
        elif self._workload.signed and not isinstance(self._workload, Simple):
            raise BenchError("simulation.workload", f"nobody knows how to set up {self._asked.workload} here")
        self._workload.load(self._facts, state)

    # --- trading.Network

    @property
    def now_ms(self) -> int:
        return self._time.now_ms

    def make(self, sender: Identity, operations: Sequence[Operation]) -> bytes:
        self._made += 1
        return build(
            network_id=self._facts.network_id,
            sender=sender.account,
            key=sender.key,
            operations=operations,
            expires_at_ms=self._time.now_ms + self._parameters.lifetime_ms * 3 // 4,
            salt=self._made.to_bytes(SALT_BYTES, "big"),
        )

    def commit(self, transactions: Sequence[bytes]) -> None:
        refused: list[str] = []

        def answered(admissions: list[Admission] | None) -> None:
            refused.extend(each.code for each in admissions or () if each.code)

        wanted = {transaction_id(data) for data in transactions}
        self._validators[0].submit(transactions, answered)
        end_us = self._time.now_us + DRAIN_S * US_PER_S
        while not wanted <= (final := self._final()).keys():
            self._time.run_until(self._time.now_us + _STEP_US)
            if refused or self._chronicle.fatal or self._time.now_us > end_us:
                reasons = [*refused, *self._chronicle.fatal, "not final in time"]
                raise BenchError("setup.refused", f"the network cannot be set up: {reasons[0]}")
        codes = sorted({final[identifier] for identifier in wanted} - {""})
        if codes:
            raise BenchError("setup.refused", f"the network cannot be set up: {', '.join(codes)}")

    def wait(self, duration_ms: int) -> None:
        self._time.run_until(self._time.now_us + duration_ms * US_PER_MS)

    def _final(self) -> dict[bytes, str]:
        """Id -> code, of all transactions that are final at every validator."""
        height = min(validator.certified_height for validator in self._validators)
        return {
            identifier: block.refused.get(identifier, "")
            for at, block in self._chronicle.blocks.items()
            if at <= height
            for identifier in block.ids
        }

    # --- the load

    def _pass(self, end_us: int) -> None:
        while self._time.now_us < end_us and not self._chronicle.fatal:
            self._time.run_until(min(end_us, self._time.now_us + US_PER_S))
            second = (self._time.now_us - self._load.start_us) // US_PER_S
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
    """Return the links that a configuration names, `lan` beside those of real runs; None for validators on one machine.

    Raises:
        BenchError: `latency.unknown`, `latency.malformed`.
    """
    if not name:
        return None
    if name == "lan":
        return local_area(n)
    if name == "wan":
        return wide_area(n)
    rows = one_way_ms(name, n)
    return LatencyMatrix(
        tuple(tuple(LinkDelay(round(ms), round(ms)) for ms in row) for row in rows), tuple(map(str, range(n)))
    )


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
