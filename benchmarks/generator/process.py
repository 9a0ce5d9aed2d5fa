"""The generator's process: signs ahead, waits for the word, offers the load, writes down what became of it.

It says what it does on standard output, a JSON line each: `signed` while it signs ahead, `ready`, `began` (with the
monotonic time), `done`. The word is a line on standard input. It ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy
import uvloop
from numpy.typing import NDArray

from benchmarks.generator.bundles import Bundles
from benchmarks.generator.following import Follower
from benchmarks.generator.offering import EXPIRY_MARGIN_MS, Ledger, Offering
from benchmarks.generator.plan import AHEAD_MAX, WINDOW_S, Plan, read_plan
from benchmarks.generator.schedule import due_times
from benchmarks.generator.signing import Chunk, SignedChunk, begin_worker, chunks_of, sign_chunk
from node.parents import end_with_parent

LOOK_S: Final = 0.5
"""How often it is looked whether another chunk should be signed."""
SATURATED_SHARE: Final = 0.8
"""Of a lifetime: how long transactions of a saturated run can be used."""
SIGNING_US_GUESS: Final = 35
"""A first guess of what making one transaction takes."""
SLOW_SHARE: Final = 0.2
"""Of the rate that no network reaches: a slower one would leave unsent what a long saturated run begins with."""
SIGNINGS_MAX: Final = 3
START_MS: Final = 3_000
"""A first guess of how long the signing processes take to start."""


class Stock:
    """Chunks that are signed, and those that will be."""

    def __init__(self, plan: Plan, directory: Path, due_ns: NDArray[numpy.int64]) -> None:
        self._plan = plan
        self._directory = directory
        self._due_ns = due_ns
        self.chunks = chunks_of(plan, len(due_ns))
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            len(os.sched_getaffinity(0)), context, initializer=begin_worker, initargs=(directory, os.getpid())
        )
        self._signed: set[int] = set()
        self._asked = 0
        self._under_way: Future[Chunk] | None = None
        self._base_ms = 0

    def sign_ahead(self) -> None:
        """Sign what can be signed before the beginning.

        Expiries count from the beginning, and when that is follows from how long the signing takes: where it took much
        longer than was guessed everything is signed again, and where it was faster the beginning waits.
        """
        plan = self._plan
        ahead = [chunk for chunk in self.chunks if chunk.number < 2 or chunk.first * plan.units < self._ahead_max()]
        count = sum(chunk.requests for chunk in ahead) * plan.transactions
        guess_ms = START_MS + int(count * SIGNING_US_GUESS / 1000 / len(os.sched_getaffinity(0)))
        for _ in range(SIGNINGS_MAX):
            began_ms = time.time_ns() // 1_000_000
            self._base_ms = began_ms + guess_ms
            done = 0
            for chunk in self._pool.map(sign_chunk, ahead, [self._expiries(one) for one in ahead]):
                self._signed.add(chunk.number)
                done += chunk.requests * plan.transactions
                say("signed", transactions=done, of=count)
            took_ms = time.time_ns() // 1_000_000 - began_ms
            if took_ms <= guess_ms + plan.lifetime_ms // 6:
                break
            guess_ms = took_ms
        early_ms = self._base_ms - time.time_ns() // 1_000_000
        time.sleep(max(0, early_ms) / 1000)
        self._asked = len(ahead)

    def _ahead_max(self) -> int:
        """Transactions to sign before the beginning.

        In a saturated run nobody knows when they are used, so a long one begins with few: they must not expire unsent
        however slow the network is.
        """
        plan = self._plan
        usable_ms = plan.lifetime_ms * SATURATED_SHARE - EXPIRY_MARGIN_MS
        if plan.outstanding and plan.total_s * 1000 > usable_ms:
            return int(plan.rate * WINDOW_S * SLOW_SHARE)
        return AHEAD_MAX

    @property
    def complete(self) -> bool:
        return self._asked >= len(self.chunks)

    def keep_ahead(self, next_request: int, elapsed_ns: int) -> None:
        """Sign one more chunk if the window is not full."""
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._signed.add(self._under_way.result().number)
            self._under_way = None
        if self.complete:
            return
        chunk = self.chunks[self._asked]
        if self._plan.outstanding:
            per_ns = next_request / max(1, elapsed_ns)
            due = chunk.first - next_request <= max(2 * chunk.requests, per_ns * WINDOW_S * 1e9)
        else:
            due = int(self._due_ns[chunk.first]) <= elapsed_ns + int(WINDOW_S * 1e9)
        if due:
            self._asked += 1
            self._under_way = self._pool.submit(sign_chunk, chunk, self._expiries(chunk), beside_load=True)

    def chunk_of(self, request: int) -> SignedChunk | None:
        size = self.chunks[0].requests
        number = request // size
        return SignedChunk(self._directory, self.chunks[number]) if number in self._signed else None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _expiries(self, chunk: Chunk) -> NDArray[numpy.int64]:
        lifetime_ms = self._plan.lifetime_ms
        if self._plan.outstanding:
            begins_ms = max(self._base_ms, time.time_ns() // 1_000_000)
            return numpy.full(chunk.requests, begins_ms + int(lifetime_ms * SATURATED_SHARE), dtype=numpy.int64)
        due_ms = self._due_ns[chunk.first : chunk.first + chunk.requests] // 1_000_000
        return (self._base_ms + due_ms + lifetime_ms // 2).astype(numpy.int64)


def main(directory: Path) -> None:
    """Carry out the plan of `directory`."""
    end_with_parent()
    plan = read_plan(directory)
    asked = plan.configuration
    due_ns = due_times(asked.arrivals, plan.rate / plan.units, plan.total_s, asked.seed)
    stock = Stock(plan, directory, due_ns.copy()) if plan.signed else Bundles(plan, len(due_ns))
    ledger = Ledger(due_ns, plan.transactions)
    if len(due_ns):
        stock.sign_ahead()
    say("ready", requests=len(due_ns), transactions=len(due_ns) * plan.transactions)
    sys.stdin.readline()
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_offer(plan, directory, stock, ledger))
    stock.close()


async def _offer(plan: Plan, directory: Path, stock: Stock | Bundles, ledger: Ledger) -> None:
    offering = Offering(plan, ledger, stock.chunk_of)
    follower = Follower(plan.urls if plan.follow else (), offering.on_certified)
    await offering.connect()
    follower.start()

    async def sign() -> None:
        while not stock.complete:
            await asyncio.sleep(LOOK_S)
            stock.keep_ahead(offering.offered, time.monotonic_ns() - offering.began_ns)

    signing = asyncio.get_running_loop().create_task(sign())
    say("began", at=time.monotonic_ns())
    await offering.run()
    signing.cancel()
    say("stopped")
    await asyncio.to_thread(sys.stdin.readline)  # blocks are followed until the network has nothing left to do
    await follower.stop()
    with (directory / "requests.npz").open("wb") as file:
        made = {} if isinstance(stock, Stock) else {"ids": stock.identities}
        numpy.savez(file, **ledger.arrays(), **made)  # type: ignore[arg-type]  # its stubs take them for its own
    say(
        "done",
        began_ns=offering.began_ns,
        offered=offering.offered,
        starved=offering.starved,
        codes=ledger.codes,
        heard=[sorted(of_one.items()) for of_one in follower.heard],
    )


def say(event: str, **fields: Any) -> None:
    sys.stdout.write(msgspec.json.encode({"event": event, **fields}).decode("utf-8") + "\n")
    sys.stdout.flush()
