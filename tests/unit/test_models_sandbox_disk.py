"""What all files of a confined child take together is bounded, not only what each of them does.

Every story ends by itself within some hundred MB or processes, so that a bound that fails harms no machine, and then
waits: a child that nobody stops is told apart by `timeout`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guildmark.models.errors import ConfinedRunFailed
from guildmark.models.sandbox import Outcome
from guildmark.models.usage import DEPTH_MAX, Beyond, Bounds, Usage
from tests.unit.sandbox_kit import MIB, run, run_in_scratch, running_with, stopped

BOUNDS = Bounds(directory_bytes=MIB, directory_files=10, memory_bytes=MIB, processes=1, tasks=1)
Runner = Callable[..., Outcome]

MANY_FILES = """
    import contextlib, time
    with contextlib.suppress(OSError):
        for number in range(400):
            with open(f'file-{number}', 'wb') as file:
                file.write(bytes(1 << 16))
            time.sleep(0.005)
    time.sleep(600)
"""
EMPTY_FILES = """
    import contextlib, time
    with contextlib.suppress(OSError):
        for number in range(300):
            open(f'file-{number}', 'wb').close()
    time.sleep(600)
"""
DELETED_FILES = """
    import contextlib, os, time
    held = []
    with contextlib.suppress(OSError):
        for number in range(40):
            held.append(open('file', 'wb', buffering=0))
            os.unlink('file')
            held[-1].write(bytes(1 << 20))
    time.sleep(600)
"""
DELETED_BY_A_THREAD = """
    import contextlib, ctypes, os, platform, threading, time

    def hold():
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            for number in range(40):
                descriptor = os.open('file', os.O_CREAT | os.O_WRONLY)
                os.unlink('file')
                os.write(descriptor, bytes(1 << 20))
        time.sleep(600)

    threading.Thread(target=hold).start()
    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)  # the first thread ends
"""
GONE_AT_ONCE = """
    with open('file', 'wb') as file:
        file.write(bytes(8 << 20))
"""
DEEP = f"""
    import os, time
    for _ in range({DEPTH_MAX + 8}):
        os.mkdir('d')
        os.chdir('d')
    time.sleep(600)
"""


@pytest.mark.parametrize("runner", [run, run_in_scratch])
@pytest.mark.parametrize(
    "code",
    [MANY_FILES, DELETED_FILES, DELETED_BY_A_THREAD, EMPTY_FILES],
    ids=["many", "deleted", "deleted by a thread", "empty"],
)
def test_all_files_together_are_bounded(tmp_path: Path, runner: Runner, code: str) -> None:
    """M5: many files, each within its bound; files that are open and have no name; files with nothing in them."""
    outcome = runner(tmp_path, code, directory_bytes=4 * MIB, directory_files=200)
    stopped(outcome, "disk")
    assert running_with(str(tmp_path)) == []


def test_a_worker_that_is_faster_than_the_looks_is_told(tmp_path: Path) -> None:
    """M5."""
    stopped(run(tmp_path, GONE_AT_ONCE, directory_bytes=4 * MIB), "disk")


def test_a_directory_that_cannot_be_counted_is_too_much(tmp_path: Path) -> None:
    """M5: what hides deeper than the supervisor goes."""
    stopped(run(tmp_path, DEEP), "disk")


def test_what_was_there_before_and_holes_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "before").write_bytes(bytes(8 * MIB))
    code = "import time; open('sparse', 'wb').truncate(64 << 20); time.sleep(0.3)"
    run(tmp_path, code, directory_bytes=4 * MIB).check()


def test_files_without_a_name_count_in_a_directory_without_files(tmp_path: Path) -> None:
    """M5."""
    usage = Usage(str(tmp_path), BOUNDS, scratch=False)
    usage.check_directory(MIB)
    with pytest.raises(Beyond, match="disk"):
        usage.check_directory(MIB + 1)


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A link to a large directory is one file."""
    usage = Usage(str(tmp_path), BOUNDS, scratch=False)
    (tmp_path / "link").symlink_to("/usr")
    usage.check_directory()
    for number in range(BOUNDS.directory_files):
        (tmp_path / str(number)).touch()
    with pytest.raises(Beyond, match="disk"):
        usage.check_directory()


def test_what_lies_in_an_unreadable_directory_is_not_overlooked(tmp_path: Path) -> None:
    """Root reads it, to others it is too much in itself."""
    usage = Usage(str(tmp_path), BOUNDS, scratch=False)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "file").write_bytes(bytes(2 * MIB))
    (tmp_path / "hidden").chmod(0o300)
    try:
        with pytest.raises(Beyond, match="disk"):
            usage.check_directory()
    finally:
        (tmp_path / "hidden").chmod(0o700)


def test_a_directory_that_cannot_be_read_at_the_start_is_a_failure(tmp_path: Path) -> None:
    place = tmp_path
    for _ in range(DEPTH_MAX + 1):
        place = place / "d"
    place.mkdir(parents=True)
    outcome = run(tmp_path, "print('never')")
    assert (outcome.stopped, outcome.stdout) == ("", b"")
    with pytest.raises(ConfinedRunFailed) as caught:
        outcome.check()
    assert caught.value.code == "confined.failed"
    assert "cannot confine" in caught.value.stderr


def test_a_scratch_directory_is_memory_of_its_own(tmp_path: Path) -> None:
    """M5: a deleted file that is only mapped counts nowhere but here; and nothing reaches the disk."""
    code = """
        import contextlib, ctypes, mmap, os, time
        print(os.listdir('.'), os.getcwd(), flush=True)
        libc = ctypes.CDLL(None)
        with contextlib.suppress(OSError):
            for number in range(40):
                with open('file', 'w+b', buffering=0) as file:
                    os.unlink('file')
                    file.write(bytes(1 << 20))
                    libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        time.sleep({seconds})
    """
    outcome = run_in_scratch(tmp_path, code.format(seconds=0.5), directory_bytes=64 * MIB)
    assert outcome.check().stdout.decode().split() == ["[]", str(tmp_path / "own")]
    assert list((tmp_path / "own").iterdir()) == []
    if "disk" in outcome.isolation:
        stopped(run_in_scratch(tmp_path, code.format(seconds=600), directory_bytes=4 * MIB), "disk")
