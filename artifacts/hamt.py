"""Sharded directories: a hash trie of 256 slots a node, for directories whose flat block would pass 256 KiB.

An entry's slot at level n is byte n of its name's hash. A link's name is the slot as two upper-case hexadecimal digits,
followed by the entry's name, or by nothing where several entries share the slot: then a further node holds them, one
level down. Every node but the root has two entries or more below it, so a set of entries has one tree. Source: the
UnixFS specification ("HAMTDirectory") and profile `unixfs-v1-2025` (IPIP-0499).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from artifacts import cid as cids
from artifacts import dag_pb
from artifacts.cid import Codec
from artifacts.dag_pb import Link
from artifacts.errors import InvalidBlock, InvalidCid, ManifestRefused, UnsupportedArtifact
from artifacts.murmur3 import DIGEST_BYTES, murmur3_x64_64

FANOUT: Final = 256
LEVELS_MAX: Final = DIGEST_BYTES
"""Nodes on the way to an entry: a byte of the hash each. Entries whose names share all 64 bits cannot be stored."""
_SLOT_CHARACTERS: Final = 2
_TYPE_SHARD: Final = 5
_HEAD: Final = bytes([0x08, _TYPE_SHARD, 0x12])
_MURMUR3_X64_64: Final = 0x22
_TAIL: Final = b"\x28" + dag_pb.encode_varint(_MURMUR3_X64_64) + b"\x30" + dag_pb.encode_varint(FANOUT)
"""The fields hashType and fanout."""

Put = Callable[[str, bytes], object]


class ShardNode(NamedTuple):
    """A node of a sharded directory; the links are sorted by slot, one a slot."""

    links: tuple[Link, ...]

    def entries(self) -> list[Link]:
        """The links to entries, under the entries' own names."""
        return [link._replace(name=link.name[_SLOT_CHARACTERS:]) for link in self.links if not is_shard_link(link)]


class BuiltShard(NamedTuple):
    """A written node and all below it."""

    link: Link
    """Without a name."""
    blocks: int
    """Blocks of the trie itself."""


def is_shard_link(link: Link) -> bool:
    """Tell whether a link of a shard leads to the shard one level down."""
    return len(link.name) == _SLOT_CHARACTERS


def slot_of(link: Link) -> int:
    """The slot that a shard's link fills."""
    return int(link.name[:_SLOT_CHARACTERS], 16)


def build(entries: Iterable[Link], put: Put) -> BuiltShard:
    """Write a directory's entries as a trie, children first.

    Raises:
        UnsupportedArtifact: `artifact.directory_too_large`, two names have one hash.
        whatever `put` raises.
    """
    return _build([(murmur3_x64_64(link.name), link) for link in entries], 0, put)


def _build(entries: list[tuple[bytes, Link]], level: int, put: Put) -> BuiltShard:
    """The recursion ends at LEVELS_MAX."""
    if level == LEVELS_MAX:
        names = b" and ".join(sorted(link.name for _, link in entries)[:2]).decode("utf-8", "replace")
        raise UnsupportedArtifact("artifact.directory_too_large", f"the names {names} have one hash in 64 bits")
    slots: dict[int, list[tuple[bytes, Link]]] = {}
    for entry in entries:
        slots.setdefault(entry[0][level], []).append(entry)
    links = []
    blocks = 1
    for slot in sorted(slots):
        prefix = b"%02X" % slot
        if len(slots[slot]) == 1:
            ((_, link),) = slots[slot]
            links.append(link._replace(name=prefix + link.name))
        else:
            below = _build(slots[slot], level + 1, put)
            links.append(below.link._replace(name=prefix))
            blocks += below.blocks
    block = encode(tuple(links))
    name = cids.dag_pb_cid(block)
    put(name, block)
    tsize = len(block) + sum(link.tsize for link in links)
    return BuiltShard(Link(cids.to_bytes(name), b"", tsize), blocks)


def encode(links: tuple[Link, ...]) -> bytes:
    """Encode a node from links sorted by slot."""
    return dag_pb.encode_node(dag_pb.Node(links, _data(links)))


def _data(links: tuple[Link, ...]) -> bytes:
    bits = sum(1 << slot_of(link) for link in links)
    field = bits.to_bytes((bits.bit_length() + 7) // 8, "big")
    return _HEAD + dag_pb.encode_varint(len(field)) + field + _TAIL


def is_shard(data: bytes) -> bool:
    """Tell whether the data of a dag-pb node says that it is a shard, be it a wrong one."""
    return data[:2] == _HEAD[:2]


def decode(node: dag_pb.Node) -> ShardNode:
    """Read a dag-pb node as a shard; the names of entries are left for the caller to check.

    Raises:
        InvalidBlock: another fanout or hash function, slots that repeat or are not sorted, or a bitfield that does not
            say which slots are filled.
    """
    if not 1 <= len(node.links) <= FANOUT:
        raise InvalidBlock(f"a shard has 1 to {FANOUT} links")
    for link in node.links:
        slot = link.name[:_SLOT_CHARACTERS]
        if len(slot) != _SLOT_CHARACTERS or any(byte not in b"0123456789ABCDEF" for byte in slot):
            raise InvalidBlock("a shard's link begins with its slot, two upper-case hexadecimal digits")
        _check_cid(link)
    if any(slot_of(a) >= slot_of(b) for a, b in pairwise(node.links)):
        raise InvalidBlock("a shard's slots are unique and sorted")
    if node.data != _data(node.links):
        raise InvalidBlock("a shard of the profile has a fanout of 256, murmur3-x64-64, and a bit for each filled slot")
    return ShardNode(node.links)


def _check_cid(link: Link) -> None:
    try:
        codec = cids.parse_bytes(link.cid).codec
    except InvalidCid as error:
        raise InvalidBlock(f"a link: {error.message}") from error
    if is_shard_link(link) and codec is Codec.RAW:
        raise InvalidBlock("a raw leaf is no shard")


def check_place(node: ShardNode, path: bytes) -> None:
    """Check that a node may stand where `path`, one slot a level from the directory's root, leads.

    Raises:
        ManifestRefused: an entry's name has another hash, a node holds too little to be needed, or the trie is too
            deep.
    """
    if len(path) >= LEVELS_MAX or (len(path) == LEVELS_MAX - 1 and any(map(is_shard_link, node.links))):
        raise ManifestRefused("manifest.depth", f"a sharded directory has at most {LEVELS_MAX} levels")
    if path and len(node.links) == 1 and not is_shard_link(node.links[0]):
        raise ManifestRefused("manifest.shape", "a shard with one entry belongs into the shard above")
    for link in node.links:
        if not is_shard_link(link):
            place = path + bytes([slot_of(link)])
            if murmur3_x64_64(link.name[_SLOT_CHARACTERS:])[: len(place)] != place:
                raise ManifestRefused("manifest.shape", "an entry does not lie in the slot of its name's hash")
