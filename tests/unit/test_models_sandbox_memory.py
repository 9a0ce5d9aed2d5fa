"""What all processes of a confined child take together is bounded: memory, and processes and threads themselves.

Every story ends by itself within some hundred MB or processes, so that a bound that fails harms no machine, and then
waits: a child that nobody stops is told apart by `timeout`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from guildmark.models import usage
from tests.unit.sandbox_kit import MIB, run, running_with, stopped

FORKS_WITH_MEMORY = """
    import os, time
    for _ in range(8):
        if os.fork() == 0:
            held = bytearray(b'x') * (32 << 20)
            time.sleep(600)
    time.sleep(600)
"""
DAEMONS_WITH_MEMORY = """
    import os, time
    for _ in range(8):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                held = bytearray(b'x') * (32 << 20)
                time.sleep(600)
            os._exit(0)
        os.wait()
    time.sleep(600)
"""
LEADER_GONE = """
    import ctypes, platform, threading, time

    def go_on():
        time.sleep(0.1)
        held = bytearray(b'x') * (256 << 20)
        time.sleep(600)

    threading.Thread(target=go_on).start()
    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)
"""


@pytest.mark.parametrize(
    "code",
    [FORKS_WITH_MEMORY, DAEMONS_WITH_MEMORY, LEADER_GONE],
    ids=["forks", "daemons", "leader"],
)
def test_the_memory_of_all_processes_together_is_bounded(tmp_path: Path, code: str) -> None:
    """M5: each process stays within its address space."""
    outcome = run(tmp_path, code, memory_bytes=192 * MIB, address_space_bytes=1 << 30)
    stopped(outcome, "memory")
    assert running_with(str(tmp_path)) == []


FILE_IN_MEMORY = """
import os, signal, sys
from guildmark.models.usage import Bounds, Usage
usage = Usage(sys.argv[1], Bounds(1 << 20, 10, 64 << 20, 1, 1), scratch=False)
ready, told = os.pipe()
child = os.fork()
if child == 0:
    if sys.argv[2] == 'held':
        os.write(os.memfd_create('held'), bytes(96 << 20))
    os.write(told, b'x')
    signal.pause()
try:
    os.read(ready, 1)
    usage.check()
finally:
    os.kill(child, signal.SIGKILL)
"""


@pytest.mark.parametrize(("held", "error"), [("held", "Beyond: memory"), ("nothing", "")])
def test_files_in_memory_count_as_memory(tmp_path: Path, held: str, error: str) -> None:
    """M5: where no filter forbids them."""
    command = [sys.executable, "-c", FILE_IN_MEMORY, str(tmp_path), held]
    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert ran.stderr.strip().rpartition(".")[2] == error


MANY_OPEN_IN_MANY_THREADS = """
import os, signal, sys, threading
from guildmark.models import usage
looks = usage.Usage(sys.argv[1], usage.Bounds(1 << 20, 10, 1 << 30, 1, 100), scratch=False)
ready, told = os.pipe()
child = os.fork()
if child == 0:
    for _ in range(60):
        threading.Thread(target=signal.pause, daemon=True).start()
    for _ in range(100):
        os.open(os.devnull, os.O_RDONLY)
    os.write(told, b'x')
    signal.pause()
looked, stat = [], os.stat
usage.os.stat = lambda path: looked.append(path) or stat(path)
try:
    os.read(ready, 1)
    looks.check()
finally:
    os.kill(child, signal.SIGKILL)
