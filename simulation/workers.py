"""Processes that share a campaign's work: they end with it, at once, however it ends."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

SOURCE_ROOMS: Final = ("primitives", "consensus", "ledger", "p2p", "node", "simulation")
ORPHANED: Final = 1
"""Exit code of a worker whose campaign is gone."""


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give a pool whose processes are ended, in the middle of their work, when the block is left by an exception.

    A run takes seconds, at a hundred replicas minutes, and nobody waits for its result any more.
    """
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_belong) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _belong() -> None:
    """Leave interrupts to the campaign, to which a terminal sends them too, and end when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_campaign, daemon=True).start()


def _end_with_campaign() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(ORPHANED)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let what a disk refuses name the file: a failed write does not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Hash the source that a run depends on: results of another program are worth nothing."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for room in SOURCE_ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
