"""A directory that lies in memory and has a bound: the kernel keeps it, and it is gone with its last process.

Unlike a watched directory it cannot be outrun: deleted files that are still open or mapped count in it too. Standard
library only. Sources: unshare(2), user_namespaces(7), tmpfs(5).
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

NEW_NAMESPACE: Final = 0x00020000
"""What unshare(2) needs for it: mounts of our own."""
_MS_NOSUID_NODEV: Final = 2 | 4
_MS_PRIVATE_RECURSIVE: Final = 1 << 18 | 1 << 14

_libc: Final = ctypes.CDLL(None, use_errno=True)


def own_identity(user: int, group: int) -> bool:
    """In a new user namespace, let this process be who it was outside: files of nobody known cannot be made."""
    try:
        for name, text in (("uid_map", f"{user} {user} 1"), ("setgroups", "deny"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError:
        return False
    return True


def cover(directory: str, size_bytes: int, files: int) -> bool:
    """Put an empty file system over `directory`, seen in this mount namespace only, and go there.

    It takes one page and one file more than named, so that whoever fills it is seen above the bound. Returns False, and
    changes nothing, where the system refuses.
    """
    if _libc.mount(None, b"/", None, _MS_PRIVATE_RECURSIVE, None) != 0:
        return False
    page = os.sysconf("SC_PAGE_SIZE")
    options = f"size={size_bytes // page * page + page},nr_inodes={files + 2},mode=700"
    if _libc.mount(b"guildmark", os.fsencode(directory), b"tmpfs", _MS_NOSUID_NODEV, options.encode()) != 0:
        return False
    os.chdir(directory)
    return True
