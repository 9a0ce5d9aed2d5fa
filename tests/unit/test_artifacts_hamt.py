"""Sharded directories have the CIDs that the reference importer gives, and one shape only.

The CIDs were made once by npm `ipfs-unixfs-importer` 17.1.1 with `profile: 'unixfs-v1-2025'`, `wrapWithDirectory: true`
and `blockstore-core` in memory: entry i is named as below and holds the text `content i`. The hashes of names are those
of `@multiformats/murmur3`, whose first eight bytes the profile uses.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts import cid as cids
from artifacts import dag_pb, hamt, nodes, reader, unixfs
from artifacts.dag_pb import Link, Node
from artifacts.errors import ArtifactError, InvalidBlock, ManifestRefused, UnsupportedArtifact
from artifacts.holdings import Holding
from artifacts.murmur3 import murmur3_x64_64


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("", "0000000000000000"),
        ("a", "85555565f6597889"),
        ("hello", "cbd8a7b341bd9b02"),
        ("hello world", "533f6046eb7f610e"),
        ("The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c"),
        ("ÿ名前-entry-000123.bin", "4488644db69152f3"),
    ],
)
def test_names_hash_as_published(name: str, digest: str) -> None:
    assert murmur3_x64_64(name.encode()).hex() == digest


def padded(i: int) -> str:
    return f"entry-{i:06d}.bin"


def edge(i: int) -> str:
    """With these names 4,369 links and the node's data are 256 KiB to the byte."""
    return f"e{i:05d}" + "x" * 10


VECTORS: list[tuple[str, int, Callable[[int], str], str]] = [
    ("one", 1, padded, "bafybeibfevhovggdc534abdjntxojly6d43tqs67tertwjjvf7t7mvegpy"),
    ("two", 2, padded, "bafybeifccvnnvxl552zfqadgigs5emehtrfikbfke7ihbzan4jufmi7y6i"),
    ("hundred", 100, padded, "bafybeic22z2kwyoh5y6i3gdwybhli6sjwgk6wnmvukdnqm7hdvsox3iqjq"),
    ("flat", 3_900, padded, "bafybeidua6qjn63fz6o4l5hpkprvg3yoymy6ehm7723xmtnwej3y2ns3ku"),
    ("sharded", 5_000, padded, "bafybeidjjzguxxu6ch67nklga6apluwlmti4j2u2iubzmfipfagemfnhke"),
    ("large", 20_000, padded, "bafybeie3kdowe5kce7ucbq56gic5rbs2cnybjlc2hsxni56a4oz5mf3avy"),
    ("unicode", 6_000, lambda i: f"名前 {i} é", "bafybeigfjuwnr3eicoybj2nw2ac75pa3rdblyxsi4u5vfv4b5e5ujsfn54"),
    ("long", 1_200, lambda i: f"{i}-" + "n" * 240, "bafybeiha5fqmshx3aobqw6qbslosx7yqvq4b7nsu4pu5t5y5dcgcqvbss4"),
    ("below the threshold", 4_368, edge, "bafybeibpdavdna2i6d255pmexhpu664gnx6z4ycvcueoo3wm3i72a4ppqu"),
    ("at the threshold", 4_369, edge, "bafybeibchfteqbwytg2ghebxcve2n7v5pzmb2kmzoaibtkutv2nw5u2fxu"),
    ("above the threshold", 4_370, edge, "bafybeiaspr3uscjsnfz7ztv3rhje6pdj5yfwrvopizqgcbbsn6am5x7ui4"),
]


def built(count: int, name: Callable[[int], str], blocks: dict[str, bytes] | None = None) -> tuple[str, int]:
    """The root and the content bytes of a directory, made from links as the builder makes it from files."""
    store = {} if blocks is None else blocks
    links, size_bytes = [], 0
    for i in range(count):
        content = b"content %d" % i
        cid = cids.raw_cid(content)
        store[cid] = content
        size_bytes += len(content)
        links.append(Link(cids.to_bytes(cid), name(i).encode(), len(content)))
    links.sort(key=lambda link: link.name)
    made = unixfs.join_directory(links, store.__setitem__)
    return made.cid, size_bytes


