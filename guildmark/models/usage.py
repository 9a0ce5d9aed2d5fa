"""What a tree of processes uses in all, as its supervisor sees it. Standard library only.

The kernel bounds each process and each file; of sums it bounds only those of a file system of their own (`scratch`).
Everything else is added up here again and again, and who is above a bound is stopped:

    processes   everything below the supervisor, what has ended and is not reaped included, and all their threads
    memory      resident, huge pages, swapped out, page tables; what several processes share counts in each. Open files
                in memory too; `seccomp` takes these and whatever else could hide, or be slow to count
    disk        what is allocated below the directory and was not at the start (so of a sparse file what was written;
                a hard link counts again), and files that are open there and have no name any more

A look is a snapshot: until the next one, a tenth of a second later or more where the counting itself takes long, a
child can take what it can write or touch meanwhile, some hundred MB for each processor. What cannot be counted, a
directory that the child has made unreadable or deeper than `DEPTH_MAX`, is too much. Not seen are a file on a shared
file system that was deleted and closed and is still mapped, the open files of a process that the system hides from its
supervisor, those of a thread with a table of its own where no filter forbids that, and processes where the kernel keeps
no lists of children (CONFIG_PROC_CHILDREN; Debian's does).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

DEPTH_MAX: Final = 32
"""Of directories in each other; bounds what the supervisor has open."""
_BLOCK_BYTES: Final = 512
"""The unit of st_blocks."""
_HELD: Final = re.compile(rb"^(?:VmRSS|VmSwap|VmPTE|HugetlbPages):\s+(\d+) kB$", re.MULTILINE)


class Bounds(NamedTuple):
    """Of a whole tree; the fields are those of `sandbox.Limits`."""

    directory_bytes: int
    directory_files: int
    memory_bytes: int
    processes: int
    tasks: int


class Beyond(Exception):
    """A bound is exceeded; the argument says which: `processes`, `memory` or `disk`."""


class Usage:
    """Looks at everything below this process, and at one directory."""

    def __init__(self, directory: str, bounds: Bounds, *, scratch: bool) -> None:
        """`scratch`: the directory is a file system of its own, which knows its sums itself.

        Raises:
            OSError: the directory cannot be read.
            Beyond: it is deeper than can be counted.
        """
        self._directory = directory
        self._bounds = bounds
        self._scratch = scratch
        self._device = os.stat(directory).st_dev
        self._files_before, self._bytes_before = (0, 0) if scratch else _Tree().add(directory)

    def check(self) -> None:
        """Raise Beyond where a sum is above its bound."""
        memory_bytes, nameless_bytes = self._check_processes()
        if memory_bytes > self._bounds.memory_bytes:
            raise Beyond("memory")
        self.check_directory(nameless_bytes)

    def check_directory(self, nameless_bytes: int = 0) -> None:
        """Raise Beyond where the directory holds too much; `nameless_bytes` are there and have no name."""
        if self._scratch:
            found = os.statvfs(self._directory)
            files = found.f_files - found.f_ffree - 1
            size = (found.f_blocks - found.f_bfree) * found.f_frsize
            if files > self._bounds.directory_files or size > self._bounds.directory_bytes:
                raise Beyond("disk")
            return
        files_max = self._files_before + self._bounds.directory_files
        bytes_max = self._bytes_before + self._bounds.directory_bytes
        try:
            _Tree(files_max, bytes_max, nameless_bytes).add(self._directory)
        except OSError as error:
            raise Beyond("disk") from error

    def _check_processes(self) -> tuple[int, int]:
        """Return (bytes of memory, bytes of nameless files in the directory's file system)."""
        processes = tasks = memory_bytes = nameless_bytes = 0
        seen: set[tuple[int, int]] = set()
        for threads in _below(os.getpid()):
            processes += 1
            tasks += len(threads)
            if processes > self._bounds.processes or tasks > self._bounds.tasks:
                raise Beyond("processes")
            memory_bytes += _memory_bytes(threads)
            for file in _nameless(threads):
                if (file.st_dev, file.st_ino) in seen:
                    continue
                seen.add((file.st_dev, file.st_ino))
                if file.st_dev == self._device:
                    nameless_bytes += file.st_blocks * _BLOCK_BYTES
                else:
                    memory_bytes += file.st_blocks * _BLOCK_BYTES
        return memory_bytes, nameless_bytes


class _Tree:
    """Adds up a directory that its owner may change meanwhile; stops at the first sum that is too large."""

    def __init__(self, files_max: float = math.inf, bytes_max: float = math.inf, size_bytes: int = 0) -> None:
        """`size_bytes`: what belongs to the sum already."""
        self._files_max = files_max
        self._bytes_max = bytes_max
        self._files = 0
        self._bytes = size_bytes

    def add(self, directory: str) -> tuple[int, int]:
        """Return (entries, allocated bytes). Raises Beyond, or OSError where something below cannot be read."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._check()
            self._add(descriptor, DEPTH_MAX)
        finally:
            os.close(descriptor)
        return self._files, self._bytes

    def _check(self) -> None:
        if self._files > self._files_max or self._bytes > self._bytes_max:
            raise Beyond("disk")

    def _add(self, descriptor: int, depth_left: int) -> None:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._files += 1
                self._bytes += found.st_blocks * _BLOCK_BYTES
                self._check()
                if stat.S_ISDIR(found.st_mode):
                    self._descend(descriptor, entry.name, depth_left - 1)

    def _descend(self, parent: int, name: str, depth_left: int) -> None:
        if depth_left == 0:
            raise Beyond("disk")
        # By descriptor and without following: a name may have become a link to anywhere since it was listed.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            descriptor = os.open(name, flags, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            self._add(descriptor, depth_left)
        finally:
            os.close(descriptor)


def children(pid: int, task: int) -> list[int]:
    """The processes that this thread has started or inherited, ended ones too; none where it has ended itself."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
    return []


def _below(root: int) -> Iterator[list[str]]:
    """For each process below `root`: where /proc tells of its threads."""
    pending = [root]
    while pending:
        pid = pending.pop()
        tasks: list[str] = []
        with contextlib.suppress(OSError):
            tasks = os.listdir(f"/proc/{pid}/task")
        for task in tasks:
            pending += children(pid, int(task))
        if pid != root:
            yield [f"/proc/{pid}/task/{task}" for task in tasks]


def _memory_bytes(threads: list[str]) -> int:
    """What they hold together, as any of them says that has not ended; the first one may have, and the others go on."""
    for thread in threads:
        with contextlib.suppress(OSError), open(f"{thread}/status", "rb") as file:
            if found := _HELD.findall(file.read()):
                return 1024 * sum(map(int, found))
    return 0


def _nameless(threads: list[str]) -> Iterator[os.stat_result]:
    """The regular files that they have open and that no directory names any more. Threads share one table of open
    files (`seccomp`): looked at is that of the first that has one, as an ended thread has none."""
    for thread in threads:
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = os.listdir(f"{thread}/fd")
        for name in names:
            with contextlib.suppress(OSError):
                found = os.stat(f"{thread}/fd/{name}")
                if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                    yield found
        if names:
            return
