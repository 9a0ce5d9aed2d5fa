"""Plays the schedules of a plan, on several processes if asked, and goes on where it was interrupted.

The state file has one JSON value a line: plan and program, then one line for every finished chunk. Schedules do not
depend on each other, so their order and the number of workers change nothing in the result.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Final

import msgspec

from simulation.twins.laws import TwinsViolation
from simulation.twins.plans import Plan, read_plan
from simulation.twins.scenario import PHASES, Round, Scenario, ScenarioError, plain_round, to_document
from simulation.twins.stage import Trace, play
from simulation.workers import naming, source_digest, worker_pool

CHUNK: Final = 64
"""Schedules that one worker plays between reports."""
VIOLATIONS_MAX: Final = 10
"""A campaign stops when it found so many."""
TRACE_LINES: Final = 200
"""Lines kept of what led to a violation: the last ones."""

Progress = Callable[[int, int], None]
"""Called with schedules played and schedules in all, now and then."""


class Failure(msgspec.Struct, frozen=True):
    number: int
    """Of the schedule in its plan."""
    violation: str


class Tally(msgspec.Struct):
    """What schedules went through, in sums."""

    schedules: int = 0
    decided: int = 0
    """Sequences executed by honest instances."""
    views: int = 0
    """Highest views that began: view changes."""
    several_views_deciding: int = 0
    """Schedules in which quorums committed in more than one view."""
    equivocating: int = 0
    """Schedules in which honest instances found evidence against a twinned validator."""
    evidence: int = 0
    events: int = 0
    failures: list[Failure] = []

    def add(self, other: Tally) -> None:
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


class Result(msgspec.Struct, frozen=True):
    """The end of a campaign. `violations` has the schedules as they were and as small as they could be made."""

    plan: str
    planned: int
    tally: Tally
    violations: tuple[Violation, ...]
    seconds: float
    """Wall clock of this run, which may have been the last of several."""

    @property
    def complete(self) -> bool:
        return self.tally.schedules == self.planned

    def document(self) -> dict[str, object]:
        """Return the JSON value for `--json` and for results that are kept."""
        counts = {field: value for field, value in msgspec.to_builtins(self.tally).items() if field != "failures"}
        return {
            "plan": self.plan,
            "planned": self.planned,
            **counts,
            "violations": [violation.document() for violation in self.violations],
            "seconds": round(self.seconds, 1),
        }


class Violation(msgspec.Struct, frozen=True):
    number: int
    violation: str
    scenario: Scenario
    minimal: Scenario
    trace: tuple[str, ...]
    """The last lines of the minimal schedule."""

    def document(self) -> dict[str, object]:
        return {
            "number": self.number,
            "violation": self.violation,
            "scenario": to_document([self.scenario]),
            "minimal": to_document([self.minimal]),
            "trace": list(self.trace),
        }


def run(plan: Plan, *, workers: int = 1, progress: Progress | None = None, state: Path | None = None) -> Result:
    """Play every schedule of `plan`.

    Args:
        plan: see `read_plan`. With several workers it must be what `read_plan(plan.text)` returns.
        workers: processes; 1 plays in this one.
        state: a file to go on from, made if it is not there. It belongs to one plan.

    Raises:
        ScenarioError: `state` belongs to another plan or is damaged.
    """
    began = time.monotonic()
    tally = Tally()
    done: set[int] = set()
    if state is not None:
        done, tally = load_state(state, plan)
    chunks = [chunk for chunk in range(-(-len(plan) // CHUNK)) if chunk not in done]
    for chunk, part in play_chunks(plan, chunks, workers):
        tally.add(part)
        if state is not None:
            with naming(state), state.open("ab") as file:
                file.write(msgspec.json.encode(_Line(chunk, part)) + b"\n")
        if progress is not None:
            progress(tally.schedules, len(plan))
        if len(tally.failures) >= VIOLATIONS_MAX:
            break
    failures = sorted(tally.failures, key=lambda failure: failure.number)
    violations = tuple(explain(plan.scenario(failure.number), failure) for failure in failures)
    return Result(plan.text, len(plan), tally, violations, time.monotonic() - began)


def play_chunks(plan: Plan, chunks: list[int], workers: int) -> Iterator[tuple[int, Tally]]:
    """Yield each chunk with its tally, in the order in which they are finished."""
    if workers <= 1 or len(chunks) <= 1:
        for chunk in chunks:
            yield chunk, play_chunk(plan, chunk)
        return
    with worker_pool(min(workers, len(chunks))) as pool:
        waiting = deque(chunks)
        running: dict[Future[Tally], int] = {}
        while waiting or running:
            while waiting and len(running) < 2 * workers:
                chunk = waiting.popleft()
                running[pool.submit(play_chunk_of, plan.text, chunk)] = chunk
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


_plans: dict[str, Plan] = {}
"""A worker reads its plan once."""


def play_chunk_of(text: str, chunk: int) -> Tally:
    if text not in _plans:
        gc.disable()  # a schedule leaves no cycles behind, and there are thousands of them
        _plans[text] = read_plan(text)
    return play_chunk(_plans[text], chunk)


def play_chunk(plan: Plan, chunk: int) -> Tally:
    tally = Tally()
    for number in range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(plan))):
        tally.schedules += 1
        try:
            outcome = play(plan.scenario(number))
        except TwinsViolation as violation:
            tally.failures.append(Failure(number, str(violation)))
            continue
        tally.decided += outcome.decided
        tally.views += outcome.views
        tally.several_views_deciding += outcome.views_deciding > 1
        tally.equivocating += outcome.evidence > 0
        tally.evidence += outcome.evidence
        tally.events += outcome.events
    return tally


# --- going on -------------------------------------------------------------------------------------------------------


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    chunk: int
    tally: Tally


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    plan: str
    schedules: int
    chunk: int
    content: str
    source: str


def load_state(path: Path, plan: Plan) -> tuple[set[int], Tally]:
    """Read which chunks are done; begin the file if there is none. A torn last line is cut. Raises ScenarioError."""
    head = _Head(plan.text, len(plan), CHUNK, plan.content, source_digest())
    if not path.exists() or not path.stat().st_size:
        with naming(path):
            path.write_bytes(msgspec.json.encode(head) + b"\n")
        return set(), Tally()
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        first, *lines = whole.splitlines() or [content]
        known = msgspec.json.decode(first, type=_Head)
        if (known.plan, known.schedules) != (head.plan, head.schedules):
            raise ScenarioError(f"{path} belongs to {known.plan} of {known.schedules} schedules, not to {plan.text}")
        if known != head:
            changed = "program" if known.content == head.content else "file of schedules"
            raise ScenarioError(f"{path} was written for another version of the {changed}; name another file")
        done: set[int] = set()
        tally = Tally()
        for line in (msgspec.json.decode(line, type=_Line) for line in lines):
            if line.chunk not in done:
                done.add(line.chunk)
                tally.add(line.tally)
    except (msgspec.MsgspecError, ValueError) as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError(f"{path} is no state of a campaign: {error}") from error
    if whole != content:
        path.write_bytes(whole)
    return done, tally


# --- what went wrong ------------------------------------------------------------------------------------------------


def explain(scenario: Scenario, failure: Failure) -> Violation:
    """Make a failing schedule small and keep the end of its trace."""
    minimal = minimize(scenario)
    lines: deque[str] = deque(maxlen=TRACE_LINES)
    violated(minimal, lines.append)
    return Violation(failure.number, failure.violation, scenario, minimal, tuple(lines))


def violated(scenario: Scenario, trace: Trace | None = None) -> str:
    """Return what a schedule breaks, or nothing."""
    try:
        play(scenario, trace)
    except TwinsViolation as violation:
        if trace is not None:
            trace(str(violation))
        return str(violation)
    return ""


def minimize(scenario: Scenario) -> Scenario:
    """Return a schedule that still breaks the same law, with what could be left out left out."""
    law = violated(scenario).partition(":")[0]
    if not law:
        return scenario
    smaller = True
    while smaller:
        smaller = False
        for candidate in simpler(scenario):
            if violated(candidate).startswith(law + ":"):
                scenario, smaller = candidate, True
                break
    return scenario


def simpler(scenario: Scenario) -> Iterator[Scenario]:
    """Yield schedules that are one step simpler, the largest steps first."""
    replace = msgspec.structs.replace
    rounds = scenario.rounds
    for index in range(len(rounds) if len(rounds) > 1 else 0):
        last = len(rounds) - 1
        if index == last and not any(restart.round == last for restart in scenario.restarts):
            yield replace(scenario, rounds=rounds[:last])
        elif not scenario.restarts:
            yield replace(scenario, rounds=rounds[:index] + rounds[index + 1 :])
    for restart in scenario.restarts:
        yield replace(scenario, restarts=tuple(other for other in scenario.restarts if other != restart))
    if scenario.repair:
        yield replace(scenario, repair=False)
    if scenario.late:
        yield replace(scenario, late=False)
    if scenario.shuffle:
        yield replace(scenario, shuffle=0)
    for index, round_ in enumerate(rounds):
        for simple in simpler_rounds(round_, scenario.instances):
            yield replace(scenario, rounds=(*rounds[:index], simple, *rounds[index + 1 :]))


def simpler_rounds(round_: Round, instances: int) -> Iterator[Round]:
    whole = plain_round((1 << instances) - 1)
    if round_ != whole:
        yield whole
    if round_.patient:
        yield msgspec.structs.replace(round_, patient=0)
    if not round_.plain:
        for phase in PHASES:
            if getattr(round_, phase) != whole.order:
                yield msgspec.structs.replace(round_, **{phase: whole.order})
