"""From what a simulated run left behind to a result."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from benchmarks.measurement.histogram import NOTHING, distribution
from benchmarks.measurement.machine import describe_machine
from benchmarks.results.schema import (
    FORMAT,
    Checks,
    Configuration,
    Generator,
    Mark,
    Node,
    Result,
    Second,
    Throughput,
)
from benchmarks.simulated.clock import US_PER_S
from benchmarks.simulated.costs import Costs
from benchmarks.simulated.load import UNANSWERED, Load, Sent
from benchmarks.simulated.validators import Chronicle, Executed, Validator


class Snapshot(NamedTuple):
    """What a node had used at a moment."""

    cpu_us: float
    bytes_sent: int
    messages_sent: int


def snapshot(validator: Validator) -> Snapshot:
    return Snapshot(validator.process.cpu_us, validator.tally.bytes_sent, validator.tally.messages_sent)


class Run(NamedTuple):
    """Everything that a run left behind."""

    configuration: Configuration
    costs: Costs
    validators: Sequence[Validator]
    chronicle: Chronicle
    load: Load
    before: Sequence[Snapshot]
    """At the beginning of the measured part."""
    after: Sequence[Snapshot]
    """At its end."""
    marks: tuple[Mark, ...]
    lost_memory_us: dict[int, int]
    """Validator -> when it was killed for the last time."""
    disturbed: frozenset[int]
    """Validators that did not run from beginning to end."""
    machines: int
    """1 where all validators share one, else one each."""
    cores: int
    """Of each."""
    warnings: tuple[str, ...]


LOST_WITH_NODE: Final = "node.lost"


class _Commit(NamedTuple):
    """A transaction that is final, as the validator knows that took it."""

    at_us: int
    intended_us: int
    operations: int

    @property
    def latency_us(self) -> int:
        return self.at_us - self.intended_us


def result_of(run: Run) -> Result:
    """Judge a run and put its figures together."""
    begin_us = run.load.start_us + round(run.configuration.warmup_s * US_PER_S)
    end_us = begin_us + round(run.configuration.duration_s * US_PER_S)
    final = list(_commits(run))
    commits = [commit for commit in final if begin_us <= commit.at_us < end_us]
    due = [commit for commit in final if begin_us <= commit.intended_us < end_us]
    blocks = [
        run.chronicle.blocks[height]
        for height, at_us in run.chronicle.certified_first_us.items()
        if begin_us <= at_us < end_us
    ]
    checks, problems = _check(run)
    within = [entry for entry in run.load.sent.values() if begin_us <= entry.intended_us < end_us]
    submissions = [took_us for at_us, took_us in run.load.submission if begin_us <= at_us < end_us]
    units = run.load.units_each
    return Result(
        format=FORMAT,
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        configuration=run.configuration,
        machine=describe_machine(),
        unit=None,
        throughput=_throughput(run, commits, blocks),
        end_to_end=distribution([commit.latency_us for commit in due]) or NOTHING,
        submission=distribution(submissions) or NOTHING,
        nodes=tuple(_node(run, index, len(commits), begin_us, end_us) for index in range(len(run.validators))),
        generator=Generator(
            intended=len(within) * units, sent=len(within) * units, cpu_share=0.0, lateness=None, missed=False
        ),
        refused=_refused(run),
        checks=checks,
        series=_series(commits, due, begin_us, run.configuration.duration_s),
        marks=run.marks,
        warnings=run.warnings,
        errors=tuple(problems),
        calibration=run.costs.source,
    )


def _commits(run: Run) -> Iterable[_Commit]:
    """Return the load's transactions that a certified block holds as successful.

    Where the validator that took one did not live to see it: when the last of the others knew.
    """
    for height in sorted(run.chronicle.certified_first_us):
        block = run.chronicle.blocks[height]
        known = [validator.certified_us.get(height, 0) for validator in run.validators]
        latest = max(known)
        for identifier in block.ids:
            entry = run.load.sent.get(identifier)
            if entry is not None and identifier not in block.refused:
                yield _Commit(known[entry.node] or latest, entry.intended_us, entry.operations)


def _throughput(run: Run, commits: Sequence[_Commit], blocks: Sequence[Executed]) -> Throughput:
    asked, costs = run.configuration, run.costs
    seconds, count = asked.duration_s, len(commits)
    operations = sum(commit.operations for commit in commits)
    payloads = count * run.load.units_each
    batches = sum(block.batches for block in blocks)
    signed = run.load.units_each == 1
    capacity = run.machines * run.cores * US_PER_S
    return Throughput(
        seconds=seconds,
        transactions=count,
        operations=operations,
        payloads=payloads,
        transactions_per_s=count / seconds,
        operations_per_s=operations / seconds,
        payloads_per_s=payloads / seconds,
        blocks_per_s=len(blocks) / seconds,
        utilization=count / seconds * asked.validators * costs.verify_us / capacity if signed else 0.0,
        transactions_per_block=count / len(blocks) if blocks else 0.0,
        transactions_per_batch=count / batches if batches else 0.0,
    )


def _node(run: Run, index: int, commits: int, begin_us: int, end_us: int) -> Node:
    validator, before, after = run.validators[index], run.before[index], run.after[index]
    each = max(1, commits)
    consensus = [took_us for at_us, took_us in validator.tally.consensus if begin_us <= at_us < end_us]
    return Node(
        index=index,
        alive=index not in run.disturbed,
        cpu_us_per_transaction=(after.cpu_us - before.cpu_us) / each,
        rss_start_bytes=0,
        rss_end_bytes=0,
        rss_max_bytes=0,
        sent_bytes_per_transaction=(after.bytes_sent - before.bytes_sent) / each,
        sent_messages_per_transaction=(after.messages_sent - before.messages_sent) / each,
        consensus=distribution(consensus),
        lateness=distribution(validator.tally.lateness_us),
        gc_pauses=0,
        gc_pause_max_us=0,
        gc_pause_total_us=0,
        events_dropped=0,
    )


def _series(commits: Sequence[_Commit], due: Sequence[_Commit], begin_us: int, duration_s: float) -> tuple[Second, ...]:
    """Second by second: what became final, and the latency of what was due."""
    committed = Counter((commit.at_us - begin_us) // US_PER_S for commit in commits)
    by_second: dict[int, list[int]] = {}
    for commit in due:
        by_second.setdefault((commit.intended_us - begin_us) // US_PER_S, []).append(commit.latency_us)
    series = []
    for second in range(int(duration_s)):
        found = sorted(by_second.get(second, []))
        p50, p99 = (found[min(len(found) - 1, len(found) * part // 100)] if found else 0 for part in (50, 99))
        series.append(Second(second=second, committed=committed[second], p50=p50, p99=p99, rss_bytes=0))
    return tuple(series)


def _promised(run: Run, entry: Sent) -> bool:
    """Whether it was acknowledged by a validator that kept its memory."""
    return entry.code == "" and entry.intended_us >= run.lost_memory_us.get(entry.node, -1)


def _refused(run: Run) -> dict[str, int]:
    """Code -> units, over the whole load. What nobody acknowledged, and is in a block nevertheless, is no failure."""
    executed = {identifier for block in run.chronicle.blocks.values() for identifier in block.ids}
    found: Counter[str] = Counter()
    for block in run.chronicle.blocks.values():
        found.update(code for identifier, code in block.refused.items() if identifier in run.load.sent)
    for identifier, entry in run.load.sent.items():
        if entry.code and (entry.code != UNANSWERED or identifier not in executed):
            found[entry.code] += run.load.units_each
        elif entry.code == "" and identifier not in executed and not _promised(run, entry):
            found[LOST_WITH_NODE] += run.load.units_each
    return dict(sorted(found.items()))


def _check(run: Run) -> tuple[Checks, list[str]]:
    """Ask what is asked of a real network after its load."""
    chronicle, problems = run.chronicle, list(run.chronicle.fatal)
    problems += [complaint for validator in run.validators for complaint in validator.tally.complaints[:1]]
    if chronicle.disagreement:
        problems.append(chronicle.disagreement)
    live = [validator for validator in run.validators if validator.up]
    agreed = min((validator.certified_height for validator in live), default=0)
    if len({validator.certified_height for validator in live}) > 1:
        problems.append("the live validators have not come to one height after the load")
    times = Counter(identifier for block in chronicle.blocks.values() for identifier in block.ids)
    taken = [identifier for identifier, entry in run.load.sent.items() if _promised(run, entry)]
    once = sum(times[identifier] == 1 for identifier in taken)
    missing = sum(times[identifier] == 0 for identifier in taken)
    twice = sum(count > 1 for count in times.values())
    if missing:
        problems.append(f"{missing} acknowledged transactions are in no block")
    if twice:
        problems.append(f"{twice} transactions are in two places")
    hashed = chronicle.blocks[agreed].hash.hex() if agreed in chronicle.blocks else ""
    return Checks(agreed, hashed, len(taken), once, missing, twice), problems
