"""What each operation costs, as a ratio to one signature check: `python -m benchmarks.micro.operation_costs
[--samples N] [--only TAG] [--profile TAG] [--no-blocks]`.

First the handlers: for every operation of the default registry a small world is prepared (`operation_entries`), and the
handler runs many times over a warm view, each time with a fresh transaction id and taken back afterwards. No decoding,
no signature, no receipt, no tree, no disk. Every sample counts, however slow: what the garbage collector did meanwhile
is in the 95th percentile and the maximum.

Then whole blocks on a real chain in a temporary directory: what a transfer or a purchase costs in the executor, without
and with the check of its own signature, and what tree and disk cost for each key written.

The unit is measured between the samples, in the same thread: the median of the checks around them. All is processor
time of this thread, so that what others run counts for neither side but by the caches it takes; only the disk is
measured by the wall's clock, as waiting for it is the cost. Absolute times mean nothing here.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.errors import BenchError
from benchmarks.measurement.verify_unit import MESSAGE_BYTES
from benchmarks.micro.ledger_execution import ChainWorld, Stopwatch
from benchmarks.micro.operation_entries import check_complete, prepare
from benchmarks.micro.operation_entry import ENTRIES
from ledger.errors import OperationError
from ledger.execution import BlockExecutor
from ledger.operations import Registry, default_registry
from ledger.state.store import LevelStore
from ledger.state.tree import StateTree
from primitives.keys import SigningKey, verify

SAMPLES: Final = 1_000
"""Runs of each handler."""
ROUND_SAMPLES: Final = 25
"""Runs between two measurements of the unit."""
ROUND_CHECKS: Final = 20
"""Signature checks of one such measurement."""
MEDIAN_MAX: Final = 0.5
"""What a handler may cost, in signature checks."""
WHOLE_MAX: Final = 2.0
"""What a whole purchase without ancestors may cost."""
BLOCKS: Final = 6
BLOCK_TRANSACTIONS: Final = 500
ACCOUNTS: Final = 2_000


class Cost(NamedTuple):
    """What one operation's handler costs, in signature checks."""

    tag: str
    variant: str
    median: float
    p95: float
    worst: float
    keys: int
    """Records that it writes or deletes."""

    @property
    def name(self) -> str:
        return f"`{self.tag}` {self.variant}".strip()


class BlockCost(NamedTuple):
    """What transactions of one kind cost in whole blocks, in signature checks: the median over blocks."""

    kind: str
    executor: float
    """A transaction, its signature known to be good: decoding, id, sender's key, handler, receipt."""
    executor_checking: float
    """The same where the executor checks the signature."""
    keys: float
    """Records in the state that a transaction writes."""
    tree_per_key: float
    """Updating the tree, per key that it commits to."""
    disk_per_key: float
    """The synced batch, per key in it; the block's own records are among them."""


class Unit:
    """One signature check, measured again and again."""

    def __init__(self) -> None:
        signer = SigningKey(bytes(range(32)))
        self._key, self._message = signer.public_key, bytes(MESSAGE_BYTES)
        self._signature = signer.sign(self._message)

    def measure_ns(self) -> float:
        """Return the median of some checks made now, in nanoseconds."""
        times = []
        for _ in range(ROUND_CHECKS):
            start = time.thread_time_ns()
            verify(self._key, self._message, self._signature)
            times.append(time.thread_time_ns() - start)
        return statistics.median(times)


def measure_handler(registry: Registry, tag: str, variant: str, samples: int, unit: Unit) -> Cost:
    """Time the handler of one entry.

    Raises:
        BenchError: `operation_costs.refused`, the operation did not succeed in the world prepared for it.
    """
    run, keys = _runner(registry, tag, variant)
    ratios: list[float] = []
    for _ in range(ROUND_SAMPLES):
        run()
    before = unit.measure_ns()
    while len(ratios) < samples:
        times = [run() for _ in range(min(ROUND_SAMPLES, samples - len(ratios)))]
        after = unit.measure_ns()
        ratios += [taken / ((before + after) / 2) for taken in times]
        before = after
    ratios.sort()
    return Cost(tag, variant, statistics.median(ratios), ratios[int(len(ratios) * 0.95)], ratios[-1], keys)


def _runner(registry: Registry, tag: str, variant: str) -> tuple[Callable[[], int], int]:
    """Return what runs the handler once and says the nanoseconds, and how many records it changes."""
    world, ready = prepare(registry, tag, variant)
    handler, view, operation = registry.handlers[type(ready.operation)], world.settled_view(), ready.operation

    def run() -> int:
        context = world.context(view, ready.sender, world.fresh_id())
        view.set_savepoint()
        start = time.thread_time_ns()
        handler(context, operation)
        taken = time.thread_time_ns() - start
        view.roll_back()
        view.release()
        return taken

    first = view.child()
    try:
        handler(world.context(first, ready.sender, world.fresh_id()), operation)
    except OperationError as error:
        raise BenchError("operation_costs.refused", f"{tag}: {error.message} [{error.code}]") from error
    return run, len(first.changes())


