"""System calls that a process gives up, for ever and for its children: those that hide memory from whoever counts it.

What a process shows as its own (`usage`) is not all that it can have. Without these calls it is:

    memfd_create, memfd_secret       files in memory, whose pages need not be mapped
    shmget, msgget, semget           segments, queues and semaphores that stay when nobody uses them
    mmap, shared and anonymous       pages that stay when they are no longer mapped
    vmsplice                         pages that stay in a pipe, each with the huge page that it is part of
    io_uring_setup                   rings of some MiB each, of which only a descriptor shows
    landlock_create_ruleset          rules that take some MiB, of which only a descriptor shows
    unshare, clone with NEWUSER      a user namespace, in which one may mount memory (and much else)
    unshare, clone, close_range      a thread with open files of its own: who counted those of each of many threads
                                     would be too slow for what grows meanwhile

Works without privileges; `no_new_privs` must be set. Standard library only.
Sources: seccomp(2), linux/seccomp.h, linux/filter.h, linux/audit.h.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import Final, NamedTuple

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2

_LOAD: Final = 0x20
"""A word of struct seccomp_data."""
_AND: Final = 0x54
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06

_NUMBER_AT: Final = 0
_ARCHITECTURE_AT: Final = 4
_ARGUMENTS_AT: Final = 16

_ALLOW: Final = 0x7FFF0000
_ERROR: Final = 0x00050000
_KILL: Final = 0x80000000

_SHARED_ANONYMOUS: Final = 0x01 | 0x20
_NEW_USER: Final = 0x10000000
_THREAD: Final = 0x00010000
_FILES: Final = 0x00000400
"""Of clone, to share the table of open files; of unshare, to have one's own."""
_CLOSE_RANGE_UNSHARE: Final = 0x02
_X32: Final = 0x40000000
"""From here on x86-64 counts the calls of another interface a second time."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Machine(NamedTuple):
    """How a processor's kernel calls itself, and the numbers of its calls."""

    architecture: int
    mmap: int
    clone: int
    unshare: int
    shmget: int
    msgget: int
    semget: int
    memfd_create: int
    vmsplice: int
    io_uring_setup: int = 425
    clone3: int = 435
    close_range: int = 436
    landlock_create_ruleset: int = 444
    memfd_secret: int = 447


_MACHINES: Final = {
    "x86_64": _Machine(
        0xC000003E, mmap=9, clone=56, unshare=272, shmget=29, msgget=68, semget=64, memfd_create=319, vmsplice=278
    ),
    "aarch64": _Machine(
        0xC00000B7, mmap=222, clone=220, unshare=97, shmget=194, msgget=186, semget=190, memfd_create=279, vmsplice=75
    ),
}


def restrict() -> bool:
    """Take the calls from this thread and whatever it starts.

    Returns False, and changes nothing, where the processor is not one of ours or the kernel cannot.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    program = _program(machine)
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return int(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, described, 0, 0)) == 0


def _program(machine: _Machine) -> bytes:
    """The filter: what is not named is allowed, and calls in another processor's numbers end the process."""
    absent = (
        *(machine.memfd_create, machine.memfd_secret),
        *(machine.shmget, machine.msgget, machine.semget),
        *(machine.vmsplice, machine.io_uring_setup, machine.landlock_create_ruleset),
        # The flags of clone3 lie where no filter reads them; without it, libraries call clone.
        machine.clone3,
    )
    missing, refused = _ERROR | errno.ENOSYS, _ERROR | errno.EPERM
    return b"".join(
        [
            _instruction(_LOAD, _ARCHITECTURE_AT),
            _instruction(_JUMP_EQUAL, machine.architecture, if_true=1),
            _instruction(_RETURN, _KILL),
            _instruction(_LOAD, _NUMBER_AT),
            _instruction(_JUMP_AT_LEAST, _X32, if_false=1),
            _instruction(_RETURN, _KILL),
            *(_instruction(_JUMP_EQUAL, number, if_false=1) + _instruction(_RETURN, missing) for number in absent),
            _with_flags(machine.mmap, 3, _SHARED_ANONYMOUS, refused),
            _with_flags(machine.clone, 0, _NEW_USER, refused),
            _with_flags(machine.clone, 0, _THREAD, refused, unset=_FILES),
            _with_flags(machine.unshare, 0, _NEW_USER, refused),
            _with_flags(machine.unshare, 0, _FILES, refused),
            _with_flags(machine.close_range, 2, _CLOSE_RANGE_UNSHARE, refused),
            _instruction(_RETURN, _ALLOW),
        ]
    )


def _with_flags(number: int, argument: int, flags: int, answer: int, unset: int = 0) -> bytes:
    """Answer call `number` so where in this argument all `flags` are set and none of `unset`; both processors store its
    low word first."""
    return b"".join(
        [
            _instruction(_JUMP_EQUAL, number, if_false=5),
            _instruction(_LOAD, _ARGUMENTS_AT + 8 * argument),
            _instruction(_AND, flags | unset),
            _instruction(_JUMP_EQUAL, flags, if_false=1),
            _instruction(_RETURN, answer),
            _instruction(_LOAD, _NUMBER_AT),
        ]
    )


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("@HBBI", code, if_true, if_false, value)
