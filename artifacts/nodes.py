"""UnixFS: what the blocks of a file and of a directory say.

The profile fixes the shape of a file's graph by its size alone: `depth_of` and `child_sizes` compute it,
`check_file_node` compares. A graph that overlaps, lies about sizes, is too deep or too wide therefore fails at the
first wrong node. Source: the UnixFS specification and profile `unixfs-v1-2025` (IPIP-0499).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

from artifacts import dag_pb, hamt
from artifacts.cid import Codec, parse_bytes
from artifacts.errors import InvalidBlock, InvalidCid, ManifestRefused, UnsupportedArtifact

CHUNK_BYTES: Final = 1 << 20
"""Bytes of every leaf but the last."""
WIDTH: Final = 1_024
"""Links of a full file node."""
DIRECTORY_BYTES_MAX: Final = 256 << 10
"""Bytes of a flat directory's block; above it the profile shards the directory (`hamt.py`)."""
ARTIFACT_BYTES_MAX: Final = 256 << 30
"""Bytes of content of an artifact, all files of a directory together. It bounds the CIDs held in memory."""
DIRECTORY_DEPTH_MAX: Final = 32
"""Levels of directories below a root."""
ENTRIES_MAX: Final = 100_000
"""Files and directories below a directory, counted as often as they are linked: a small graph can spell a huge tree."""
NAME_BYTES_MAX: Final = 255
"""Bytes of a directory entry's name: what Linux file systems store."""

_TYPE_DIRECTORY: Final = 1
_TYPE_FILE: Final = 2
_TYPE_SYMLINK: Final = 4
_DIRECTORY_DATA: Final = bytes([0x08, _TYPE_DIRECTORY])
_FILE_HEAD: Final = bytes([0x08, _TYPE_FILE, 0x18])
_TAG_BLOCKSIZE: Final = 0x20


class FileNode(NamedTuple):
    """An inner node of a file: it has no bytes of its own."""

    links: tuple[dag_pb.Link, ...]
    size_bytes: int
    child_sizes: tuple[int, ...]
    """Content bytes below each link."""


class DirectoryNode(NamedTuple):
    """A flat directory; the names of the links are unique and sorted by their bytes."""

    links: tuple[dag_pb.Link, ...]


