"""A confined child can do little, ends in time, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from guildmark.models import landlock
from guildmark.models.errors import ConfinedRunFailed
from guildmark.models.sandbox import run_module
from tests.unit.sandbox_kit import run, running_with


def test_a_child_runs_in_its_own_directory_with_its_arguments(tmp_path: Path) -> None:
    outcome = run(tmp_path, "import os, sys; print(os.getcwd(), sys.argv[1]); open('made', 'w').write('x')")
    assert outcome.check().stdout.decode().split() == [str(tmp_path), "one"]
    assert (tmp_path / "made").read_text() == "x"


def test_the_exit_status_and_the_end_of_stderr_come_back(tmp_path: Path) -> None:
    outcome = run(tmp_path, "import sys; sys.stderr.write('why'); sys.exit(3)")
    assert (outcome.returncode, outcome.stderr, outcome.stopped) == (3, "why", "")
    with pytest.raises(ConfinedRunFailed) as caught:
        outcome.check()
    assert (caught.value.code, caught.value.stderr) == ("confined.failed", "why")


def test_lines_arrive_while_the_child_runs(tmp_path: Path) -> None:
    (tmp_path / "story.py").write_text("for i in range(5): print('line', i, flush=True)")
    lines: list[bytes] = []
    environment = {"PYTHONPATH": str(tmp_path)}
    run_module("story", [], directory=tmp_path, on_line=lines.append, environment=environment).check()
    assert lines == [b"line %d" % i for i in range(5)]


def test_the_callers_environment_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUILDMARK_PASSPHRASE", "secret")
    outcome = run(tmp_path, "import os; print(dict(os.environ))")
    assert b"secret" not in outcome.check().stdout


def test_a_child_that_hangs_is_killed_in_time(tmp_path: Path) -> None:
    """M6."""
    outcome = run(
        tmp_path, "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass", wall_ms=400
    )
    assert (outcome.stopped, outcome.returncode) == ("timeout", None)
    with pytest.raises(ConfinedRunFailed, match="out of time"):
        outcome.check()


def test_a_child_that_crashes_is_told_apart(tmp_path: Path) -> None:
    """M6: segfault."""
    outcome = run(tmp_path, "import ctypes; ctypes.string_at(0)")
    assert outcome.returncode == -11
    with pytest.raises(ConfinedRunFailed, match="SIGSEGV") as caught:
        outcome.check()
    assert caught.value.code == "confined.killed"


@pytest.mark.parametrize("descriptor", [1, 2])
def test_endless_output_is_cut_off(tmp_path: Path, descriptor: int) -> None:
    """M6: 1 GB on stderr, and on stdout."""
    before = psutil.Process().memory_info().rss
    code = f"import os\nfor _ in range(16384): os.write({descriptor}, b'x' * 65536)"
    outcome = run(tmp_path, code, stdout_bytes=1 << 20, stderr_bytes=4 << 20)
    assert outcome.stopped == "output"
    assert len(outcome.stdout) <= 1 << 20
    assert len(outcome.stderr) <= 16 << 10
    assert psutil.Process().memory_info().rss - before < 64 << 20


def own_children() -> set[int]:
    """This process' children; other tests of the session may have some running (a cluster of nodes)."""
    return {child.pid for child in psutil.Process().children()}


def test_no_signal_is_kept_from_a_child(tmp_path: Path) -> None:
    """What its supervisor waits by is its own affair."""
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, set()), signal.getsignal(signal.SIGTERM))"
    assert run(tmp_path, code).check().stdout == b"set() 0\n"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """M6: no zombie, no descriptor, no daemon that left the process group."""
    code = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open('daemon', 'w').write(open('/proc/self/cmdline').read())
                time.sleep(600)
            os._exit(0)
        os.wait()
        while not os.path.exists('daemon'):
            time.sleep(0.01)
        os.unlink('daemon')
        time.sleep({seconds})
    """
    marker = str(tmp_path)
    run(tmp_path, "pass")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    children = own_children()
    outcomes = [run(tmp_path, code.format(seconds=seconds), wall_ms=1_500) for seconds in (0, 600)]
    assert [outcome.stopped for outcome in outcomes] == ["", "timeout"]
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
    assert own_children() <= children
    assert running_with(marker) == []


PARENT = """
import os, subprocess, sys
from pathlib import Path
from guildmark.models import sandbox
report = os.open(os.devnull, os.O_WRONLY)
place = Path(sys.argv[1])
spec = sandbox._specification(place, False, [], sandbox.Limits(), report)
code = "from guildmark.models import confine; confine._unshare = lambda spec: ([], False); confine.main()"
environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(sandbox._ROOT), sys.argv[1]])}
child = [sys.executable, '-c', code, spec, 'story']
subprocess.run(child, env=environment, pass_fds=[report], start_new_session=True)
"""
DAEMON = """
    import os, time
    if os.fork() == 0:
        os.setsid()
        print('there', flush=True)
    time.sleep(600)
