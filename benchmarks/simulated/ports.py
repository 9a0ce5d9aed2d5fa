"""The production core's ports, with every piece of work charged to the node's threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from benchmarks.simulated.clock import US_PER_MS, Time
from benchmarks.simulated.costs import HAND_OVER_US, Costs
from benchmarks.simulated.meter import Meter
from benchmarks.simulated.network import Wires
from benchmarks.simulated.processors import Charge, Process, Thread
from consensus.messages import PrePrepare, decode_message
from ledger.errors import LedgerError
from node.chain_service import ChainService
from node.ports import Answer, RegisteredPeer
from node.verifier import PART_TRANSACTIONS, check_signatures
from p2p.channels import Channel
from simulation.world import Handle

WRITES: Final = frozenset({"execute", "take_blocks"})
"""Requests to the ledger that end with a synced write."""
_PRE_PREPARE: Final = b"pre-prepare"
_KIB: Final = 1_024


class Tally(msgspec.Struct):
    """What a node did over all its lives."""

    bytes_sent: int = 0
    messages_sent: int = 0
    lateness_us: list[int] = []
    """Of its timers."""
    proposed_us: dict[int, int] = {}
    """Height -> when this node first sent its proposal."""
    consensus: list[tuple[int, int]] = []
    """(decided at, from proposal to decision), in microseconds, of what this node proposed."""
    complaints: list[str] = []
    """About peers, which all keep the protocol."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a node's lives share."""

    time: Time
    wires: Wires
    costs: Costs
    meter: Meter
    process: Process
    names: Sequence[str]
    indices: dict[str, int]
    index: int
    tally: Tally


