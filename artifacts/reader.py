"""Read files and directories back from blocks that nobody vouches for.

Every block is checked against its CID, and every node against the one shape that the profile allows at its place,
before its bytes are handed on. What `get` returns may therefore come from an untrusted peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from artifacts import cid as cids
from artifacts import hamt, nodes
from artifacts.cid import Codec
from artifacts.dag_pb import Link
from artifacts.errors import ManifestRefused
from artifacts.hamt import ShardNode
from artifacts.nodes import (
    ARTIFACT_BYTES_MAX,
    CHUNK_BYTES,
    DIRECTORY_DEPTH_MAX,
    ENTRIES_MAX,
    DirectoryNode,
    FileNode,
)

Get = Callable[[str], bytes]
"""Returns the block of a CID, or raises."""


def fetch(get: Get, cid: str) -> bytes:
    """Get a block and check it; raises `BlockMismatch`, `InvalidCid` or whatever `get` raises."""
    data = get(cid)
    cids.check_block(cid, data)
    return data


def read_file(root: str, get: Get) -> Iterator[bytes]:
    """Yield the content of the file `root`, chunk by chunk, each verified.

    The consumer must not use what it got until the iterator ends: a later block can still fail.

    Raises:
        ArtifactError: a block is wrong, the graph is not a file of the profile, or is too large.
        whatever `get` raises, for instance `ChunkMissing`.
    """
    parsed = cids.parse(root)
    data = fetch(get, root)
    if parsed.codec is Codec.RAW:
        _check_leaf(data, len(data))
        yield data
        return
    node = nodes.decode(data)
    if not isinstance(node, FileNode):
        raise ManifestRefused("manifest.not_a_file", f"{root} is a directory")
    if not CHUNK_BYTES < node.size_bytes <= ARTIFACT_BYTES_MAX:
        raise ManifestRefused("manifest.size", f"a file node of {node.size_bytes} bytes is not of the profile")
    yield from _read_node(node, node.size_bytes, nodes.depth_of(node.size_bytes), get)


def _read_node(node: FileNode, size_bytes: int, depth: int, get: Get) -> Iterator[bytes]:
    """The recursion is as deep as the graph: at most `depth_of(ARTIFACT_BYTES_MAX)`, which is 2."""
    nodes.check_file_node(node, size_bytes, depth)
    for link, size in zip(node.links, node.child_sizes, strict=True):
        data = fetch(get, cids.from_bytes(link.cid))
        if depth == 1:
            _check_leaf(data, size)
            yield data
            continue
        child = nodes.decode(data)
        if not isinstance(child, FileNode):
            raise ManifestRefused("manifest.shape", "a directory lies inside a file")
        yield from _read_node(child, size, depth - 1, get)


def _check_leaf(data: bytes, size_bytes: int) -> None:
    if len(data) != size_bytes or size_bytes > CHUNK_BYTES:
        raise ManifestRefused(
            "manifest.size", f"a leaf has {len(data)} bytes where {min(size_bytes, CHUNK_BYTES)} belong"
        )


def list_directory(root: str, get: Get) -> dict[str, str]:
    """The entries of the directory `root`: name -> CID, in the order of the names' bytes; raises as `read_file`."""
    node = nodes.decode(fetch(get, root)) if cids.parse(root).codec is Codec.DAG_PB else None
    if isinstance(node, ShardNode):
        links = sorted(_shard_entries(node, b"", get, [ENTRIES_MAX, ENTRIES_MAX]), key=lambda link: link.name)
    elif isinstance(node, DirectoryNode):
        links = list(node.links)
    else:
        raise ManifestRefused("manifest.not_a_directory", f"{root} is not a directory")
    return {nodes.check_name(link.name): cids.from_bytes(link.cid) for link in links}


def _shard_entries(node: ShardNode, path: bytes, get: Get, left: list[int]) -> Iterator[Link]:
    """The entries at and below the shard where `path` leads. `left`: entries, and shards, that may still follow."""
    hamt.check_place(node, path)
    entries = node.entries()
    left[0] -= len(entries)
    left[1] -= len(node.links) - len(entries)
    if min(left) < 0:
        raise ManifestRefused("manifest.entries", "the directory has too many entries")
    yield from entries
    for link in node.links:
        if hamt.is_shard_link(link):
            below = nodes.decode(fetch(get, cids.from_bytes(link.cid)))
            if not isinstance(below, ShardNode):
                raise ManifestRefused("manifest.shape", "something else lies where a shard belongs")
            yield from _shard_entries(below, path + bytes([hamt.slot_of(link)]), get, left)


def is_directory(root: str, get: Get) -> bool:
    """Tell whether `root` is a directory, flat or sharded; raises as `read_file`."""
    if cids.parse(root).codec is Codec.RAW:
        return False
    return isinstance(nodes.decode(fetch(get, root)), DirectoryNode | ShardNode)


def extract(root: str, get: Get, target: Path) -> int:
    """Write the file or directory `root` to `target`, which must not exist; return the content bytes written.

    Where something fails, what was written so far stays: write to a temporary place and rename it when this returns.

    Raises:
        ArtifactError, OSError: as `read_file`; FileExistsError when `target` or a path below it exists.
    """
    left = [ENTRIES_MAX, ARTIFACT_BYTES_MAX]
    return _extract(root, get, target, 0, left)


def _extract(root: str, get: Get, target: Path, depth: int, left: list[int]) -> int:
    left[0] -= 1
    if depth > DIRECTORY_DEPTH_MAX or left[0] < 0:
        raise ManifestRefused("manifest.entries", "the directory is too deep or has too many entries")
    written = 0
    if is_directory(root, get):
        target.mkdir()
        # `check_name` has refused every name that could lead outside `target`.
        for name, cid in list_directory(root, get).items():
            written += _extract(cid, get, target / name, depth + 1, left)
        return written
    with target.open("xb") as stream:
        for chunk in read_file(root, get):
            left[1] -= len(chunk)
            if left[1] < 0:
                raise ManifestRefused("manifest.size", f"an artifact has at most {ARTIFACT_BYTES_MAX} bytes")
            stream.write(chunk)
            written += len(chunk)
    return written