def depth_of(size_bytes: int) -> int:
    """Levels of inner nodes above the leaves of a file: 0 when the file is one leaf."""
    leaves = -(-size_bytes // CHUNK_BYTES)
    depth, capacity = 0, 1
    while capacity < leaves:
        depth, capacity = depth + 1, capacity * WIDTH
    return depth


def child_sizes(size_bytes: int, depth: int) -> tuple[int, ...]:
    """Content bytes below each link of a node `depth` levels above the leaves that covers `size_bytes` > 0."""
    assert depth > 0
    capacity: int = CHUNK_BYTES * WIDTH ** (depth - 1)
    full, rest = divmod(size_bytes, capacity)
    return (capacity,) * full + ((rest,) if rest else ())


def encode_file_node(links: tuple[dag_pb.Link, ...], sizes: tuple[int, ...]) -> bytes:
    """Encode an inner node of a file whose links cover `sizes` content bytes."""
    data = bytearray(_FILE_HEAD + dag_pb.encode_varint(sum(sizes)))
    for size in sizes:
        data.append(_TAG_BLOCKSIZE)
        data += dag_pb.encode_varint(size)
    return dag_pb.encode_node(dag_pb.Node(links, bytes(data)))


def encode_directory_node(links: tuple[dag_pb.Link, ...]) -> bytes:
    """Encode a flat directory from links sorted by name. A block above DIRECTORY_BYTES_MAX is none of the profile."""
    return dag_pb.encode_node(dag_pb.Node(links, _DIRECTORY_DATA))


def decode(block: bytes) -> FileNode | DirectoryNode | hamt.ShardNode:
    """Decode a dag-pb block as a UnixFS node of the profile.

    Raises:
        InvalidBlock: malformed, not canonical, or with fields that the profile does not write.
        UnsupportedArtifact: a symbolic link.
    """
    node = dag_pb.decode_node(block)
    if node.data == _DIRECTORY_DATA:
        if len(block) > DIRECTORY_BYTES_MAX:
            raise InvalidBlock(f"a flat directory's block has at most {DIRECTORY_BYTES_MAX} bytes")
        return _directory(node)
    if node.data.startswith(_FILE_HEAD):
        return _file(node)
    if hamt.is_shard(node.data):
        shard = hamt.decode(node)
        for link in shard.entries():
            check_name(link.name)
        return shard
    if node.data[:2] == bytes([0x08, _TYPE_SYMLINK]):
        raise UnsupportedArtifact("artifact.symlink", "symbolic links are not supported")
    raise InvalidBlock("not a file or directory node of the profile unixfs-v1-2025")


def links(data: bytes) -> tuple[dag_pb.Link, ...]:
    """The links of an encoded dag-pb block of a file or directory; raises as `decode` does."""
    return decode(data).links


def check_file_node(node: FileNode, size_bytes: int, depth: int) -> None:
    """Compare an inner node with the only one that a file of the profile can have at this place.

    Raises:
        ManifestRefused: sizes, number of links, names or kinds of children differ.
    """
    if node.size_bytes != size_bytes:
        raise ManifestRefused("manifest.size", f"a node claims {node.size_bytes} bytes where {size_bytes} belong")
    if depth == 0 or node.child_sizes != child_sizes(size_bytes, depth):
        raise ManifestRefused("manifest.shape", "a file node is not cut as the profile cuts a file of this size")
    wanted = Codec.RAW if depth == 1 else Codec.DAG_PB
    if any(parse_bytes(link.cid).codec is not wanted for link in node.links):
        raise ManifestRefused("manifest.depth", "a file's leaves are not all at the depth that its size demands")


def check_name(name: bytes) -> str:
    """Return a directory entry's name as text.

    Raises:
        InvalidBlock: empty, above NAME_BYTES_MAX, not UTF-8, `.`, `..`, or with a slash, backslash or NUL.
    """
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidBlock("a directory entry's name is not UTF-8") from error
    if not 0 < len(name) <= NAME_BYTES_MAX or text in {".", ".."} or any(c in text for c in "/\\\x00"):
        raise InvalidBlock(f"not a name for a directory entry: {text[:80]!r}")
    return text


def _file(node: dag_pb.Node) -> FileNode:
    data = node.data
    size_bytes, position = dag_pb.decode_varint(data, len(_FILE_HEAD))
    sizes: list[int] = []
    while position < len(data):
        if data[position] != _TAG_BLOCKSIZE or len(sizes) >= WIDTH:
            raise InvalidBlock("a file node has an unknown field, bytes of its own or too many children")
        size, position = dag_pb.decode_varint(data, position + 1)
        sizes.append(size)
    if not sizes or len(sizes) != len(node.links) or sum(sizes) != size_bytes:
        raise InvalidBlock("a file node's links and sizes do not agree")
    if any(link.name for link in node.links):
        raise InvalidBlock("a file node's links have empty names")
    _check_cids(node.links)
    return FileNode(node.links, size_bytes, tuple(sizes))


def _directory(node: dag_pb.Node) -> DirectoryNode:
    names = [link.name for link in node.links]
    for name in names:
        check_name(name)
    if any(a >= b for a, b in pairwise(names)):
        raise InvalidBlock("a directory's entries are unique and sorted by the bytes of their names")
    _check_cids(node.links)
    return DirectoryNode(node.links)


def _check_cids(node_links: tuple[dag_pb.Link, ...]) -> None:
    try:
        for link in node_links:
            parse_bytes(link.cid)
    except InvalidCid as error:
        raise InvalidBlock(f"a link: {error.message}") from error
