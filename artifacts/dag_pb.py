"""The dag-pb codec: nodes with links and one data field, in their one canonical form.

    PBNode { repeated PBLink Links = 2;  optional bytes Data = 1 }      links are written before the data
    PBLink { bytes Hash = 1;  string Name = 2;  uint64 Tsize = 3 }      all three always present here, in this order

Source: the IPLD dag-pb specification. A node that does not encode back to the same bytes is refused.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from artifacts.errors import InvalidBlock

LINKS_MAX: Final = 8_192
"""Links a node may hold: a file node has 1,024, and a directory block of 256 KiB fewer than 5,700."""
_VARINT_BYTES_MAX: Final = 9
"""Bytes of a varint: 63 bits, as multiformats bounds them."""
_LENGTH_DELIMITED: Final = 2
_TAG_DATA: Final = b"\x0a"
_TAG_LINK: Final = b"\x12"
_TAG_HASH: Final = b"\x0a"
_TAG_NAME: Final = b"\x12"
_TAG_TSIZE: Final = b"\x18"


class Link(NamedTuple):
    """An edge to a child block."""

    cid: bytes
    """Binary CID."""
    name: bytes
    """UTF-8; empty in file nodes, where it is still written."""
    tsize: int
    """Bytes of the child's block and of all blocks below it, each counted as often as it is linked."""


class Node(NamedTuple):
    """A decoded dag-pb node."""

    links: tuple[Link, ...]
    data: bytes


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128; `value` is at least 0."""
    assert value >= 0
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, position: int) -> tuple[int, int]:
    """Read an unsigned LEB128 at `position`; return it and the position behind it.

    Raises:
        InvalidBlock: it is cut off, above 63 bits or longer than needed.
    """
    value = 0
    for index in range(_VARINT_BYTES_MAX):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                break
            return value, position + index + 1
    raise InvalidBlock("a number is cut off, too large or not in its shortest form")


def read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """Read a length-prefixed field at `position`; raises `InvalidBlock` when it reaches past the end."""
    length, position = decode_varint(data, position)
    if length > len(data) - position:
        raise InvalidBlock("a field reaches past the end of its block")
    return data[position : position + length], position + length


def encode_node(node: Node) -> bytes:
    """Encode a node canonically. The caller sorts the links."""
    parts: list[bytes] = []
    for link in node.links:
        body = b"".join(
            (
                _TAG_HASH,
                encode_varint(len(link.cid)),
                link.cid,
                _TAG_NAME,
                encode_varint(len(link.name)),
                link.name,
                _TAG_TSIZE,
                encode_varint(link.tsize),
            )
        )
        parts += (_TAG_LINK, encode_varint(len(body)), body)
    parts += (_TAG_DATA, encode_varint(len(node.data)), node.data)
    return b"".join(parts)


def decode_node(block: bytes) -> Node:
    """Decode a node.

    Raises:
        InvalidBlock: malformed, more than LINKS_MAX links, unknown fields, or not the canonical encoding.
    """
    links: list[Link] = []
    data: bytes | None = None
    position = 0
    while position < len(block):
        tag = block[position : position + 1]
        field, position = read_bytes(block, position + 1)
        if tag == _TAG_LINK and len(links) < LINKS_MAX:
            links.append(_decode_link(field))
        elif tag == _TAG_DATA and data is None:
            data = field
        else:
            raise InvalidBlock("an unknown or repeated field, or too many links, in a dag-pb node")
    node = Node(tuple(links), data or b"")
    # One comparison refuses every other spelling: order of fields, missing empty names, long varints, trailing bytes.
    if data is None or encode_node(node) != block:
        raise InvalidBlock("not the canonical encoding of a dag-pb node")
    return node


def _decode_link(field: bytes) -> Link:
    if field[:1] != _TAG_HASH:
        raise InvalidBlock("a dag-pb link begins with its hash")
    cid, position = read_bytes(field, 1)
    if field[position : position + 1] != _TAG_NAME:
        raise InvalidBlock("a dag-pb link has a name after its hash, be it empty")
    name, position = read_bytes(field, position + 1)
    if field[position : position + 1] != _TAG_TSIZE:
        raise InvalidBlock("a dag-pb link has a size after its name")
    tsize, position = decode_varint(field, position + 1)
    if position != len(field):
        raise InvalidBlock("surplus bytes in a dag-pb link")
    return Link(cid, name, tsize)
