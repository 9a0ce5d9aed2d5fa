"""Files and directories become the blocks that the profile unixfs-v1-2025 prescribes, and are read back verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts import cid as cids
from artifacts import dag_pb, nodes, reader, unixfs
from artifacts.dag_pb import Link, Node
from artifacts.errors import ArtifactError, BlockMismatch, InvalidBlock, ManifestRefused, UnsupportedArtifact
from artifacts.nodes import CHUNK_BYTES, WIDTH

EMPTY_FILE = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
EMPTY_DIRECTORY = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
SEVENS = b"\x07" * CHUNK_BYTES


def sevens(count: int) -> Iterator[bytes]:
    """`count` chunks of sevens and one seven more, without holding them."""
    for _ in range(count):
        yield SEVENS
    yield b"\x07"


@pytest.mark.parametrize(
    ("source", "cid"),
    [
        (b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        (b"", EMPTY_FILE),
        (SEVENS + b"\x07", "bafybeigjlpad4kropgqbvvtp4leb45zzlmlgtwcnswuiq4au36xg6a4ibq"),
    ],
    ids=["one chunk", "empty", "two chunks"],
)
def test_files_get_the_cids_of_the_profile(source: bytes, cid: str) -> None:
    assert unixfs.build_file(source).cid == cid


def test_a_file_above_one_full_node_wraps_its_lone_last_leaf() -> None:
    built = unixfs.build_file(sevens(1_024))
    assert built.cid == "bafybeih22zyqo5cnf3gftyuvgwlzkmi5qwuajx2zzv7qoly5buymdefkyi"
    assert built.size_bytes == (1 << 30) + 1
    assert built.blocks == 1_025 + 2 + 1


def test_an_empty_directory_gets_the_cid_of_the_profile(tmp_path: Path) -> None:
    built = unixfs.build_directory(tmp_path)
    assert (built.cid, built.size_bytes, built.blocks) == (EMPTY_DIRECTORY, 0, 1)


def test_a_directory_gets_the_cid_that_the_reference_importer_gives(tmp_path: Path) -> None:
    """The figure is from npm ipfs-unixfs-importer 17.1.1 with `profile: 'unixfs-v1-2025'`."""
    make_tree(tmp_path)
    assert unixfs.build_directory(tmp_path).cid == REFERENCE_TREE


def make_tree(path: Path) -> None:
    (path / "b").mkdir()
    (path / "b" / "large").write_bytes(SEVENS + b"\x07")
    (path / "b" / "ä.txt").write_bytes(b"umlaut")
    (path / "B").write_bytes(b"")
    (path / ".hidden").write_bytes(b"hello world")
    (path / "empty").mkdir()


REFERENCE_TREE = "bafybeiajnb52sjy7vduobxtlhweiawnakcyn7yqvncveq7gwkftr6o2264"


def test_the_pieces_of_a_source_do_not_matter(tmp_path: Path) -> None:
    data = os.urandom(2 * CHUNK_BYTES + 77)
    path = tmp_path / "file"
    path.write_bytes(data)
    pieces = [data[i : i + 300_007] for i in range(0, len(data), 300_007)]
    with path.open("rb") as stream:
        found = {unixfs.build_file(data).cid, unixfs.build_file(pieces).cid, unixfs.build_file(stream).cid}
    assert found == {unixfs.build(path).cid}


def test_children_come_before_their_parents() -> None:
    seen: set[str] = set()

    def put(cid: str, data: bytes) -> None:
        if cids.parse(cid).codec is cids.Codec.DAG_PB:
            assert {cids.from_bytes(link.cid) for link in unixfs.links(data)} <= seen
        seen.add(cid)

    built = unixfs.build_file(SEVENS + b"x", put)
    assert len(seen) == built.blocks == 3


def test_a_directory_round_trips_through_its_blocks(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_tree(source)
    blocks: dict[str, bytes] = {}
    built = unixfs.build_directory(source, blocks.__setitem__)
    written = unixfs.extract(built.cid, blocks.__getitem__, tmp_path / "target")
    assert written == built.size_bytes
    assert unixfs.build_directory(tmp_path / "target").cid == built.cid
    assert list(reader.list_directory(built.cid, blocks.__getitem__)) == [".hidden", "B", "b", "empty"]


def test_reading_refuses_a_block_that_is_not_the_one_asked_for() -> None:
    """M1: from an untrusted source."""
    blocks: dict[str, bytes] = {}
    built = unixfs.build_file(SEVENS + b"x", blocks.__setitem__)
    leaf = cids.raw_cid(b"x")
    blocks[leaf] = b"y"
    with pytest.raises(BlockMismatch):
        list(unixfs.read_file(built.cid, blocks.__getitem__))


def test_a_symbolic_link_is_named_as_such_and_an_empty_shard_refused() -> None:
    for kind, code in ((5, "block.invalid"), (4, "artifact.symlink")):
        block = dag_pb.encode_node(Node((), bytes([0x08, kind, 0x12, 0x00])))
        with pytest.raises(ArtifactError) as caught:
            nodes.decode(block)
        assert caught.value.code == code


def test_a_symbolic_link_or_impossible_name_is_refused_when_building(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UnsupportedArtifact):
        unixfs.build_directory(tmp_path)
    (tmp_path / "link").unlink()
    (tmp_path / "a\\b").write_bytes(b"")
    with pytest.raises(UnsupportedArtifact):
        unixfs.build_directory(tmp_path)


def file_node(sizes: tuple[int, ...], claimed: int | None = None, name: bytes = b"") -> bytes:
    links = tuple(Link(cids.to_bytes(cids.raw_cid(b"%d" % i)), name, size) for i, size in enumerate(sizes))
    data = bytearray(b"\x08\x02\x18" + dag_pb.encode_varint(sum(sizes) if claimed is None else claimed))
    for size in sizes:
        data += b"\x20" + dag_pb.encode_varint(size)
    return dag_pb.encode_node(Node(links, bytes(data)))


GOOD = file_node((CHUNK_BYTES, 5))


@pytest.mark.parametrize(
    "block",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\x00",
        GOOD + b"\x0a\x00",
        GOOD[1:],
        file_node((CHUNK_BYTES, 5), claimed=7),
        file_node((CHUNK_BYTES, 5), name=b"x"),
        file_node(()),
        dag_pb.encode_node(Node((), b"\x08\x02\x12\x01x\x18\x01")),
        dag_pb.encode_node(Node((), b"\x08\x01\x18\x00")),
        dag_pb.encode_node(Node((Link(b"\x01\x55\x12\x20short", b"", 1),), b"\x08\x01")),
        dag_pb.encode_node(Node((Link(cids.to_bytes(EMPTY_FILE), b"..", 0),), b"\x08\x01")),
        dag_pb.encode_node(Node((Link(cids.to_bytes(EMPTY_FILE), b"a/b", 0),), b"\x08\x01")),
        dag_pb.encode_node(Node((Link(cids.to_bytes(EMPTY_FILE), b"", 0),), b"\x08\x01")),
        dag_pb.encode_node(Node((Link(cids.to_bytes(EMPTY_FILE), b"\xff", 0),), b"\x08\x01")),
        dag_pb.encode_node(Node(tuple(Link(cids.to_bytes(EMPTY_FILE), n, 0) for n in (b"b", b"a")), b"\x08\x01")),
        dag_pb.encode_node(Node(tuple(Link(cids.to_bytes(EMPTY_FILE), n, 0) for n in (b"a", b"a")), b"\x08\x01")),
        # Data before links, as protobuf allows and dag-pb does not.
        b"\x0a\x02\x08\x01" + dag_pb.encode_node(Node((Link(cids.to_bytes(EMPTY_FILE), b"a", 0),), b""))[:-2],
        # The same number, one byte longer.
        dag_pb.encode_node(Node((Link(cids.to_bytes(EMPTY_FILE), b"a", 0),), b"\x08\x01")).replace(
            b"\x18\x00", b"\x18\x80\x00"
        ),
        b"\x12" + b"\xff" * 9 + b"\x01",
    ],
)
def test_a_node_that_is_not_canonical_is_refused(block: bytes) -> None:
    with pytest.raises(InvalidBlock):
        nodes.decode(block)


def test_a_good_node_is_read() -> None:
    assert nodes.decode(GOOD) == nodes.FileNode(dag_pb.decode_node(GOOD).links, CHUNK_BYTES + 5, (CHUNK_BYTES, 5))


@pytest.mark.parametrize(
    ("size_bytes", "depth"),
    [
        (0, 0),
        (CHUNK_BYTES, 0),
        (CHUNK_BYTES + 1, 1),
        (CHUNK_BYTES * WIDTH, 1),
        (CHUNK_BYTES * WIDTH + 1, 2),
        (nodes.ARTIFACT_BYTES_MAX, 2),
    ],
)
def test_the_depth_of_a_file_follows_from_its_size(size_bytes: int, depth: int) -> None:
    assert nodes.depth_of(size_bytes) == depth


def test_too_many_bytes_are_refused_while_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unixfs, "ARTIFACT_BYTES_MAX", 3 * CHUNK_BYTES)
    with pytest.raises(UnsupportedArtifact) as caught:
        unixfs.build_file(sevens(3))
    assert caught.value.code == "artifact.too_large"


def test_reading_a_directory_as_a_file_is_refused(tmp_path: Path) -> None:
    blocks: dict[str, bytes] = {}
    built = unixfs.build_directory(tmp_path, blocks.__setitem__)
    with pytest.raises(ManifestRefused):
        list(unixfs.read_file(built.cid, blocks.__getitem__))
    with pytest.raises(ArtifactError):
        reader.list_directory(EMPTY_FILE, {EMPTY_FILE: b""}.__getitem__)