@pytest.mark.parametrize(("count", "name", "cid"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_a_directory_has_the_cid_of_the_reference_importer(count: int, name: Callable[[int], str], cid: str) -> None:
    blocks: dict[str, bytes] = {}
    root, size_bytes = built(count, name, blocks)
    assert root == cid
    entries = reader.list_directory(root, blocks.__getitem__)
    assert list(entries) == sorted((name(i) for i in range(count)), key=str.encode)
    assert entries[name(0)] == cids.raw_cid(b"content 0")
    assert Holding(root, size_bytes, Memory(blocks)).complete


def test_a_directory_of_directories_is_sharded_where_it_must_be(tmp_path: Path) -> None:
    """6,000 entries below `shards/`, 3 below `flat/` and `readme.txt`: vector as above."""
    (tmp_path / "source" / "shards").mkdir(parents=True)
    (tmp_path / "source" / "flat").mkdir()
    (tmp_path / "source" / "readme.txt").write_bytes(b"hello")
    for folder, count in (("shards", 6_000), ("flat", 3)):
        for i in range(count):
            (tmp_path / "source" / folder / padded(i)).write_bytes(b"content %d" % i)
    blocks: dict[str, bytes] = {}
    made = unixfs.build_directory(tmp_path / "source", blocks.__setitem__)
    assert made.cid == "bafybeihq4nz4tqcwxmfmhypomufbgnwutdhqv6jfpxctxlajtwmwcrtixq"
    assert made.tsize == 486_096
    assert len(blocks) <= made.blocks
    written = unixfs.extract(made.cid, blocks.__getitem__, tmp_path / "target")
    assert written == made.size_bytes
    assert unixfs.build_directory(tmp_path / "target").cid == made.cid


class Memory:
    """A store that notes nothing."""

    def __init__(self, blocks: dict[str, bytes]) -> None:
        self.blocks = blocks

    def block_bytes(self, cid: str) -> int | None:
        return len(self.blocks[cid]) if cid in self.blocks else None

    def get(self, cid: str) -> bytes:
        return self.blocks[cid]


def test_a_sharded_directory_is_wanted_shard_by_shard() -> None:
    source: dict[str, bytes] = {}
    root, size_bytes = built(5_000, padded, source)
    store: dict[str, bytes] = {}
    holding = Holding(root, size_bytes, Memory(store))
    while wanted := holding.missing():
        for cid in wanted:
            holding.check(cid, source[cid])
            store[cid] = source[cid]
            holding.add(cid, source[cid])
    assert store == source
    with pytest.raises(ManifestRefused):
        Holding(root, size_bytes + 1, Memory(store))


LEAF = Link(cids.to_bytes(cids.raw_cid(b"x")), b"", 1)


def entry(name: bytes, level: int = 0) -> Link:
    return LEAF._replace(name=b"%02X" % murmur3_x64_64(name)[level] + name)


def slot(text: bytes) -> Link:
    return Link(cids.to_bytes(cids.dag_pb_cid(b"below")), text, 10)


HELLO = entry(b"hello")  # slot CB
SOUND = hamt.encode((slot(b"00"), HELLO))
FIELD = SOUND[SOUND.rindex(b"\x08\x05\x12") :]


def replaced(old: bytes, new: bytes) -> bytes:
    data = dag_pb.decode_node(SOUND)
    assert old in data.data
    return dag_pb.encode_node(Node(data.links, data.data.replace(old, new)))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(dag_pb.encode_node(Node((), dag_pb.decode_node(SOUND).data)), id="no links"),
        pytest.param(replaced(b"\x30\x80\x02", b"\x30\x80\x04"), id="another fanout"),
        pytest.param(replaced(b"\x30\x80\x02", b""), id="no fanout"),
        pytest.param(replaced(b"\x28\x22", b"\x28\x12"), id="another hash function"),
        pytest.param(replaced(b"\x01\x28", b"\x03\x28"), id="a bit for an empty slot"),
        pytest.param(hamt.encode((HELLO, slot(b"00"))), id="slots not sorted"),
        pytest.param(hamt.encode((slot(b"CB"), HELLO)), id="two links in one slot"),
        pytest.param(hamt.encode((LEAF._replace(name=b"CB"),)), id="a leaf as a shard"),
        pytest.param(hamt.encode((LEAF._replace(name=b"CB.."),)), id="an entry that leads outside"),
        pytest.param(hamt.encode((HELLO._replace(name=b"cbhello"),)), id="lower case"),
        pytest.param(
            dag_pb.encode_node(Node((HELLO._replace(name=b"C"),), dag_pb.decode_node(SOUND).data)), id="half a slot"
        ),
    ],
)
def test_a_shard_of_another_spelling_is_refused(block: bytes) -> None:
    """M3."""
    assert nodes.decode(SOUND)
    with pytest.raises(InvalidBlock):
        nodes.decode(block)


