"""The child side of the sandbox: give up rights, then run a module. Started by `sandbox`, never imported by it.

    supervisor (this process)    new namespaces, sums up what everything below it uses, stops, kills and reaps it; never
      │                          runs foreign code
      └── worker                 limits, no capabilities, Landlock, seccomp; then the module as `python -m` would

Each measure is taken where the system permits it, and the parent is told which ones hold: one JSON line on the report
descriptor from the worker before the module starts, one from the supervisor after it has ended. Standard library only.
Sources: unshare(2), prctl(2), capabilities(7), landlock(7), seccomp(2), user_namespaces(7), proc(5).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import runpy
import signal
import sys
import time
from types import FrameType
from typing import Any, Final, NoReturn

from guildmark.models import landlock, scratch, seccomp
from guildmark.models.usage import Beyond, Bounds, Usage, children

_NEW_IPC: Final = 0x08000000
_NEW_USER: Final = 0x10000000
_NEW_PID: Final = 0x20000000
_NEW_NET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1
"""Kept for root, so that root's files in other users' folders stay readable; Landlock says which ones."""
_CAP_LAST: Final = 63
_FIRST_TO_GO: Final = "1000"
"""The kernel's highest score of whom it ends when memory is short."""
STARTUP_FAILED: Final = 120
"""Exit status when the confinement itself could not be set up."""
_LOOK_S: Final = 0.1
"""Between two looks at what the tree uses; see `usage` for what can happen meanwhile."""
_LOOK_PART: Final = 10
"""A look may take a tenth of a processor: after one that took longer the pause is longer too."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def main() -> NoReturn:
    """`confine SPEC MODULE ARGUMENT...`, SPEC being the JSON that `sandbox` writes."""
    spec: dict[str, Any] = json.loads(sys.argv[1])
    report = int(spec["report_descriptor"])
    # Not SIGKILL: where no namespace ends with its first process, what the worker has started is ours to end first.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        isolation, covered = _unshare(spec)
        usage = Usage(spec["directory"], Bounds(**spec["bounds"]), scratch=covered)
    except (OSError, Beyond) as error:
        os.write(2, f"cannot confine: {error!r}\n".encode())
        _tell(report, {"returncode": STARTUP_FAILED})
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it is waited for, and kept until then
    worker = os.fork()
    if worker == 0:
        # Whatever happens here must not run on into the supervisor's code.
        try:
            isolation += _confine(spec) + (["disk"] if covered else [])
            _tell(report, {"isolation": isolation})
            os.close(report)
        except BaseException as error:
            os.write(2, f"cannot confine: {error!r}\n".encode())
            os._exit(STARTUP_FAILED)
        sys.argv = sys.argv[2:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        sys.exit(0)
    _supervise(worker, report, usage)


def _unshare(spec: dict[str, Any]) -> tuple[list[str], bool]:
    """Leave the host's network and process ids, and put a bounded file system over the directory where the parent wants
    nothing that lies there: as root directly, else inside a user namespace of our own.

    Returns the measures taken, and whether the directory is covered.
    """
    wanted = _NEW_NET | _NEW_PID | _NEW_IPC | (scratch.NEW_NAMESPACE if spec["scratch"] else 0)
    user, group = os.geteuid(), os.getegid()
    for own_users in (False, True):
        if _libc.unshare(wanted | (_NEW_USER if own_users else 0)) != 0:
            continue
        known = True
        if own_users:
            known = scratch.own_identity(user, group)
            # Here the kernel counts the tasks of this tree alone, and not all that the user has.
            spec["limits"]["RLIMIT_NPROC"] = spec["bounds"]["tasks"]
        bounds = spec["bounds"]
        sizes = bounds["directory_bytes"], bounds["directory_files"]
        return ["network", "processes"], spec["scratch"] and known and scratch.cover(spec["directory"], *sizes)
    return [], False


def _confine(spec: dict[str, Any]) -> list[str]:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for name, value in spec["limits"].items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))
    os.nice(spec["nice"])
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_FIRST_TO_GO)  # where memory is short in spite of all bounds, nobody else pays
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    _drop_capabilities()
    files = landlock.restrict(spec["read"], spec["list"], spec["write"])
    return [*(["files"] if files else []), *(["memory"] if seccomp.restrict() else [])]


def _drop_capabilities() -> None:
    for capability in range(_CAP_LAST + 1):
        if capability != _CAP_DAC_OVERRIDE:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    kept = 1 << _CAP_DAC_OVERRIDE if os.geteuid() == 0 else 0
    sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    if _libc.capset(header, sets) != 0 and ctypes.get_errno() != errno.EPERM:
        raise OSError(ctypes.get_errno(), "capset")


def _supervise(worker: int, report: int, usage: Usage) -> NoReturn:
    """Watch the worker until it ends or uses too much, kill what it leaves behind (daemons reach us as the subreaper),
    tell how it ended."""

    def stop(_signal: int | None = None, _frame: FrameType | None = None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    stopped = _watch(worker, usage)
    if stopped:
        stop()
    status = os.waitpid(worker, 0)[1]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        for child in children(os.getpid(), os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    try:
        usage.check_directory()  # of a worker that was faster than the looks
    except Beyond as beyond:
        stopped = stopped or str(beyond)
    with contextlib.suppress(BrokenPipeError):  # the parent may be gone
        _tell(report, {"returncode": os.waitstatus_to_exitcode(status), "stopped": stopped})
    os._exit(0)


def _watch(worker: int, usage: Usage) -> str:
    """Return which bound was exceeded, or nothing once the worker has ended."""
    pause_s = _LOOK_S
    while not _ends_within(pause_s, worker):
        begun = time.process_time()
        try:
            usage.check()
        except Beyond as beyond:
            return str(beyond)
        pause_s = max(_LOOK_S, _LOOK_PART * (time.process_time() - begun))
    return ""


def _ends_within(pause_s: float, worker: int) -> bool:
    """Wait for the worker's end, which is left to be reaped. By signal: a pidfd is not to be had in every container."""
    until = time.monotonic() + pause_s
    while os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left_s = until - time.monotonic()
        if left_s <= 0:
            return False
        signal.sigtimedwait({signal.SIGCHLD}, left_s)  # of any child; of the worker's when it has ended
    return True


def _tell(report: int, line: dict[str, Any]) -> None:
    os.write(report, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    main()
