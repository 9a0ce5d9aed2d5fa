"""The result of one run: everything that is needed to judge it, to compare it, and to run it again.

One JSON file holds a `Result`; raw events lie beside it in Parquet. Times are integers in microseconds unless a name
says otherwise, rates are per second, sizes are bytes.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

FORMAT: Final = 1


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that was asked for. The same configuration and seed offer the same load, with one revision of the program."""

    kind: Literal["real", "simulated"] = "real"
    validators: int = 4
    workload: str = "transfers"
    """A name, or the path of a workload file."""
    rate: float | Literal["saturate"] = "saturate"
    """Units offered per second: signed transactions, or opaque payloads."""
    arrivals: Literal["poisson", "uniform"] = "poisson"
    duration_s: float = 60.0
    """The measured part."""
    warmup_s: float = 5.0
    batch_submit: int = 100
    """Transactions in one request; payloads in one bundle of the opaque workload."""
    outstanding: int = 16_000
    """In a saturated run: units that may be on their way, neither refused nor certified."""
    payload_bytes: int = 512
    """Of an opaque payload; other workloads have none."""
    accounts: int = 100_000
    """In the state before the load begins."""
    faults: str = ""
    """Events in time order, "SECONDS:ACTION:NODE,...", actions kill, pause, resume, restart; from the measurement's
    start."""
    latency: str = ""
    """A matrix of delays between validators; empty for none beside the machine's own."""
    attach: tuple[str, ...] = ()
    """APIs of a network that somebody else runs; empty starts one."""
    seed: int = 1
    node: dict[str, dict[str, int | float | str | bool]] = {}
    """Tables of node.toml."""
    genesis: dict[str, int | float | str | bool] = {}
    """Parameters of the chain."""
    calibration: str = ""
    """Of a simulated run: the file of its costs."""


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    packages: dict[str, str]
    """Package -> version, of those that the figures depend on."""
    revision: str
    """Of the program; ends in "+changes" when the checkout had uncommitted ones, empty when there is none."""


class VerifyUnit(msgspec.Struct, frozen=True):
    """What one signature check costs here: the unit that makes results of different machines comparable."""

    before_us: float
    """Median over five seconds, one pinned process on each core at once, 200-byte messages; float because it is the
    divisor of every ratio."""
    after_us: float
    samples_before_us: tuple[float, ...]
    samples_after_us: tuple[float, ...]

    @property
    def us(self) -> float:
        return (self.before_us + self.after_us) / 2

    @property
    def drift(self) -> float:
        """How far the two are apart, as a share of the smaller."""
        low, high = sorted((self.before_us, self.after_us))
        return high / low - 1


class Latency(msgspec.Struct, frozen=True):
    """A distribution of durations in microseconds."""

    count: int
    mean: float
    p50: int
    p90: int
    p99: int
    p999: int
    max: int
    histogram: str = ""
    """The HDR histogram, as its library encodes it (V2, base64)."""


class Throughput(msgspec.Struct, frozen=True):
    """Of the measured part."""

    seconds: float
    transactions: int
    operations: int
    payloads: int
    """Equal to `transactions` unless transactions are bundles."""
    transactions_per_s: float
    operations_per_s: float
    payloads_per_s: float
    blocks_per_s: float
    utilization: float
    """transactions/s x validators x verify_us / (cores x 10^6): the share of all processors that signatures alone take.
    0 where clients sign nothing."""
    transactions_per_block: float
    transactions_per_batch: float


class Node(msgspec.Struct, frozen=True):
    """One validator's cost over the measured part."""

    index: int
    alive: bool
    """It ran from beginning to end."""
    cpu_us_per_transaction: float
    rss_start_bytes: int
    rss_end_bytes: int
    rss_max_bytes: int
    sent_bytes_per_transaction: float
    sent_messages_per_transaction: float
    consensus: Latency | None
    """From proposal to decision, of what this node proposed."""
    lateness: Latency | None
    """How late its event loop ran timers."""
    gc_pauses: int
    gc_pause_max_us: int
    gc_pause_total_us: int
    events_dropped: int
    """Measurement events that it could not write in time; more than 0 makes its figures incomplete."""


class Generator(msgspec.Struct, frozen=True):
    """Who offered the load."""

    intended: int
    """Units that were due in the measured part."""
    sent: int
    cpu_share: float
    """Of all processors; above 0.10 the run fails."""
    lateness: Latency | None
    """From intended to actual sending."""
    missed: bool
    """It could not keep its rate: the run fails."""


class Second(msgspec.Struct, frozen=True):
    """One second of the measured part."""

    second: int
    committed: int
    p50: int
    p99: int
    rss_bytes: int
    """Of all validators."""


class Mark(msgspec.Struct, frozen=True):
    """Something that was done to the network, for plots."""

    at_s: float
    text: str


class Checks(msgspec.Struct, frozen=True):
    """What was verified after the load had ended."""

    agreed_height: int
    """All live nodes have this block, with the same hash and state root."""
    agreed_hash: str
    acknowledged: int
    found_once: int
    missing: int
    twice: int


class Result(msgspec.Struct, frozen=True):
    format: int
    started_at: str
    """RFC 3339, UTC."""
    configuration: Configuration
    machine: Machine
    unit: VerifyUnit | None
    """None in a simulation, whose costs come from a calibration."""
    throughput: Throughput
    end_to_end: Latency
    """From intended sending to the certified commit, of what was committed."""
    submission: Latency
    """From actual sending to the answer."""
    nodes: tuple[Node, ...]
    generator: Generator
    refused: dict[str, int]
    """Code -> units that were refused, apart from what was committed."""
    checks: Checks
    series: tuple[Second, ...]
    marks: tuple[Mark, ...] = ()
    warnings: tuple[str, ...] = ()
    """Reasons for caution, such as a unit that moved by more than 5 %."""
    errors: tuple[str, ...] = ()
    """Why the run does not count; empty when it does."""
    calibration: str = ""
    """Of a simulation: the result that its costs come from."""

    @property
    def valid(self) -> bool:
        return not self.errors


def read(data: bytes) -> Result:
    """Read a result. Raises msgspec.ValidationError, msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Result)


def write(result: Result) -> bytes:
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"
