"""Landlock: a process gives up, for ever and for its children, every file it does not need.

Works without privileges on Linux 5.13 and later (Debian 12 has it switched on). Standard library only.
Source: landlock(7), include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1 << 0
_PATH_BENEATH: Final = 1

_EXECUTE: Final = 1 << 0
_READ_FILE: Final = 1 << 2
_READ_DIRECTORY: Final = 1 << 3
_FILE_RIGHTS: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14
"""Of the rights below, those that a rule on a file (not a directory) may carry: execute, write, read, truncate."""
_RIGHTS_BY_VERSION: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Version 1: execute to make-symlink; 2 adds moving between directories, 3 truncation, 5 device control."""
_TCP_VERSION: Final = 4
_TCP_RIGHTS: Final = 0b11
"""Bind and connect; no rule allows either."""
_SCOPE_VERSION: Final = 6
_SCOPES: Final = 0b11
"""Abstract sockets and signals: neither leaves the domain. So nobody in it stops its supervisor."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The kernel's Landlock version; 0 when it has none or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))))


def restrict(read: Iterable[str], listed: Iterable[str], write: Iterable[str]) -> bool:
    """Leave this process only: reading and running files below `read`, listing directories below `listed`, everything
    below `write`. Paths that do not exist are left out. `no_new_privs` must be set. Where the kernel can, signals reach
    only what this process starts from here on.

    Returns False, and changes nothing, where the kernel has no Landlock.

    Raises:
        OSError: the kernel has it and refuses.
    """
    level = version()
    if level == 0:
        return False
    rights = max(value for since, value in _RIGHTS_BY_VERSION.items() if since <= level)
    attributes = struct.pack("<Q", rights)
    attributes += struct.pack("<Q", _TCP_RIGHTS) if level >= _TCP_VERSION else b""
    attributes += struct.pack("<Q", _SCOPES) if level >= _SCOPE_VERSION else b""
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for paths, allowed in (
            (read, _EXECUTE | _READ_FILE | _READ_DIRECTORY),
            (listed, _READ_DIRECTORY),
            (write, rights),
        ):
            for path in paths:
                _allow(ruleset, path, allowed & rights)
        _call(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        rule = struct.pack("<Qi", rights, parent)
        _call(_ADD_RULE, ruleset, ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock (system call {number}): {os.strerror(code)}")
    return result
