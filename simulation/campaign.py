"""Many seeds on all cores, resumable: what is done is a line of a file, and what failed is made shorter and kept.

The file's first line says what was run, the program's source included: lines of another program are worth nothing, and
a campaign that was begun with it is not continued.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Final

import msgspec

from primitives.quorum import fault_bound
from simulation.faults import Plan
from simulation.hostile import DECIDED_MIN, DEFAULTS, FAULTS_MIN, Options, Run, RunResult, replay
from simulation.shrink import REPLAYS_MAX, shrink
from simulation.workers import naming, source_digest, worker_pool

SEEDS_AHEAD: Final = 2
"""Seeds handed to a worker before it is done with others."""
TRACE_LINES: Final = 60
"""The end of a minimal run's trace, kept with a failure."""

Progress = Callable[[int, int], None]
"""(seeds done, seeds in all)"""


class CampaignMismatch(Exception):
    """The state file is another campaign's, or another program's."""


class Violation(msgspec.Struct, frozen=True):
    """A seed that broke a law."""

    seed: int
    n: int
    law: str
    """What was broken, beginning with the invariant."""
    plan: Plan
    """As short as it could be made; `guildmark simulate --replay FILE` runs it."""
    faults: int
    """In that plan."""
    trace: list[str]
    """The end of what happened in it."""


class Outcome(msgspec.Struct, frozen=True):
    """One seed: what it came to, or what it broke."""

    result: RunResult | None = None
    violation: Violation | None = None

    @property
    def key(self) -> tuple[int, int]:
        held = self.result or self.violation
        assert held is not None
        return held.n, held.seed


class Summary(msgspec.Struct):
    """What a campaign came to."""

    replicas: list[int]
    profile: str
    signatures: str
    seeds: int = 0
    violations: int = 0
    short: int = 0
    """Hostile runs with fewer than 100 decided sequences or 10 faults, where f is not 0."""
    decided: int = 0
    committed: int = 0
    simulated_seconds: float = 0.0
    messages: int = 0
    view_changes: int = 0
    faults: int = 0
    byzantine_members: int = 0
    faults_by_kind: dict[str, int] = {}
    seeds_per_second: float = 0.0
    """Of this sitting: seeds that were done before are not counted."""
    failures: list[Violation] = []


def run_seed(seed: int, n: int, options: Options = DEFAULTS, replays_max: int = REPLAYS_MAX) -> Outcome:
    """Run one seed; make what fails shorter."""
    run = Run(seed, n, options)
    try:
        return Outcome(run.finish())
    except Exception as error:  # a bug in the node is a finding too
        law = describe(error)
    return Outcome(violation=make_shorter(run.plan(), law, options, replays_max))


def describe(error: BaseException) -> str:
    return str(error) if type(error).__name__ == "InvariantViolated" else f"{type(error).__name__}: {error}"


def make_shorter(plan: Plan, law: str, options: Options, replays_max: int = REPLAYS_MAX) -> Violation:
    """Return the shortest plan found that breaks the same law."""

    def fails(shorter: Plan) -> bool:
        try:
            replay(shorter, options)
        except Exception as error:
            return describe(error).partition(":")[0] == law.partition(":")[0]
        return False

    shortest = shrink(plan, fails, replays_max)
    again = Run(shortest.seed, shortest.n, msgspec.structs.replace(options, profile=shortest.profile), plan=shortest)
    try:
        again.finish()
    except Exception as error:
        law = describe(error)
    return Violation(
        plan.seed,
        plan.n,
        law,
        shortest,
        sum(len(round_.faults) for round_ in shortest.rounds),
        list(again.cluster.world.trace.lines)[-TRACE_LINES:],
    )


