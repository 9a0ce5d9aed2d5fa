"""A machine that evaluates a hostile model beside its nodes goes on committing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec
import psutil
import pytest

from guildmark.identity import Account
from guildmark.models.evaluate import EVALUATION_LIMITS
from guildmark.models.sandbox import GIBIBYTE, run_module
from guildmark.sync import Client
from guildmark.testing.clusters import AccountFactory

COMMITS = 12
ROUNDS = 3
SLOWER_MAX = 3.0
"""Half of a machine with two cores is the child's, and the times of single commits scatter."""
HOSTILE = """
import os
held = []
try:
    while True:
        held.append(bytearray(64 << 20))
except MemoryError:
    pass
while True:
    print("still here", flush=True)
    os.write(2, b"x" * 512)
    sum(range(200_000))
"""


class Enough(Exception):
    """The test has seen what it wanted; the child is killed."""


@contextlib.contextmanager
def hostile_child(directory: Path) -> Iterator[None]:
    """A confined child that has all the memory that it may have, and goes on with all the processor time."""
    (directory / "story.py").write_text(HOSTILE)
    limits = msgspec.structs.replace(EVALUATION_LIMITS, address_space_bytes=GIBIBYTE)
    begun, stop = threading.Event(), threading.Event()

    def on_line(_: bytes) -> None:
        begun.set()
        if stop.is_set():
            raise Enough

    def run() -> None:
        with contextlib.suppress(Enough):
            place = {"PYTHONPATH": str(directory)}
            run_module("story", [], directory=directory, limits=limits, on_line=on_line, environment=place)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(30.0)
        yield
        assert thread.is_alive(), "it was there all the time"
    finally:
        stop.set()
        thread.join()


def commit_times_s(client: Client, account: Account) -> list[float]:
    """From sending to certainty, one transaction after the other."""
    found = []
    for _ in range(COMMITS):
        started = time.monotonic()
        client.credits.transfer(account, 1)
        found.append(time.monotonic() - started)
    return found


@pytest.mark.cluster
@pytest.mark.timeout(90)
def test_commits_keep_their_pace_beside_a_child_that_takes_what_it_can(
    guildmark_client: Client, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    """M5, M6: a loader that takes all the memory and processor time that there is for it leaves this process as large
    as it was, and the validators beside it commit as they did without it."""
    receiver = guildmark_account(credits=1)
    commit_times_s(guildmark_client, receiver)  # links and caches are warm from here on
    before_bytes = psutil.Process().memory_info().rss
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        alone += commit_times_s(guildmark_client, receiver)
        with hostile_child(tmp_path):
            beside += commit_times_s(guildmark_client, receiver)
    assert psutil.Process().memory_info().rss - before_bytes < 64 << 20
    assert median(beside) < SLOWER_MAX * median(alone), (sorted(alone), sorted(beside))
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    assert left == []
