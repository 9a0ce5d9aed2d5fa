"""What a chain that is opened again makes of what is stored: the state's tree, and the ids against replay.

All of it follows from the records, and is held against the head's header, its parents, and what indexes must hold.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ledger.archive import Archive
from ledger.block import Header, block_hash
from ledger.errors import StorageError
from ledger.parameters import LIFETIME_MS_MAX
from ledger.replay import ReplayIds
from ledger.state.indexes import Index, IndexAudit
from ledger.state.records import STATE_PREFIX
from ledger.state.store import Store
from ledger.state.tree import StateTree


def stored_tree(store: Store, head: Header, indexes: Sequence[Index[Any]]) -> tuple[StateTree, int]:
    """Return the tree of the state that is stored, and how many records that has.

    Raises:
        StorageError: `storage.damaged`: its root is not the head's, or an index does not hold what records call for.
    """
    cut = len(STATE_PREFIX)
    audit = IndexAudit(indexes)
    state = ((key[cut:], value) for key, value in store.iterate(STATE_PREFIX))
    with _collector_paused():
        tree = StateTree.build(audit.records(state))
    if tree.root != head.state_root:
        raise StorageError(
            "storage.damaged",
            f"the state's records lead to the root {tree.root.hex()}, but block {head.height} has "
            f"{head.state_root.hex()}",
        )
    if unsound := audit.unsound():
        raise StorageError("storage.damaged", f"indexes do not hold what the records call for: {', '.join(unsound)}")
    return tree, audit.count


def replay_ids(archive: Archive, head: Header) -> ReplayIds:
    """Return the ids that must not execute again behind `head`, from the blocks of the longest lifetime before it.

    Raises:
        StorageError: `storage.damaged`: one of these blocks is missing, or not the parent of its successor.
    """
    headers = [head]
    oldest_ms = head.timestamp_ms - LIFETIME_MS_MAX
    while headers[-1].height > 0 and headers[-1].timestamp_ms >= oldest_ms:
        parent = archive.present_header(headers[-1].height - 1)
        if block_hash(parent) != headers[-1].parent_hash:
            raise StorageError("storage.damaged", f"block {parent.height} is not the parent of its successor")
        headers.append(parent)
    known = ReplayIds()
    for header in reversed(headers):
        executed = archive.executed_ids(header.height)
        if executed is None:
            raise StorageError("storage.damaged", f"the receipts of block {header.height} are missing")
        known.add(executed.ids, executed.expire_at_ms, header.timestamp_ms)
    return known


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A tree under construction is no garbage, and looking for some in it costs a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