class ChargedPorts:
    """Clock, jobs, links, executor and verifier of one life."""

    def __init__(self, around: Surroundings, service: ChainService) -> None:
        self._around = around
        self._service = service
        time, process = around.time, around.process
        self._loop = Thread(time, process)
        self._executor = Thread(time, process)
        self._verifier = Thread(time, process, lockless=True)
        self._disk = Thread(time, process)
        self._outbox: list[Callable[[], object]] | None = None
        self._sent = 0
        self._sent_bytes = 0
        self._registered = set(around.names)
        self._last_proposal: bytes | None = None

    def die(self) -> None:
        """The process was killed."""
        for thread in (self._loop, self._executor, self._verifier, self._disk):
            thread.gone = True

    # --- work

    def on_loop(self, act: Callable[[], None], cpu_us: float) -> None:
        """Let the event loop do something that costs `cpu_us` beside signatures and messages."""

        def work() -> Charge:
            outbox: list[Callable[[], object]] = []
            self._outbox, self._sent, self._sent_bytes = outbox, 0, 0
            self._around.meter.take()
            act()
            self._outbox = None
            costs = self._around.costs
            total = cpu_us + self._signatures_us() + self._sent * costs.message_us
            total += self._sent_bytes / _KIB * costs.kib_us
            return Charge(total, 0.0, lambda: _run_all(outbox))

        self._loop.post(work)

    def _signatures_us(self) -> float:
        checks, signatures = self._around.meter.take()
        return checks * self._around.costs.verify_us + signatures * self._around.costs.sign_us

    def _then(self, act: Callable[[], object]) -> None:
        """Do it when the work under way has been paid for."""
        if self._outbox is None:
            act()
        else:
            self._outbox.append(act)

    def _back(self, act: Callable[[], None], cpu_us: float = 0.0) -> None:
        """From another thread to the loop."""
        self._around.time.after(HAND_OVER_US, lambda: self.on_loop(act, cpu_us))

    # --- Clock

    def now_ms(self) -> int:
        return self._around.time.now_ms

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        time, tally = self._around.time, self._around.tally
        canceled = Handle()
        due_us = time.now_us + delay_ms * US_PER_MS

        def fire() -> None:
            if not canceled.canceled:
                tally.lateness_us.append(time.now_us - due_us)
                callback()

        time.after(delay_ms * US_PER_MS, lambda: None if canceled.canceled else self.on_loop(fire, 0.0))
        return canceled

    # --- Jobs

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        def work() -> Charge:
            failure: OSError | None = None
            try:
                job()
            except OSError as error:
                failure = error
            return Charge(0.0, self._around.costs.sync_us, lambda: self._back(lambda: done(failure)))

        self._then(lambda: self._disk.post(work))

    # --- Executor

    def call(self, method: str, arguments: tuple[Any, ...], answer: Answer) -> None:
        around, costs = self._around, self._around.costs
        if method == "execute":
            self._note_decision(arguments[0], arguments[1].proposer)

        def work() -> Charge:
            result, failure = None, None
            around.meter.take()
            try:
                result = getattr(self._service, method)(*arguments)
            except LedgerError as error:
                failure = error
            cpu_us = self._signatures_us()
            if method == "execute":
                cpu_us += costs.block_us + costs.transaction_us * sum(len(batch.transactions) for batch in arguments[2])
            elif method == "take_blocks":
                blocks = () if result is None else result.results
                cpu_us += sum(
                    costs.block_us + costs.transaction_us * each.block.transactions_executed for each in blocks
                )
            synced = method in WRITES or (method == "add_certificate" and bool(arguments[1]))
            wait_us = costs.sync_us if synced else 0.0
            return Charge(cpu_us, wait_us, lambda: self._back(lambda: answer(result, failure)))

        self._then(lambda: around.time.after(HAND_OVER_US, lambda: self._executor.post(work)))

    def _note_decision(self, height: int, proposer: int | None) -> None:
        around, tally = self._around, self._around.tally
        began_us = tally.proposed_us.pop(height, None)
        if began_us is not None and proposer == around.index:
            tally.consensus.append((around.time.now_us, around.time.now_us - began_us))

    # --- Verifier

    def verify(self, transactions: Sequence[bytes], answer: Callable[[list[bool] | None], None]) -> None:
        found: list[bool] = []

        def job(part: Sequence[bytes]) -> Callable[[], Charge]:
            def work() -> Charge:
                self._around.meter.take()
                found.extend(check_signatures(part))
                return Charge(self._signatures_us(), 0.0, done)

            return work

        def done() -> None:
            if len(found) == len(transactions):
                self._back(lambda: answer(found))

        for start in range(0, len(transactions), PART_TRANSACTIONS):
            part = transactions[start : start + PART_TRANSACTIONS]
            self._then(partial(self._verifier.post, job(part)))

    # --- Links

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        around, receiver = self._around, self._around.indices[node_id]
        if not around.wires.up(receiver):
            return False
        if channel is Channel.CONSENSUS and payload is not self._last_proposal and payload[2:13] == _PRE_PREPARE:
            self._last_proposal = payload
            self._note_proposal(payload)
        self._sent += 1
        self._sent_bytes += len(payload)
        around.tally.messages_sent += 1
        around.tally.bytes_sent += len(payload)
        self._then(lambda: around.wires.send(around.index, receiver, channel, payload))
        return True

    def _note_proposal(self, payload: bytes) -> None:
        message = decode_message(payload)
        assert isinstance(message, PrePrepare)
        self._around.tally.proposed_us.setdefault(message.sequence, self._around.time.now_us)

    def connected(self) -> Sequence[str]:
        around = self._around
        return [
            name
            for other, name in enumerate(around.names)
            if other != around.index and name in self._registered and around.wires.up(other)
        ]

    def register(self, peers: Sequence[RegisteredPeer]) -> None:
        self._registered = {peer.node_id for peer in peers}

    def misbehaved(self, node_id: str, reason: str) -> None:
        self._around.tally.complaints.append(f"validator {self._around.index} complains of {node_id}: {reason}")


def _run_all(actions: Sequence[Callable[[], object]]) -> None:
    for act in actions:
        act()
