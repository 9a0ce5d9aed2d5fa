"""What processes used over the measured part, from samples that lie around its ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from benchmarks.measurement.events import NodeEvents
from benchmarks.measurement.histogram import distribution
from benchmarks.results.schema import Node
from benchmarks.running.evidence import Evidence
from benchmarks.running.sampling import MACHINE, OURSELVES, Sample


def cpu_between(samples: list[Sample], start_ns: int, end_ns: int) -> float:
    """Processor seconds between two times, linear between samples; a process that was started anew begins at 0."""
    return sum(
        max(0.0, after.cpu_s - before.cpu_s) * _share(before.at_ns, after.at_ns, start_ns, end_ns)
        for before, after in itertools.pairwise(samples)
    )


def cpu_share(samples: list[Sample], start_ns: int, end_ns: int, cores: int) -> float:
    """Share of all processors."""
    return cpu_between(samples, start_ns, end_ns) / ((end_ns - start_ns) / 1e9 * cores)


def foreign_share(evidence: Evidence, cores: int) -> float:
    """Share of all processors that went to what is not ours over the measured part."""
    begin, end = evidence.start_ns, evidence.end_ns
    busy = cpu_share(evidence.samples.get(MACHINE, []), begin, end, cores)
    return max(0.0, busy - cpu_share(evidence.samples.get(OURSELVES, []), begin, end, cores))


def rss_at(samples: dict[str, list[Sample]], at_ns: int) -> int:
    """Resident bytes of all validators at a time."""
    total = 0
    for name, of_one in samples.items():
        before = [sample for sample in of_one if sample.at_ns <= at_ns]
        if name.isdecimal() and before:
            total += before[-1].rss_bytes
    return total


def node_costs(evidence: Evidence, index: int, transactions: int) -> Node:
    """What a validator used for each of the transactions that became final meanwhile."""
    start_ns, end_ns = evidence.start_ns, evidence.end_ns
    samples = evidence.samples.get(str(index), [])
    events = evidence.node_events.get(index)
    within = [sample for sample in samples if start_ns <= sample.at_ns <= end_ns] or samples[-1:]
    per = max(1, transactions)
    pauses = _pauses(events, start_ns, end_ns)
    return Node(
        index=index,
        alive=index not in evidence.disturbed,
        cpu_us_per_transaction=cpu_between(samples, start_ns, end_ns) * 1e6 / per,
        rss_start_bytes=within[0].rss_bytes if within else 0,
        rss_end_bytes=within[-1].rss_bytes if within else 0,
        rss_max_bytes=max((sample.rss_bytes for sample in within), default=0),
        sent_bytes_per_transaction=_grown(events, start_ns, end_ns, lambda second: second["bytes_sent"]) / per,
        sent_messages_per_transaction=_grown(
            events, start_ns, end_ns, lambda second: sum(second["messages_sent"].values())
        )
        / per,
        consensus=None
        if events is None
        else distribution(
            (int(events.blocks[height]["decided"]) - at_ns) // 1_000
            for height, at_ns in events.proposed.items()
            # Others send a proposal on to whoever lacks it.
            if start_ns <= at_ns < end_ns and events.blocks.get(height, {}).get("proposer") == index
        ),
        lateness=None
        if events is None
        else distribution(late for second in _seconds(events, start_ns, end_ns) for late in second["lateness_us"]),
        gc_pauses=sum(count for count, _, _ in pauses),
        gc_pause_max_us=max((longest for _, longest, _ in pauses), default=0),
        gc_pause_total_us=sum(total for _, _, total in pauses),
        events_dropped=0 if events is None else events.dropped,
    )


def _share(begin: int, end: int, start_ns: int, end_ns: int) -> float:
    return max(0, min(end, end_ns) - max(begin, start_ns)) / max(1, end - begin)


def _seconds(events: NodeEvents | None, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
    return [] if events is None else [second for second in events.seconds if start_ns <= second["at"] <= end_ns]


def _pauses(events: NodeEvents | None, start_ns: int, end_ns: int) -> list[tuple[int, int, int]]:
    return [tuple(second["gc"]) for second in _seconds(events, start_ns, end_ns)]


def _grown(events: NodeEvents | None, start_ns: int, end_ns: int, value: Callable[[dict[str, Any]], int]) -> float:
    """How much a counter grew, linear between seconds."""
    seconds = [] if events is None else events.seconds
    return sum(
        max(0, value(after) - value(before)) * _share(before["at"], after["at"], start_ns, end_ns)
        for before, after in itertools.pairwise(seconds)
    )
