"""Flipping bytes of a stopped node's files, and finding places where a flip hits what it shall hit."""

from __future__ import annotations

import shutil
from pathlib import Path

from ledger.checkpoint import copy_store
from ledger.errors import Damage, StorageError
from ledger.state.store import LevelStore


def flip(path: Path, offset: int, mask: int = 1) -> None:
    """Change one byte of a file; the same once more changes it back."""
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def tables(chain: Path) -> list[Path]:
    """Return the table files, the largest first. A store that is opened moves its log into one."""
    return sorted(chain.glob("*.ldb"), key=lambda path: path.stat().st_size, reverse=True)


def flip_record(chain: Path, prefix: bytes, scratch: Path, *, alone: bool = True) -> Damage:
    """Flip a byte of a table so that records whose keys begin with `prefix` cannot be read, and no others if `alone`.

    A table is in order of key, so the place is found by halving.
    """
    store = LevelStore(chain)
    keys = [key for key, _ in store.iterate(prefix)]
    store.close()
    for table in tables(chain):
        low, high = 0, table.stat().st_size
        while high - low > 64:
            offset = (low + high) // 2
            flip(table, offset)
            found = damage(chain, scratch)
            if found is not None and _hits(found, keys, alone=alone):
                return found
            flip(table, offset)
            if found is None or found.first < keys[0]:
                low = offset
            else:
                high = offset
    raise AssertionError(f"no block of a table holds records of {prefix!r}")


def _hits(found: Damage, keys: list[bytes], *, alone: bool) -> bool:
    if alone and not keys[0] < found.first <= found.behind <= keys[-1]:
        return False
    return any(found.first <= key < found.behind for key in keys)


def damage(chain: Path, scratch: Path) -> Damage | None:
    """Return what a copy of the store cannot read; None when it can be read or not even opened."""
    shutil.rmtree(scratch, ignore_errors=True)
    copy_store(chain, scratch)
    try:
        store = LevelStore(scratch)
    except StorageError:
        return None
    try:
        list(store.iterate(b""))
    except Damage as found:
        return found
    finally:
        store.close()
    return None
