"""Clients in virtual time: the schedule and the transactions of a real run, without the processors of a generator.

A client is beside the validator that it sends to. At a rate, requests leave when they are due, whatever became of
earlier ones; saturated, so many transactions are kept on their way that no pool runs empty.
"""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.generator.schedule import due_times
from benchmarks.results.schema import Configuration
from benchmarks.simulated.clock import US_PER_MS, US_PER_S, Time
from benchmarks.simulated.costs import LOOPBACK_US
from benchmarks.simulated.validators import Chronicle, Validator
from benchmarks.workloads.workload import Workload, numbers_of
from ledger.opaque import SALT_BYTES as BUNDLE_SALT_BYTES
from ledger.opaque import build_bundle
from ledger.transaction import SALT_BYTES, build, transaction_id
from node.core import Admission

PUSHED_BACK_US: Final = 100 * US_PER_MS
"""How long a saturated run sends nothing to a validator that refused something."""
UNANSWERED: Final = "connection.lost"
_NS_PER_US: Final = 1_000


class Sent(msgspec.Struct):
    """One transaction."""

    intended_us: int
    node: int
    operations: int
    code: str | None = None
    """Of the answer, empty when it was taken; None while there is none."""


class Load:
    """Offers one run's load and remembers what became of it."""

    def __init__(
        self,
        time: Time,
        configuration: Configuration,
        workload: Workload,
        network_id: bytes,
        lifetime_ms: int,
        validators: list[Validator],
        chronicle: Chronicle,
    ) -> None:
        self.sent: dict[bytes, Sent] = {}
        self.submission: list[tuple[int, int]] = []
        """(intended at, from sending to the answer) of requests, in microseconds."""
        self.requests = 0
        self._time = time
        self._asked = configuration
        self._workload = workload
        self._network_id = network_id
        self._lifetime_ms = lifetime_ms
        self._validators = validators
        self._chronicle = chronicle
        self._each = configuration.batch_submit if workload.signed else 1
        self.start_us = 0
        self._end_us = 0
        self._next_node = 0
        self._on_the_way = 0
        self._not_before_us = [0] * len(validators)

    @property
    def units_each(self) -> int:
        """Units of the rate in one transaction: payloads in a bundle."""
        return 1 if self._workload.signed else self._asked.batch_submit

    @property
    def _most(self) -> int:
        return max(self._each, self._asked.outstanding // self.units_each)

    def start(self) -> None:
        """Begin now."""
        self.start_us = self._time.now_us
        seconds = self._asked.warmup_s + self._asked.duration_s
        self._end_us = self.start_us + round(seconds * US_PER_S)
        if self._asked.rate == "saturate":
            self._chronicle.on_certified = self._on_certified
            self._fill()
            return
        per_request = self._asked.batch_submit
        for due_ns in due_times(self._asked.arrivals, self._asked.rate / per_request, seconds, self._asked.seed):
            self._time.after(int(due_ns) // _NS_PER_US, self._send_to_next)

    def _on_certified(self, height: int) -> None:
        self._on_the_way = max(0, self._on_the_way - len(self._chronicle.blocks[height].ids))
        self._fill()

    def _fill(self) -> None:
        while self._on_the_way + self._each <= self._most and self._time.now_us < self._end_us:
            if not self._send_to_next():
                self._time.after(PUSHED_BACK_US, self._fill)
                return

    def _send_to_next(self) -> bool:
        """Send one request; False when nobody would take it, which is no reason not to send what is due."""
        count, now_us = len(self._validators), self._time.now_us
        for step in range(count):
            index = (self._next_node + step) % count
            if self._validators[index].up and self._not_before_us[index] <= now_us:
                self._next_node = (index + 1) % count
                self._send(index)
                return True
        if self._asked.rate != "saturate":
            self._send(self._next_node)
        return False

    def _send(self, node: int) -> None:
        began_us = self._time.now_us
        first = self.requests * self._each
        self.requests += 1
        self._on_the_way += self._each
        transactions, entries = [], []
        for index in range(first, first + self._each):
            data, operations = self._make(index)
            transactions.append(data)
            entry = self.sent[transaction_id(data)] = Sent(began_us, node, operations)
            entries.append(entry)

        def answered(admissions: list[Admission] | None) -> None:
            self._time.after(LOOPBACK_US, lambda: self._on_answer(node, began_us, entries, admissions))

        self._time.after(LOOPBACK_US, lambda: self._validators[node].submit(transactions, answered))

    def _on_answer(self, node: int, began_us: int, entries: list[Sent], admissions: list[Admission] | None) -> None:
        if admissions is None:
            codes = [UNANSWERED] * len(entries)
        else:
            codes = ["" if each.known else each.code for each in admissions]
            self.submission.append((began_us, self._time.now_us - began_us))
        for entry, code in zip(entries, codes, strict=True):
            entry.code = code
        refused = sum(map(bool, codes))
        if refused and self._asked.rate == "saturate":
            self._on_the_way = max(0, self._on_the_way - refused)
            self._not_before_us[node] = self._time.now_us + PUSHED_BACK_US
            self._fill()

    def _make(self, index: int) -> tuple[bytes, int]:
        asked = self._asked
        rng = numbers_of(asked.seed, index)
        expires_at_ms = self._time.now_ms + self._lifetime_ms // 2
        if not self._workload.signed:
            data = build_bundle(
                network_id=self._network_id,
                expires_at_ms=expires_at_ms,
                salt=rng.randbytes(BUNDLE_SALT_BYTES),
                payload=rng.randbytes(asked.payload_bytes * asked.batch_submit),
            )
            return data, 1
        sender, operations = self._workload.operations(index, rng)
        data = build(
            network_id=self._network_id,
            sender=sender.account,
            key=sender.key,
            operations=operations,
            expires_at_ms=expires_at_ms,
            salt=rng.randbytes(SALT_BYTES),
        )
        return data, len(operations)