@pytest.mark.parametrize(
    ("block", "code"),
    [
        pytest.param(hamt.encode((HELLO._replace(name=b"CChello"),)), "manifest.shape", id="a wrong slot"),
        pytest.param(hamt.encode((slot(b"00")._replace(tsize=10**15),)), "manifest.size", id="too large below"),
    ],
)
def test_a_lying_shard_is_refused_before_anything_below_it_is_wanted(block: bytes, code: str) -> None:
    """M3: the entry could not be found by its name, or the sizes lie."""
    root = cids.dag_pb_cid(block)
    holding = Holding(root, 1, Memory({}))
    with pytest.raises(ManifestRefused) as caught:
        holding.add(root, block)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("below", "code"),
    [
        pytest.param(hamt.encode((entry(b"hello", 1),)), "manifest.shape", id="one entry alone"),
        pytest.param(hamt.encode((slot(b"00"), entry(b"hello", 0))), "manifest.shape", id="slot of another level"),
        pytest.param(nodes.encode_directory_node(()), "manifest.shape", id="a flat directory"),
    ],
)
def test_a_lying_shard_below_the_root_is_refused(below: bytes, code: str) -> None:
    """M3."""
    cid = cids.dag_pb_cid(below)
    tsize = len(below) + sum(link.tsize for link in dag_pb.decode_node(below).links)
    block = hamt.encode((Link(cids.to_bytes(cid), b"CB", tsize),))
    root = cids.dag_pb_cid(block)
    for use in (
        lambda: Holding(root, 1, Memory({root: block, cid: below})),
        lambda: reader.list_directory(root, {root: block, cid: below}.__getitem__),
    ):
        with pytest.raises(ArtifactError) as caught:
            use()
        assert caught.value.code == code


def test_a_trie_deeper_than_its_hash_is_refused() -> None:
    """M3: eight levels use up the hash of a name."""
    blocks: dict[str, bytes] = {}
    link = Link(cids.to_bytes(cids.dag_pb_cid(b"")), b"00", 0)
    for _ in range(hamt.LEVELS_MAX):
        block = hamt.encode((link,))
        root = cids.dag_pb_cid(block)
        blocks[root] = block
        link = Link(cids.to_bytes(root), b"00", len(block) + link.tsize)
    for use in (lambda: Holding(root, 1, Memory(blocks)), lambda: reader.list_directory(root, blocks.__getitem__)):
        with pytest.raises(ArtifactError) as caught:
            use()
        assert caught.value.code == "manifest.depth"


def test_names_with_one_hash_cannot_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artifacts.hamt.murmur3_x64_64", lambda _: bytes(8))
    with pytest.raises(UnsupportedArtifact) as caught:
        hamt.build([LEAF._replace(name=b"a"), LEAF._replace(name=b"b")], unixfs.discard)
    assert caught.value.code == "artifact.directory_too_large"
