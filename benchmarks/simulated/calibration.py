"""From real results to costs.

A real result says what a transaction costs a validator in all, and how many messages, bytes and blocks there were for
it. Signature checks are known: their number follows from the protocol, their cost is the result's unit. The rest of the
total is shared out as `Shape` says, by one factor where there is one result. Further results, of other rates or sizes
and of the same machine and workload, tell apart what a transaction, a message and a block cost.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.schema import Result, read
from benchmarks.simulated.costs import FORMAT, SHAPE, SYNC_US, Costs, Shape, read_costs

CHECKS_PER_BLOCK_AND_PEER: Final = 4
"""Signatures of each other validator that one validator checks for a block: proposal or batch, prepare, commit,
checkpoint. Counted in the simulator (3.7 to 4.0 at 4 to 16 validators)."""
SIGNATURES_PER_BLOCK: Final = 3
PRIOR_WEIGHT: Final = 0.2
"""How much the common factor counts beside a result, where there are several."""
_KIB: Final = 1_024


class _Parts(NamedTuple):
    """One result's microseconds for a transaction at one validator."""

    known_us: float
    """Signatures and their checks."""
    rest_us: float
    transactions_us: float
    """What the unscaled shape says of submission and execution."""
    messages_us: float
    blocks_us: float


def calibrate(result: Result, *others: Result, source: str = "", sync_us: float = SYNC_US) -> Costs:
    """Return the costs with which a simulation of `result` takes as much CPU as it took.

    Raises:
        BenchError: `calibration.unusable`.
    """
    results = (result, *others)
    for each in results:
        _check(each, result)
    parts = [_parts(each, SHAPE) for each in results]
    first = parts[0]
    common = first.rest_us / (first.transactions_us + first.messages_us + first.blocks_us)
    if common <= 0:
        raise BenchError("calibration.unusable", "the signature checks alone cost more than what was measured in all")
    transactions, messages, blocks = _factors(parts, common)
    assert result.unit is not None
    unit_us = result.unit.us
    return Costs(
        format=FORMAT,
        source=source or describe(result, len(others)),
        workload=result.configuration.workload,
        cores=result.machine.cores,
        generator_share=result.generator.cpu_share,
        verify_us=unit_us,
        sign_us=SHAPE.sign * unit_us,
        submission_us=SHAPE.submission * unit_us * transactions,
        transaction_us=SHAPE.transaction * unit_us * transactions,
        message_us=SHAPE.message * unit_us * messages,
        kib_us=SHAPE.kib * unit_us * messages,
        block_us=SHAPE.block * unit_us * blocks,
        sync_us=sync_us,
        scaled_by=common,
    )


def load_result(path: Path) -> Result:
    """Read a result from a file. Raises BenchError `result.unreadable`."""
    try:
        return read(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchError("result.unreadable", f"{path}: {error}") from error


def load_costs(path: Path) -> Costs:
    """Read a calibration, or make one from the real result in a file.

    Raises:
        BenchError: `calibration.unreadable`, `calibration.malformed`, `calibration.unusable`, `result.unreadable`.
    """
    if _is_result(path):
        result = load_result(path)
        return calibrate(result, source=f"{path.name}: {describe(result)}")
    return read_costs(path)


def _is_result(path: Path) -> bool:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return False
    return isinstance(found, dict) and "configuration" in found


def describe(result: Result, others: int = 0) -> str:
    """Name a result in a line."""
    asked, machine = result.configuration, result.machine
    rate = asked.rate if isinstance(asked.rate, str) else f"{asked.rate:g} units a second"
    more = f" and {others} more" if others else ""
    return (
        f"{result.started_at}, {machine.processor}, {machine.cores} cores, {asked.validators} validators, "
        f"{asked.workload}, {rate}{more}"
    )


def _check(result: Result, first: Result) -> None:
    reasons = [
        (result.configuration.kind != "real", "it is itself simulated"),
        (result.unit is None, "it has no unit"),
        (bool(result.errors), "it does not count: " + "; ".join(result.errors)),
        (bool(result.configuration.faults), "the network was disturbed"),
        (bool(result.configuration.latency), "validators shared a machine and had latencies between them"),
        (not result.throughput.transactions, "it has no transactions"),
        (not any(node.alive for node in result.nodes), "no validator ran from beginning to end"),
        (result.machine.processor != first.machine.processor, "it comes from another machine"),
        (result.machine.cores != first.machine.cores, "it comes from another machine"),
        (result.configuration.workload != first.configuration.workload, "it has another workload"),
    ]
    for holds, reason in reasons:
        if holds:
            raise BenchError("calibration.unusable", f"the result of {result.started_at} cannot calibrate: {reason}")


def _parts(result: Result, shape: Shape) -> _Parts:
    assert result.unit is not None
    unit_us, throughput, asked = result.unit.us, result.throughput, result.configuration
    n, per_block = asked.validators, max(1.0, throughput.transactions_per_block)
    live = [node for node in result.nodes if node.alive]
    cpu_us = statistics.fmean(node.cpu_us_per_transaction for node in live)
    sent = statistics.fmean(node.sent_messages_per_transaction for node in live)
    sent_kib = statistics.fmean(node.sent_bytes_per_transaction for node in live) / _KIB
    signed = throughput.payloads == throughput.transactions
    checks = (1 if signed else 0) + CHECKS_PER_BLOCK_AND_PEER * (n - 1) / per_block
    known_us = unit_us * (checks + shape.sign * SIGNATURES_PER_BLOCK / per_block)
    requests = 1 / (n * (asked.batch_submit if signed else 1))
    return _Parts(
        known_us=known_us,
        rest_us=cpu_us - known_us,
        transactions_us=unit_us * (shape.submission / n + shape.transaction),
        messages_us=unit_us * (shape.message * (2 * sent + requests) + shape.kib * 2 * sent_kib),
        blocks_us=unit_us * shape.block / per_block,
    )


def _factors(parts: Sequence[_Parts], common: float) -> tuple[float, float, float]:
    """Return the factors of what belongs to transactions, messages and blocks: least squares of the relative errors,
    drawn to the common factor, none of them below a tenth of it."""
    if len(parts) == 1:
        return common, common, common
    import numpy

    rows = [
        [value / part.rest_us for value in (part.transactions_us, part.messages_us, part.blocks_us)] for part in parts
    ]
    rows += [[PRIOR_WEIGHT if at == row else 0.0 for at in range(3)] for row in range(3)]
    aims = [1.0 for _ in parts] + [PRIOR_WEIGHT * common] * 3
    solved, *_ = numpy.linalg.lstsq(numpy.array(rows), numpy.array(aims), rcond=None)
    transactions, messages, blocks = (max(common / 10, float(value)) for value in solved)
    return transactions, messages, blocks
