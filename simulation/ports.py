"""The production core's ports in virtual time. They belong to one life of a node, and are dead after its crash."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ledger.errors import LedgerError
from node.chain_service import ChainService
from node.ports import Answer, InlineWorkers, RegisteredPeer
from p2p.channels import Channel
from simulation.disk import PowerLost, SimulatedDisk
from simulation.network import Network
from simulation.world import Handle, World

SYNC_MS_MAX: Final = 4
EXECUTION_MS_MAX: Final = 3
CHECK_MS_MAX: Final = 8
"""Of a range of blocks by a worker."""

Crash: TypeAlias = Literal["before", "torn", "after"]
"""Where in a piece of work a crash strikes: before it, while the disk writes, after it but before anyone hears."""


class CrashPoint(msgspec.Struct, frozen=True):
    """A crash at the `count`-th piece of work of a kind, counted over all lives of the node from 1."""

    kind: Literal["journal", "ledger"]
    count: int
    crash: Crash


class Surroundings(msgspec.Struct, frozen=True):
    """What a node's ports are made of, and what its lives share."""

    world: World
    network: Network
    disk: SimulatedDisk
    names: Sequence[str]
    """Node ids in order of index."""
    indices: Mapping[str, int]
    """The reverse."""
    index: int
    complaints: list[tuple[str, str]]
    """(peer, reason) of what the node complained about."""
    work_done: dict[str, int]
    """Kind -> pieces of work begun, over all lives."""


class SimulatedWorkers:
    """`node.ports.Workers` of one life: the name `run` is that of its jobs."""

    def __init__(self, ports: SimulatedPorts) -> None:
        self._ports = ports

    def run(self, job: Callable[[], Any], answer: Answer, size_bytes: int) -> None:
        self._ports.compute(job, answer, size_bytes)


class SimulatedPorts:
    """Clock, jobs, links and executor of one life."""

    def __init__(
        self,
        around: Surroundings,
        service: ChainService,
        clock_skew_ms: Callable[[], int],
        crash_at: CrashPoint | None,
        crash: Callable[[bool], None],
    ) -> None:
        """`crash(power_loss)` ends this life; `crash_at` is where that is to happen."""
        self._around = around
        self._world = around.world
        self._service = service
        self._skew_ms = clock_skew_ms
        self.crash_at = crash_at
        self._crash = crash
        self._busy_until = {"journal": 0, "ledger": 0}
        self._writing: Callable[[], None] | None = None
        self._torn = False
        self._registered = set(around.names)
        """Whom the node takes for members of the network; it sends to nobody else."""
        self.alive = True

    def die(self, power_loss: bool) -> None:
        """End this life. What the disk was writing gets as far as it gets."""
        self.alive = False
        disk, job = self._around.disk, self._writing
        if power_loss:
            disk.lose_power()
        if job is not None and (self._torn or self._world.random.random() < 0.5):
            with contextlib.suppress(PowerLost):
                job()
        disk.restore()

    def _later(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        def run() -> None:
            if self.alive:
                self._world.touched.add(self._around.index)
                callback()

        return self._world.at(delay_ms, run)

    def _in_turn(self, kind: Literal["journal", "ledger"], longest_ms: int, work: Callable[[], None]) -> None:
        """Run work of one kind in order, each piece taking its time."""
        now_ms = self._world.now_ms
        self._busy_until[kind] = max(now_ms, self._busy_until[kind]) + self._world.random.randint(0, longest_ms)
        self._later(self._busy_until[kind] - now_ms, work)

    def _reaches(self, kind: Literal["journal", "ledger"]) -> Crash | None:
        """Count a piece of work; tell whether the crash belongs here."""
        done = self._around.work_done
        done[kind] = done.get(kind, 0) + 1
        point = self.crash_at
        return point.crash if point is not None and (point.kind, point.count) == (kind, done[kind]) else None

    # --- Clock

    def now_ms(self) -> int:
        return self._world.now_ms + self._skew_ms()

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        return self._later(delay_ms, callback)

    # --- Jobs

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        self._writing = job

        def finish() -> None:
            crash = self._reaches("journal")
            if crash in ("before", "torn"):
                self._torn = crash == "torn"
                self._writing = job if self._torn else None
                self._crash(True)
                return
            failure: OSError | None = None
            try:
                job()
            except OSError as error:
                failure = error
            self._writing = None
            if crash == "after":
                self._crash(True)
            else:
                done(failure)

        self._in_turn("journal", SYNC_MS_MAX, finish)

    # --- Executor

    def call(self, method: str, arguments: tuple[object, ...], answer: Answer) -> None:
        writes = method in ("execute", "take_blocks", "add_certificate")

        def work() -> None:
            crash = self._reaches("ledger") if writes else None
            if crash in ("before", "torn"):  # one atomic batch: a torn one is none
                self._crash(True)
                return
            result, failure = None, None
            try:
                result = getattr(self._service, method)(*arguments)
            except LedgerError as error:
                failure = error
            if crash == "after":
                self._crash(True)
            else:
                self._later(0, lambda: answer(result, failure))

        self._in_turn("ledger", EXECUTION_MS_MAX, work)

    # --- Workers

    def compute(self, job: Callable[[], Any], answer: Answer, size_bytes: int) -> None:
        """Take a while, so that other things happen between, and later jobs may be done before earlier ones."""
        delay_ms = self._world.random.randint(0, CHECK_MS_MAX)
        self._later(delay_ms, lambda: InlineWorkers().run(job, answer, size_bytes))

    # --- Links

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        around, receiver = self._around, self._around.indices[node_id]
        if not self.alive or not around.network.connected(around.index, receiver):
            return False
        around.network.send(around.index, receiver, channel, payload)
        return True

    def connected(self) -> Sequence[str]:
        around = self._around
        return [
            name
            for other, name in enumerate(around.names)
            if other != around.index and name in self._registered and around.network.connected(around.index, other)
        ]

    def register(self, peers: Sequence[RegisteredPeer]) -> None:
        self._registered = {peer.node_id for peer in peers}

    def misbehaved(self, node_id: str, reason: str) -> None:
        self._around.complaints.append((node_id, reason))
