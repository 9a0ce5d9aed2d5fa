"""The unit of every comparison: what one signature check costs on this machine, all cores at it.

One process a core, pinned, all at once, as in a loaded network: shared caches, memory and clock rates then cost what
they cost there. The message is as long as a typical signed transfer. Nothing else of ours may run meanwhile.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from typing import Final

from benchmarks.results.schema import VerifyUnit
from primitives.keys import SigningKey, verify

MESSAGE_BYTES: Final = 200
SAMPLES: Final = 5
SAMPLE_S: Final = 1.0
DRIFT_WARNED: Final = 0.05
DRIFT_REFUSED: Final = 0.15
"""Beyond it a result's ratios mean nothing: the machine was not the same before and after."""
_CHECKS_BETWEEN_LOOKS: Final = 200


def measure_unit(sample_s: float = SAMPLE_S, samples: int = SAMPLES) -> tuple[float, tuple[float, ...]]:
    """Return microseconds a check, and the samples they come from: each the mean over the cores at one time.

    The figure is the mean over the cores of each core's median sample.
    """
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")  # a fork would copy the caller's memory, and its threads' locks
    barrier = context.Barrier(len(cores))
    queue = context.SimpleQueue()
    children = [
        context.Process(target=_sample, args=(core, barrier, queue, sample_s, samples), daemon=True) for core in cores
    ]
    for child in children:
        child.start()
    found: list[list[float]] = [queue.get() for _ in children]
    for child in children:
        child.join()
    figure = statistics.fmean(statistics.median(of_core) for of_core in found)
    return figure, tuple(statistics.fmean(at_once) for at_once in zip(*found, strict=True))


def judge(unit: VerifyUnit) -> tuple[list[str], list[str]]:
    """Return warnings and errors about how far the unit has moved."""
    moved = f"the cost of a signature check moved by {unit.drift:.1%} between the beginning and the end"
    if unit.drift > DRIFT_REFUSED:
        return [], [f"{moved}; beyond {DRIFT_REFUSED:.0%} a result does not count"]
    return ([moved] if unit.drift > DRIFT_WARNED else []), []


def _sample(core: int, barrier: object, queue: object, sample_s: float, samples: int) -> None:
    os.sched_setaffinity(0, {core})
    key = SigningKey(bytes(range(32)))
    message = bytes(MESSAGE_BYTES)
    signature = key.sign(message)
    barrier.wait()  # type: ignore[attr-defined]  # multiprocessing's proxies have no public types
    found = []
    for _ in range(samples):
        checks, began = 0, time.perf_counter()
        while (took_s := time.perf_counter() - began) < sample_s:
            for _ in range(_CHECKS_BETWEEN_LOOKS):
                verify(key.public_key, message, signature)
            checks += _CHECKS_BETWEEN_LOOKS
        found.append(took_s / checks * 1e6)
    queue.put(found)  # type: ignore[attr-defined]  # as above
