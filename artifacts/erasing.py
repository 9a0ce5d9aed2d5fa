"""Deleting an artifact's blocks where nothing else needs them.

A block goes only when neither another version of its asset nor any other asset has it. The lists of claims shrink
before the blocks are deleted: after a crash between the two, a block that nothing names is left over, and never given
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from artifacts.claims import Claims
from artifacts.errors import ChunkStoreError, ManifestRefused
from artifacts.holdings import BlockStore, Holding


class Sized(Protocol):
    """A registered version, as far as its bytes go."""

    @property
    def cid(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


def erase_blocks(claims: Claims, asset: str, down: Sequence[Sized], kept: Sequence[Sized]) -> int:
    """Delete what the versions `down` of an asset have and nothing else does; return how many blocks were deleted.

    Raises:
        ChunkStoreFailure: the file system refused; what was not deleted is when this is called again.
    """
    own = claims.of(asset)
    gone = held_blocks(down, own) - held_blocks(kept, own)
    if not gone:
        return 0
    own.drop(gone)
    others: set[str] = set()
    for other in claims.assets():
        others |= claims.of(other).cids() & gone
    return sum(claims.discard(cid) for cid in sorted(gone - others))


def erase_all(claims: Claims, asset: str) -> int:
    """Delete all that was brought for `asset` and for nothing else, and forget its list; return how many blocks were
    deleted.

    Raises:
        ChunkStoreFailure: as `erase_blocks`.
    """
    gone = claims.of(asset).cids()
    claims.forget(asset)
    for other in claims.assets():
        gone -= claims.of(other).cids()
    return sum(claims.discard(cid) for cid in sorted(gone))


def held_blocks(versions: Sequence[Sized], store: BlockStore) -> set[str]:
    """The blocks that are held of some versions. One whose manifest is refused has none."""
    found: set[str] = set()
    for version in versions:
        try:
            holding = Holding(version.cid, version.size_bytes, store)
        except ChunkStoreError:
            raise
        except ManifestRefused:
            continue
        found.update(holding.held_blocks())
    return found