"""


def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    """M6: also where no process namespace ends with its first process."""
    (tmp_path / "story.py").write_text(dedent(DAEMON))
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"there\n"
        running = [psutil.Process(pid) for pid in running_with(str(tmp_path))]
        parent.kill()
    assert len(running) == 4, "the parent, the supervisor, the worker and what that has started"
    left = psutil.wait_procs(running, timeout=20)[1]
    for process in left:
        process.kill()
    assert left == []


def test_memory_is_bounded(tmp_path: Path) -> None:
    """M5."""
    outcome = run(tmp_path, "bytearray(1 << 32)", address_space_bytes=1 << 30)
    assert outcome.returncode == 1
    assert "MemoryError" in outcome.stderr


def test_processor_time_is_bounded(tmp_path: Path) -> None:
    outcome = run(tmp_path, "while True: pass", cpu_seconds=1)
    assert outcome.stopped == ""
    assert outcome.returncode is not None
    assert outcome.returncode < 0


def test_files_are_bounded(tmp_path: Path) -> None:
    """M5: what an archive unpacks to."""
    outcome = run(tmp_path, "open('large', 'wb').write(bytes(3 << 20))", file_bytes=1 << 20)
    assert outcome.returncode == 1
    assert (tmp_path / "large").stat().st_size <= 1 << 20


def test_open_files_are_bounded(tmp_path: Path) -> None:
    outcome = run(tmp_path, "import os\nwhile True: os.dup(1)", open_files=64)
    assert "Too many open files" in outcome.stderr


def test_the_network_is_out_of_reach(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = run(tmp_path, f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
    # Landlock of version 4 alone stops TCP too; only a namespace of its own stops everything, and is reported.
    isolated = "network" in outcome.isolation or landlock.version() >= 4
    assert outcome.returncode == (1 if isolated else 0)


def test_foreign_files_are_out_of_reach(tmp_path: Path) -> None:
    """M4: the canary is untouched, and unread."""
    canary = tmp_path / "canary"
    canary.write_text("sings")
    own = tmp_path / "own"
    own.mkdir()
    for code in (f"print(open('{canary}').read())", f"open('{canary}', 'w')", f"import os; os.unlink('{canary}')"):
        outcome = run(own, code)
        assert (outcome.returncode == 1) == ("files" in outcome.isolation)
        if "files" in outcome.isolation:
            assert "PermissionError" in outcome.stderr
            assert canary.read_text() == "sings"
            assert b"sings" not in outcome.stdout


def test_the_supervisor_is_out_of_reach(tmp_path: Path) -> None:
    """M6: who counts what a child uses is not stopped by it, also without a process namespace; its own children are."""
    code = """
        import ctypes, os, signal, subprocess, sys
        from guildmark.models import landlock
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # no_new_privs
        landlock.restrict(['/'], [], [])
        child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        os.kill(os.getppid(), 0)
    """
    command = [sys.executable, "-c", dedent(code)]
    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    if landlock.version() >= 6:
        assert "PermissionError" in ran.stderr
    else:
        assert ran.stderr == ""


def test_files_are_isolated_where_the_kernel_can(tmp_path: Path) -> None:
    assert ("files" in run(tmp_path, "pass").isolation) == (landlock.version() > 0)


def test_what_is_named_readable_is_readable_and_not_writable(tmp_path: Path) -> None:
    given, own = tmp_path / "given", tmp_path / "own"
    given.write_text("text")
    own.mkdir()
    (own / "story.py").write_text(f"print(open('{given}').read()); open('{given}', 'a').write('more')")
    environment = {"PYTHONPATH": str(own)}
    outcome = run_module("story", [], directory=own, readable=[given], environment=environment)
    assert outcome.stdout == b"text\n"
    if "files" in outcome.isolation:
        assert given.read_text() == "text"


def test_an_error_in_the_listener_ends_the_child(tmp_path: Path) -> None:
    (tmp_path / "story.py").write_text("import time\nprint('x', flush=True)\ntime.sleep(600)")

    def fail(_: bytes) -> None:
        raise RuntimeError("listener")

    started = time.monotonic()
    children = own_children()
    with pytest.raises(RuntimeError, match="listener"):
        run_module("story", [], directory=tmp_path, on_line=fail, environment={"PYTHONPATH": str(tmp_path)})
    assert time.monotonic() - started < 60
    assert own_children() <= children


def test_an_unknown_module_is_a_failure_and_not_a_hang(tmp_path: Path) -> None:
    outcome = run_module("no_such_module_here", [], directory=tmp_path)
    assert outcome.returncode == 1
    assert "no_such_module_here" in outcome.stderr
