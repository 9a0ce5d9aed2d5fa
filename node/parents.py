"""A child that ends with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

from node.failures import NodeFailure

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to end this process with its parent, even while it is paused: every crash must be survivable.

    The kernel means the thread that started this process, so a parent starts its children from its main thread.
    `parent` is the process id to expect; None takes what it is now.

    Raises:
        NodeFailure: the parent has ended already.
    """
    expected = os.getppid() if parent is None else parent
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise NodeFailure(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != expected:
        raise NodeFailure("the parent process has ended")