print(len(looked))
"""


def test_open_files_are_counted_once_for_all_threads(tmp_path: Path) -> None:
    """M5: a look that took seconds would leave seconds to whatever grows."""
    command = [sys.executable, "-c", MANY_OPEN_IN_MANY_THREADS, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert 100 <= int(ran.stdout) < 200


HIDING = [
    "os.memfd_create('x')",
    "check(libc.syscall({'x86_64': 447, 'aarch64': 447}[platform.machine()], 0))",
    "check(libc.shmget(0, 4096, 0o600))",
    "check(libc.msgget(0, 0o600))",
    "check(libc.semget(0, 1, 0o600))",
    "mmap.mmap(-1, 4096)",
    "check(libc.vmsplice(os.pipe()[1], None, 0, 0))",
    "check(libc.syscall(425, 1, ctypes.create_string_buffer(120)))",
    "check(libc.syscall(444, bytes([1]) + bytes(7), ctypes.c_size_t(8), 0))",
    "check(libc.unshare(0x10000000))",
    "check(libc.syscall({'x86_64': 56, 'aarch64': 220}[platform.machine()], 0x10000000 | 17, 0, 0, 0, 0))",
    "check(libc.syscall(435, 0, 0))",
    "check(libc.unshare(0x400))",
    "check(libc.syscall({'x86_64': 56, 'aarch64': 220}[platform.machine()], 0x10000, 0, 0, 0, 0))",
    "check(libc.syscall(436, 100, 200, 2))",
]


@pytest.mark.parametrize("call", HIDING)
def test_memory_that_nobody_would_see_cannot_be_had(tmp_path: Path, call: str) -> None:
    """M5."""
    code = """
        import ctypes, mmap, os, platform
        libc = ctypes.CDLL(None, use_errno=True)

        def check(result):
            if result < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    """
    outcome = run(tmp_path, dedent(code) + call)
    if "memory" in outcome.isolation:
        assert outcome.returncode == 1
        assert "Function not implemented" in outcome.stderr or "Operation not permitted" in outcome.stderr


def test_memory_for_oneself_and_processes_are_to_be_had(tmp_path: Path) -> None:
    """The filter leaves what everybody needs: threads, programs, private memory, shared files."""
    code = """
        import mmap, subprocess, sys, threading
        with open('file', 'w+b') as file:
            file.truncate(4096)
            mmap.mmap(file.fileno(), 4096)[:] = bytes(4096)
        mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)[:] = bytes(4096)
        thread = threading.Thread(target=print, args=('thread',))
        thread.start()
        thread.join()
        print(subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True, check=True).stdout)
    """
    assert run(tmp_path, code).check().stdout.splitlines() == [b"thread", rb"b'1\n'"]


def test_the_child_goes_first_where_memory_is_short(tmp_path: Path) -> None:
    """M5: not a validator beside it."""
    assert run(tmp_path, "print(open('/proc/self/oom_score_adj').read())").check().stdout.split() == [b"1000"]


def test_huge_pages_count_as_memory(tmp_path: Path) -> None:
    """M5: they are no part of what is resident."""
    (tmp_path / "status").write_text("VmRSS:\t      8 kB\nVmPTE:\t      4 kB\nHugetlbPages:\t    2048 kB\n")
    assert usage._memory_bytes([str(tmp_path)]) == 2060 << 10


def test_memory_within_the_bound_is_left_alone(tmp_path: Path) -> None:
    code = "import time; held = bytearray(b'x') * (64 << 20); time.sleep(0.5)"
    run(tmp_path, code, memory_bytes=192 * MIB).check()


FORKS = """
    import os, time
    for _ in range(60):
        if os.fork() == 0:
            time.sleep(600)
        time.sleep(0.02)
    time.sleep(600)
"""
FORKS_OF_FORKS = """
    import os, time
    for _ in range(60):
        if os.fork() != 0:
            time.sleep(600)
        time.sleep(0.02)
    time.sleep(600)
"""
ENDED_AND_NOT_WAITED_FOR = """
    import os, time
    for _ in range(60):
        if os.fork() == 0:
            os._exit(0)
        time.sleep(0.02)
    time.sleep(600)
"""
THREADS = """
    import threading, time
    for _ in range(60):
        threading.Thread(target=time.sleep, args=(600,)).start()
        time.sleep(0.02)
    time.sleep(600)
"""


@pytest.mark.parametrize("code", [FORKS, FORKS_OF_FORKS, ENDED_AND_NOT_WAITED_FOR], ids=["wide", "deep", "ended"])
def test_processes_are_bounded(tmp_path: Path, code: str) -> None:
    """M5: a slow fork bomb, also of root, to whom the kernel leaves as many as it likes."""
    stopped(run(tmp_path, code, processes=8), "processes")
    assert running_with(str(tmp_path)) == []


def test_threads_are_bounded(tmp_path: Path) -> None:
    """M5; without root's rights the kernel refuses them first."""
    outcome = run(tmp_path, THREADS, tasks=20)
    if os.geteuid() == 0:
        stopped(outcome, "processes")
    else:
        assert outcome.stopped == "processes" or "can't start new thread" in outcome.stderr


def test_threads_are_no_processes(tmp_path: Path) -> None:
    """What computes with many threads is one process."""
    code = """
        import threading, time
        for _ in range(30):
            threading.Thread(target=time.sleep, args=(0.5,)).start()
    """
    run(tmp_path, code, processes=1).check()
