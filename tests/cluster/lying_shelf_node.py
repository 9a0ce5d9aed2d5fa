"""A dishonest validator for tests: the real node, but every block of an artifact that it gives to others is wrong.

python -P lying_shelf_node.py start --data-dir DIR
"""

from __future__ import annotations

import sys

from node import commands
from node.artifact_shelf import ArtifactShelf

_honest_read = ArtifactShelf.read


async def _lie(shelf: ArtifactShelf, root: str, cid: str) -> bytes:
    data = await _honest_read(shelf, root, cid)
    return data[:-1] + bytes([data[-1] ^ 1])


if __name__ == "__main__":
    ArtifactShelf.read = _lie  # type: ignore[method-assign]  # that is the lie
    sys.exit(commands.main(sys.argv[1:]))
