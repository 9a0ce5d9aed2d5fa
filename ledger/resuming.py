"""What a chain that is opened again makes of what is stored, beside its tree."""

from __future__ import annotations

from ledger.archive import Archive
from ledger.block import Header, block_hash
from ledger.errors import StorageError
from ledger.parameters import LIFETIME_MS_MAX
from ledger.replay import ReplayIds


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
