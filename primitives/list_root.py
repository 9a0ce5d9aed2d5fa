"""The Merkle root of a list (RFC 9162, section 2.1.1), with domain tags and the list's length.

Leaves and inner nodes are hashed in different domains, an odd node is carried up rather than doubled, and the length is
part of the root, so that no two lists share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from primitives.digest import Digest, domain

_LEAF: Final = domain("list-leaf")
_NODE: Final = domain("list-node")
_ROOT: Final = domain("list-root")


def list_root(items: Sequence[bytes]) -> Digest:
    """Return the root of `items`, in order; the empty list has a root of its own."""
    sha256 = hashlib.sha256
    level = [sha256(_LEAF + item).digest() for item in items]
    while len(level) > 1:
        paired = [sha256(_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    top = level[0] if level else b""
    return Digest(sha256(_ROOT + len(items).to_bytes(8, "big") + top).digest())
