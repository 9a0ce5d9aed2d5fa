"""The ports of the deciding parts over the real world: an asyncio loop, a directory, a thread for the disk.

Whatever a callback raises is a defect of ours and ends the process: half a decision must not be followed by another.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from node.ports import AppendFile, Cancelable

OnFatal = Callable[[BaseException], None]
JOBS_MAX: Final = 1_024
"""Disk jobs waiting. The journal has at most two under way, so this is never reached by a correct caller."""


class LoopClock:
    """Wall time, and callbacks on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_fatal: OnFatal) -> None:
        self._loop = loop
        self._on_fatal = on_fatal

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> Cancelable:
        return self._loop.call_later(max(0, delay_ms) / 1000, guarded(callback, self._on_fatal))


def guarded(callback: Callable[[], None], on_fatal: OnFatal) -> Callable[[], None]:
    """Return `callback` with everything that it raises handed to `on_fatal`."""

    def run() -> None:
        try:
            callback()
        except Exception as error:  # the frame above is the loop, which would only log it
            on_fatal(error)

    return run


class LoopPost:
    """Runs callbacks on the loop; may be called from any thread, and says nothing once the loop is gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_fatal: OnFatal) -> None:
        self._loop = loop
        self._on_fatal = on_fatal

    def __call__(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(guarded(callback, self._on_fatal))
        except RuntimeError:
            if not self._loop.is_closed():
                raise


class DiskFile:
    """An append-only file."""

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if new:
            sync_directory(path.parent)

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)


class DiskFiles:
    """The files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, name: str) -> bytes | None:
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def open_append(self, name: str) -> AppendFile:
        return DiskFile(self._directory / name)

    def replace(self, name: str, data: bytes) -> None:
        temporary = self._directory / (name + ".new")
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._directory / name)
        sync_directory(self._directory)

    def truncate(self, name: str, size: int) -> None:
        with (self._directory / name).open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ThreadJobs:
    """One thread that runs blocking jobs in order; what they raise goes back to the loop."""

    def __init__(self, name: str, post: Callable[[Callable[[], None]], None]) -> None:
        self._post = post
        self._jobs: queue.Queue[tuple[Callable[[], None], Callable[[BaseException | None], None]] | None]
        self._jobs = queue.Queue(JOBS_MAX)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        self._jobs.put_nowait((job, done))

    def stop(self) -> None:
        """Finish what waits, then end."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, done = entry
            failure: BaseException | None = None
            try:
                job()
            except Exception as error:  # travels to `done`, which knows what it means
                failure = error
            self._post(partial(done, failure))