def run_campaign(
    replicas: Sequence[int],
    seeds: range,
    options: Options = DEFAULTS,
    *,
    workers: int | None = None,
    state: Path | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Run every seed at every size.

    Args:
        workers: processes; all cores when None.
        state: the file with what is done; continued where it exists.

    Raises:
        CampaignMismatch: the file is another campaign's.
        OSError: the file cannot be written.
    """
    known = _read_state(state, options) if state is not None else []
    wanted = {(n, seed) for n in replicas for seed in seeds}
    done = {outcome.key: outcome for outcome in known if outcome.key in wanted}
    open_seeds = [(seed, n) for seed in seeds for n in replicas if (n, seed) not in done]
    total, begun = len(wanted), time.monotonic()
    found: list[Outcome] = []
    if progress is not None:
        progress(len(done), total)
    for outcome in _run_seeds(open_seeds, options, workers or os.cpu_count() or 1):
        found.append(outcome)
        if state is not None:
            _append(state, outcome)
        if progress is not None:
            progress(len(done) + len(found), total)
    seconds = time.monotonic() - begun
    summary = summarize([*done.values(), *found], replicas, options)
    summary.seeds_per_second = round(len(found) / seconds, 2) if found and seconds > 0 else 0.0
    return summary


def _run_seeds(seeds: Sequence[tuple[int, int]], options: Options, workers: int) -> Iterator[Outcome]:
    """Yield what (seed, n) came to, in the order in which they are done."""
    if workers == 1 or len(seeds) <= 1:
        for seed, n in seeds:
            yield _work(seed, n, options)
        return
    with worker_pool(min(workers, len(seeds))) as pool:
        waiting: set[Future[Outcome]] = set()
        for seed, n in seeds:
            waiting.add(pool.submit(_work, seed, n, options))
            if len(waiting) >= workers * SEEDS_AHEAD:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)


def _work(seed: int, n: int, options: Options) -> Outcome:
    """Run a seed. Garbage is collected after it: within one nearly everything stays."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return run_seed(seed, n, options)
    finally:
        gc.collect()
        if collecting:
            gc.enable()


def summarize(outcomes: Sequence[Outcome], replicas: Sequence[int], options: Options) -> Summary:
    """Add up what seeds came to."""
    summary = Summary(sorted(set(replicas)), options.profile, options.signatures, seeds=len(outcomes))
    kinds: Counter[str] = Counter()
    simulated_ms = 0
    for outcome in outcomes:
        if outcome.violation is not None:
            summary.failures.append(outcome.violation)
            continue
        result = outcome.result
        assert result is not None
        summary.decided += result.height
        summary.committed += result.committed
        simulated_ms += result.simulated_ms
        summary.messages += result.messages
        summary.view_changes += result.views
        summary.byzantine_members += result.byzantine
        kinds.update(result.faults)
        summary.short += (
            options.profile == "hostile"
            and fault_bound(result.n) > 0
            and (result.height < DECIDED_MIN or sum(result.faults.values()) < FAULTS_MIN)
        )
    summary.violations = len(summary.failures)
    summary.failures.sort(key=lambda violation: (violation.n, violation.seed))
    summary.simulated_seconds = simulated_ms / 1_000
    summary.faults = kinds.total()
    summary.faults_by_kind = dict(sorted(kinds.items()))
    return summary


# --- the state file


def _header(options: Options) -> dict[str, Any]:
    return {"campaign": 1, "source": source_digest(), "options": msgspec.to_builtins(options)}


def _read_state(path: Path, options: Options) -> list[Outcome]:
    if not path.exists() or not path.stat().st_size:
        with naming(path):
            path.write_text(json.dumps(_header(options)) + "\n", encoding="utf-8")
        return []
    first, *lines = path.read_bytes().split(b"\n")
    try:
        header = json.loads(first)
    except ValueError:
        header = None
    if not isinstance(header, dict) or "campaign" not in header:
        raise CampaignMismatch(f"{path} is something else than the state of a campaign of seeds; name another file")
    if header != _header(options):
        raise CampaignMismatch(
            f"{path} was written by a campaign with other options or another version of the program; name another file"
        )
    outcomes = []
    for line in lines:
        try:
            outcomes.append(msgspec.json.decode(line, type=Outcome))
        except msgspec.MsgspecError:
            continue  # the last line may be torn; its seed is run again
    if lines and lines[-1]:
        with path.open("ab") as file:
            file.write(b"\n")
    return outcomes


def _append(path: Path, outcome: Outcome) -> None:
    """Note a seed as done. Raises OSError, which names the file."""
    with naming(path), path.open("ab") as file:
        file.write(msgspec.json.encode(outcome) + b"\n")