def measure_blocks(*, purchases: bool, blocks: int, transactions: int, accounts: int, unit: Unit) -> BlockCost:
    """Execute blocks of transfers or purchases on a chain on disk, half of them with signatures to check."""
    known: list[float] = []
    checking: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        store = LevelStore(Path(directory) / "db")
        world, rng = ChainWorld(store, accounts, None), random.Random(1)
        offers = world.offer_licenses() if purchases else []
        watch, disk = Stopwatch(time.thread_time), Stopwatch()
        disk.wrap(store, "write_batch", "disk")
        watch.wrap(BlockExecutor, "run", "executor")
        watch.wrap(StateTree, "update", "tree")
        watch.wrap(StateTree, "commit", "tree")
        units = [unit.measure_ns()]
        state_keys = 0
        try:
            for at in range(blocks * 2):
                number = world.chain.height + 1
                work = [
                    world.purchase(offers, rng, number) if purchases else world.transfer(rng, number)
                    for _ in range(transactions)
                ]
                before = watch.seconds.get("executor", 0.0)
                world.execute(work, verified=at % 2 == 0)
                units.append(unit.measure_ns())
                taken_ns = (watch.seconds["executor"] - before) * 1e9 / transactions
                (checking if at % 2 else known).append(taken_ns / statistics.fmean(units[-2:]))
            state_keys = watch.keys["tree"]
        finally:
            watch.unwrap()
            disk.unwrap()
            store.close()
    per_ns = statistics.median(units)
    return BlockCost(
        kind="purchase" if purchases else "transfer",
        executor=statistics.median(known),
        executor_checking=statistics.median(checking),
        keys=state_keys / (blocks * 2 * transactions),
        tree_per_key=watch.seconds["tree"] * 1e9 / state_keys / per_ns,
        disk_per_key=disk.seconds["disk"] * 1e9 / disk.keys["disk"] / per_ns,
    )


def handler_table(costs: Sequence[Cost]) -> str:
    """Return the costs of handlers as a table, the dearest first."""
    rows = [
        f"| {cost.name} | {cost.median:.2f} | {cost.p95:.2f} | {cost.worst:.1f} | {cost.keys} |"
        for cost in sorted(costs, key=lambda cost: -cost.median)
    ]
    return "\n".join(["| operation | median | p95 | worst | keys |", "|---|---|---|---|---|", *rows])


def block_table(costs: Sequence[BlockCost]) -> str:
    """Return the costs of whole transactions, tree and disk as a table."""
    head = "| | " + " | ".join(cost.kind for cost in costs) + " |"
    labels = (
        ("executor, signature known", "executor"),
        ("executor, signature checked in it", "executor_checking"),
        ("keys in the tree, a transaction", "keys"),
        ("tree, a key", "tree_per_key"),
        ("disk, a key (synced)", "disk_per_key"),
    )
    rows = [
        f"| {label} | " + " | ".join(f"{getattr(cost, field):.2f}" for cost in costs) + " |" for label, field in labels
    ]
    return "\n".join([head, "|---" * (len(costs) + 1) + "|", *rows])


def profile(registry: Registry, tag: str, samples: int) -> None:
    """Print where the handlers of one tag spend their time."""
    for name, variant in ENTRIES:
        if name != tag:
            continue
        run, _ = _runner(registry, name, variant)
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(samples):
            run()
        profiler.disable()
        print(name, variant)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns 1 where a bound is exceeded."""
    parser = argparse.ArgumentParser(description="The cost of each operation, in signature checks.")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--only", action="append", default=[], metavar="TAG")
    parser.add_argument("--profile", metavar="TAG")
    parser.add_argument("--no-blocks", action="store_true")
    chosen = parser.parse_args(arguments)
    registry = default_registry()
    check_complete(registry)
    if chosen.profile:
        profile(registry, chosen.profile, chosen.samples)
        return 0
    gc.collect()
    gc.freeze()  # as the node does with what it has at its start
    try:
        return _report(registry, chosen)
    finally:
        gc.unfreeze()


def _report(registry: Registry, chosen: argparse.Namespace) -> int:
    unit = Unit()
    wanted = [one for one in ENTRIES if not chosen.only or one[0] in chosen.only]
    costs = [measure_handler(registry, tag, variant, chosen.samples, unit) for tag, variant in wanted]
    print(f"one signature check: {unit.measure_ns() / 1_000:.0f} us of processor time here and now")
    print(handler_table(costs))
    above = [cost.name for cost in costs if cost.median >= MEDIAN_MAX]
    if not chosen.no_blocks and not chosen.only:
        sizes: dict[str, Any] = {"blocks": BLOCKS, "transactions": BLOCK_TRANSACTIONS, "accounts": ACCOUNTS}
        whole = [measure_blocks(purchases=purchases, unit=unit, **sizes) for purchases in (False, True)]
        print(block_table(whole))
        above += [f"a whole {cost.kind}" for cost in whole if cost.executor >= WHOLE_MAX]
    if above:
        print(f"above the bound ({MEDIAN_MAX} a handler, {WHOLE_MAX:.0f} a whole transaction): {', '.join(above)}")
    return 1 if above else 0


if __name__ == "__main__":
    raise SystemExit(main())
