"""A copy of a store's directory to read from, which leaves the original as it is, whether or not a node writes there.

Opening a LevelDB writes: it recovers the log into a table and begins new files. So tools open a copy. Tables are never
changed once they are whole, and are linked instead of copied where the file system allows it; what does change
(CURRENT, the manifest, logs) is copied. A log only grows at its end and a block is one record of it, so a copy of it
holds a beginning of the chain, as long as LevelDB has not begun or deleted a file meanwhile. That is looked for
afterwards, and then the copy is made again.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from ledger.errors import StorageError
from ledger.state.store import LOCK_NAME

TRIES_MAX: Final = 50
"""So often a copy is begun anew because files have changed meanwhile, which they do every 64 MiB that are written."""
_NOT_COPIED: Final = frozenset({"LOCK", "LOG", "LOG.old", LOCK_NAME})


def copy_store(source: Path, target: Path) -> None:
    """Make `target`, which must not exist, a copy of the store in `source` at one moment.

    Raises:
        StorageError: `storage.failed`: there is no store, it cannot be read or the copy not be written, or it does not
            stand still for long enough.
    """
    try:
        for _ in range(TRIES_MAX):
            before = _listing(source) if source.exists() else {}
            if "CURRENT" not in before:
                raise StorageError("storage.failed", f"{source} holds no ledger; the node makes it when it starts")
            if _copy(source, target, before) and _listing(source) == before:
                return
            shutil.rmtree(target)
    except OSError as error:
        raise StorageError("storage.failed", f"{error.filename}: {error.strerror or error}") from error
    raise StorageError("storage.failed", f"{source}: its files change too fast to copy them")


def _listing(source: Path) -> dict[str, int]:
    """Return the files by name, and how large the manifests are: a change of the set of tables makes these grow."""
    found = {}
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name not in _NOT_COPIED and entry.is_file(follow_symlinks=False):
                grows = entry.name.startswith("MANIFEST-")
                found[entry.name] = entry.stat(follow_symlinks=False).st_size if grows else 0
    return found


def _copy(source: Path, target: Path, names: dict[str, int]) -> bool:
    """Copy the files; False when one of them is gone meanwhile."""
    target.mkdir(mode=0o700, parents=True)
    try:
        # Logs last: what they hold is never older than the tables.
        for name in sorted(names, key=lambda name: (name.endswith(".log"), name)):
            if name.endswith((".ldb", ".sst")):
                _link(source / name, target / name)
            else:
                shutil.copyfile(source / name, target / name)
    except FileNotFoundError:
        return False
    return True


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES):
            raise
        shutil.copyfile(source, target)
