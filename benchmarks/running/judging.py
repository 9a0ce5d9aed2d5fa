"""From what a run has left behind to its result."""

from __future__ import annotations

from typing import Any, Final

import numpy
from numpy.typing import NDArray

from benchmarks.generator.plan import Fate
from benchmarks.measurement.histogram import NOTHING, distribution
from benchmarks.results.schema import (
    Checks,
    Generator,
    Latency,
    Second,
    Throughput,
    VerifyUnit,
)
from benchmarks.running.checks import ChainPart, disagreement, find
from benchmarks.running.costs import cpu_share, rss_at
from benchmarks.running.evidence import Evidence

GENERATOR_SHARE_MAX: Final = 0.10
"""Of all processors. A generator that takes more has measured itself."""
RATE_KEPT: Final = 0.99
"""Share of what was due that must have been sent before the end of the measured part and a little after it."""
LATE_ALLOWED_NS: Final = 100_000_000
UNANSWERED: Final = "connection.lost"
LOST_WITH_NODE: Final = "node.lost"


class Judgement:
    """Columns over all transactions, made once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.errors: list[str] = []
        requests = evidence.requests
        each = max(1, requests.each)
        self.due_ns: NDArray[numpy.int64] = numpy.repeat(requests.due_ns, each)
        self.node: NDArray[numpy.int8] = numpy.repeat(requests.node, each)
        self.acknowledged: NDArray[numpy.bool_] = requests.fate == Fate.ACKNOWLEDGED
        self.promised: NDArray[numpy.bool_] = self.acknowledged & ~self._lost_with_node(each)
        """Acknowledged by a validator that kept its memory: must be in the chain."""
        self.chain: ChainPart = next(iter(evidence.chains.values()))
        found = find(requests.ids, self.chain.ids)
        self.row = found.row
        self.doubled = found.twice
        self.committed_ns = self._committed_at()
        """When each transaction was final, 0 where it never was."""

    @property
    def measured(self) -> NDArray[numpy.bool_]:
        """Transactions that were due in the measured part."""
        evidence = self.evidence
        return (self.due_ns >= evidence.start_ns) & (self.due_ns < evidence.end_ns)

    @property
    def within(self) -> NDArray[numpy.bool_]:
        """Transactions that became final in the measured part."""
        evidence = self.evidence
        return (self.committed_ns >= evidence.start_ns) & (self.committed_ns < evidence.end_ns)

    def _lost_with_node(self, each: int) -> NDArray[numpy.bool_]:
        """Which transactions were taken by a validator before it was killed."""
        requests = self.evidence.requests
        lost = numpy.zeros(len(requests.fate), dtype=numpy.bool_)
        for node, times in self.evidence.lost_memory_ns.items():
            before = (requests.node == node) & (requests.sent_ns < max(times))
            lost |= numpy.repeat(before, each)
        return lost

    def _committed_at(self) -> NDArray[numpy.int64]:
        """The time at which the validator that took a transaction knew that it is final.

        Where it did not live to see it: when the last of the others knew.
        """
        heights = numpy.where(self.row >= 0, self.chain.height_of[self.row] if len(self.chain.height_of) else 0, -1)
        known = self.certified_times()
        result = numpy.zeros(len(heights), dtype=numpy.int64)
        latest: dict[int, int] = {}
        for of_node in known.values():
            for height, at_ns in of_node.items():
                latest[height] = max(latest.get(height, 0), at_ns)
        for node in {int(one) for one in numpy.unique(self.node)}:
            of_node = known.get(node, {})
            mine = (self.node == node) & (heights >= 0)
            if not mine.any():
                continue
            unique, where = numpy.unique(heights[mine], return_inverse=True)
            times = numpy.array([of_node.get(int(h)) or latest.get(int(h), 0) for h in unique], dtype=numpy.int64)
            result[mine] = times[where]
        return result

    def certified_times(self) -> dict[int, dict[int, int]]:
        """Validator -> height -> when it was known there to be final."""
        evidence = self.evidence
        if evidence.node_events:
            return {node: events.certified_at() for node, events in evidence.node_events.items()}
        return dict(enumerate(evidence.heard))

    # --- parts of the result

    def throughput(self, unit: VerifyUnit | None, cores: int) -> Throughput:
        evidence, asked = self.evidence, self.evidence.plan.configuration
        seconds = asked.duration_s
        within = self.within & ~self.refused_rows()
        transactions = int(within.sum())
        operations = int(evidence.requests.operations[within].sum())
        each = evidence.plan.units // evidence.plan.transactions
        blocks, batches = self._blocks()
        signed = asked.workload != "opaque" and unit is not None
        utilization = (
            transactions / seconds * asked.validators * unit.us / (cores * 1e6) if signed and unit is not None else 0.0
        )
        return Throughput(
            seconds=seconds,
            transactions=transactions,
            operations=operations,
            payloads=transactions * each,
            transactions_per_s=transactions / seconds,
            operations_per_s=operations / seconds,
            payloads_per_s=transactions * each / seconds,
            blocks_per_s=blocks / seconds,
            utilization=utilization,
            transactions_per_block=transactions / blocks if blocks else 0.0,
            transactions_per_batch=sum(batches) / len(batches) if batches else 0.0,
        )

    def _blocks(self) -> tuple[int, list[int]]:
        """Blocks that became final in the measured part, and the sizes of their batches."""
        evidence = self.evidence
        known = self.certified_times()
        live = next((node for node in known if node not in evidence.disturbed), next(iter(known), 0))
        heights = [h for h, at in known.get(live, {}).items() if evidence.start_ns <= at < evidence.end_ns]
        events = evidence.node_events.get(live)
        blocks = events.blocks if events is not None else {}
        sizes = [size for height in heights if height in blocks for size in blocks[height]["batches"]]
        return len(heights), sizes

    def refused_rows(self) -> NDArray[numpy.bool_]:
        """Transactions whose receipt is a refusal: they were ordered, and count as failures."""
        rows = numpy.zeros(len(self.chain.ids) + 1, dtype=numpy.bool_)
        rows[list(self.chain.refused)] = True
        rows[-1] = False  # row -1: nowhere
        return rows[self.row]

    def end_to_end(self) -> Latency:
        counted = self.measured & (self.committed_ns > 0) & ~self.refused_rows()
        return distribution((self.committed_ns[counted] - self.due_ns[counted]) // 1_000) or NOTHING

    def submission(self) -> Latency:
        requests, evidence = self.evidence.requests, self.evidence
        counted = (requests.answered_ns > 0) & (requests.due_ns >= evidence.start_ns)
        counted &= requests.due_ns < evidence.end_ns
        return distribution((requests.answered_ns[counted] - requests.sent_ns[counted]) // 1_000) or NOTHING

    def generator(self, cores: int) -> Generator:
        evidence, requests = self.evidence, self.evidence.requests
        units = evidence.plan.units
        due = (requests.due_ns >= evidence.start_ns) & (requests.due_ns < evidence.end_ns)
        sent = due & (requests.sent_ns > 0) & (requests.sent_ns < evidence.end_ns + LATE_ALLOWED_NS)
        intended, done = int(due.sum()), int(sent.sum())
        share = cpu_share(evidence.samples.get("generator", []), evidence.start_ns, evidence.end_ns, cores)
        starved = bool(evidence.plan.outstanding and evidence.starved)
        missed = done < RATE_KEPT * intended or starved
        if missed:
            self.errors.append(
                "the generator had nothing signed to send"
                if starved
                else f"the generator missed its rate: {done * units} of {intended * units} units were sent on time"
            )
        if share > GENERATOR_SHARE_MAX:
            self.errors.append(
                f"the generator took {share:.1%} of the processors; beyond {GENERATOR_SHARE_MAX:.0%} a result does not "
                "count"
            )
        late = (requests.sent_ns[sent] - requests.due_ns[sent]) // 1_000
        return Generator(
            intended=intended * units,
            sent=done * units,
            cpu_share=share,
            lateness=None if evidence.plan.outstanding else distribution(late),
            missed=missed,
        )

    def refused(self) -> dict[str, int]:
        """Code -> units, over the whole load."""
        evidence, requests = self.evidence, self.evidence.requests
        each = evidence.plan.units // evidence.plan.transactions
        found: dict[str, int] = {}
        for number, code in enumerate(evidence.codes):
            found[code] = int((requests.fate == Fate.REFUSED + number).sum())
        # What nobody acknowledged, and is in a block nevertheless, was committed.
        lost = (requests.fate == Fate.UNANSWERED) & (self.row < 0)
        found[UNANSWERED] = int(lost.sum())
        found[LOST_WITH_NODE] = int((self.acknowledged & ~self.promised & (self.row < 0)).sum())
        for code in self.chain.refused.values():
            found[code] = found.get(code, 0) + 1
        return {code: count * each for code, count in sorted(found.items()) if count}

    def checks(self) -> Checks:
        requests, chains = self.evidence.requests, self.evidence.chains
        differs = disagreement(chains)
        if differs:
            self.errors.append(f"the chain has split: {differs}")
        found = find(requests.ids[self.promised], self.chain.ids)
        if found.missing:
            self.errors.append(f"{found.missing} acknowledged transactions are in no block")
        if self.doubled:
            self.errors.append(f"{self.doubled} transactions are in blocks twice")
        return Checks(
            agreed_height=self.chain.heights[-1] if not differs and self.chain.heights else 0,
            agreed_hash=self.chain.hashes[-1].hex() if not differs and self.chain.hashes else "",
            acknowledged=int(self.promised.sum()),
            found_once=found.once,
            missing=found.missing,
            twice=self.doubled,
        )

    def series(self) -> tuple[Second, ...]:
        """Second by second of the measured part: what became final, and the latency of what was due."""
        evidence = self.evidence
        latency_us = (self.committed_ns - self.due_ns) // 1_000
        refused = self.refused_rows()
        found: list[Second] = []
        for second in range(int(evidence.plan.configuration.duration_s)):
            begin = evidence.start_ns + second * 1_000_000_000
            end = begin + 1_000_000_000
            final = (self.committed_ns >= begin) & (self.committed_ns < end) & ~refused
            values: Any = latency_us[final]
            p50, p99 = (int(v) for v in numpy.percentile(values, [50, 99])) if len(values) else (0, 0)
            found.append(Second(second, int(final.sum()), p50, p99, rss_at(evidence.samples, end)))
        return tuple(found)
