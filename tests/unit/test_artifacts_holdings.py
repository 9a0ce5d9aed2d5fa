"""What is wanted next follows from what is held; a lying manifest is refused before anything below it is fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from artifacts import dag_pb, holdings, nodes, unixfs
from artifacts.cid import dag_pb_cid, from_bytes, raw_cid, to_bytes
from artifacts.dag_pb import Link, Node
from artifacts.errors import ArtifactError, BlockMismatch, ChunkDamaged, ChunkMissing, InvalidBlock, ManifestRefused
from artifacts.holdings import Holding
from artifacts.nodes import ARTIFACT_BYTES_MAX, CHUNK_BYTES, WIDTH

EMPTY = raw_cid(b"")


class MemoryStore:
    """A store that notes what was asked of it."""

    def __init__(self, blocks: dict[str, bytes] | None = None) -> None:
        self.blocks = dict(blocks or {})
        self.damaged: set[str] = set()
        self.read: list[str] = []

    def block_bytes(self, cid: str) -> int | None:
        return len(self.blocks[cid]) if cid in self.blocks else None

    def get(self, cid: str) -> bytes:
        self.read.append(cid)
        if cid in self.damaged:
            raise ChunkDamaged(cid)
        if cid not in self.blocks:
            raise ChunkMissing(cid)
        return self.blocks[cid]

    def put(self, cid: str, data: bytes) -> None:
        self.blocks[cid] = data


def built(source: bytes | Path) -> tuple[str, int, dict[str, bytes]]:
    blocks: dict[str, bytes] = {}
    made = (
        unixfs.build(source, blocks.__setitem__)
        if isinstance(source, Path)
        else unixfs.build_file(source, blocks.__setitem__)
    )
    return made.cid, made.size_bytes, blocks


def fill(holding: Holding, store: MemoryStore, blocks: dict[str, bytes]) -> list[str]:
    """Fetch until complete, as a node does; return the order."""
    order = []
    while not holding.complete:
        cid = holding.missing(1)[0]
        holding.check(cid, blocks[cid])
        store.put(cid, blocks[cid])
        holding.add(cid, blocks[cid])
        order.append(cid)
    return order


def test_a_file_is_wanted_from_its_root_down() -> None:
    root, size, blocks = built(os.urandom(2 * CHUNK_BYTES + 9))
    store = MemoryStore()
    holding = Holding(root, size, store)
    assert holding.missing() == [root]
    assert holding.accepts(root)
    order = fill(holding, store, blocks)
    assert order == [root, *(from_bytes(link.cid) for link in unixfs.links(blocks[root]))]
    assert (holding.complete, holding.missing(), holding.blocks_held) == (True, [], 4)
    assert all(holding.holds(cid) for cid in blocks)


def test_a_walk_over_what_a_store_holds_continues_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "large").write_bytes(os.urandom(CHUNK_BYTES + 1))
    (tmp_path / "b").write_bytes(b"small")
    root, size, blocks = built(tmp_path)
    store = MemoryStore()
    remaining = set(blocks)
    while remaining:
        wanted = holdings.missing(root, size, store)
        assert wanted[0] in remaining
        store.put(wanted[0], blocks[wanted[0]])
        remaining.discard(wanted[0])
    assert holdings.complete(root, size, store)
    assert not holdings.accepts(root, size, root, store)


def test_leaves_are_not_read_to_tell_what_is_held() -> None:
    root, size, blocks = built(os.urandom(3 * CHUNK_BYTES))
    store = MemoryStore(blocks)
    assert Holding(root, size, store).complete
    assert store.read == [root]


def test_only_linked_blocks_are_accepted() -> None:
    root, size, blocks = built(os.urandom(CHUNK_BYTES + 1))
    store = MemoryStore()
    holding = Holding(root, size, store)
    leaf = next(cid for cid in blocks if cid != root)
    with pytest.raises(ManifestRefused) as caught:
        holding.check(leaf, blocks[leaf])
    assert caught.value.code == "manifest.not_linked"
    assert not holding.accepts(leaf)
    stranger = raw_cid(b"stranger")
    with pytest.raises(ManifestRefused):
        holding.check(stranger, b"stranger")


def test_wrong_bytes_change_nothing() -> None:
    """M1."""
    root, size, blocks = built(os.urandom(CHUNK_BYTES + 1))
    holding = Holding(root, size, MemoryStore())
    with pytest.raises(BlockMismatch):
        holding.add(root, blocks[root] + b"\x00")
    assert holding.missing() == [root]


def test_a_damaged_node_counts_as_missing() -> None:
    """D1: it is fetched again from peers."""
    root, size, blocks = built(os.urandom(CHUNK_BYTES + 1))
    store = MemoryStore(blocks)
    store.damaged.add(root)
    assert holdings.missing(root, size, store) == [root]


def test_a_repeated_chunk_is_fetched_once() -> None:
    root, size, blocks = built(b"\x07" * (4 * CHUNK_BYTES))
    store = MemoryStore()
    assert len(fill(Holding(root, size, store), store, blocks)) == 2


def test_missing_is_bounded() -> None:
    root, size, blocks = built(os.urandom(5 * CHUNK_BYTES))
    store = MemoryStore({root: blocks[root]})
    assert len(holdings.missing(root, size, store, limit=3)) == 3
    assert len(holdings.missing(root, size, store)) == 5


@pytest.mark.parametrize(
    ("root", "size"),
    [
        (dag_pb_cid(b""), 10**9 * CHUNK_BYTES),
        (dag_pb_cid(b""), ARTIFACT_BYTES_MAX + 1),
        (dag_pb_cid(b""), -1),
        (EMPTY, CHUNK_BYTES + 1),
    ],
    ids=["10^9 chunks", "too large", "negative", "raw root with many chunks"],
)
def test_an_impossible_registration_is_refused_before_any_fetch(root: str, size: int) -> None:
    """M3."""
    store = MemoryStore()
    with pytest.raises(ManifestRefused):
        Holding(root, size, store)
    assert store.read == []


def leaf_links(sizes: tuple[int, ...], tsizes: tuple[int, ...] | None = None) -> tuple[Link, ...]:
    pairs = zip(sizes, tsizes or sizes, strict=True)
    return tuple(Link(to_bytes(raw_cid(b"%d" % i)), b"", tsize) for i, (_, tsize) in enumerate(pairs))


def directory(*entries: tuple[bytes, str, int]) -> bytes:
    return nodes.encode_directory_node(tuple(Link(to_bytes(cid), name, tsize) for name, cid, tsize in entries))


FULL = (CHUNK_BYTES, 5)
TURNED = (5, CHUNK_BYTES)
TOTAL = CHUNK_BYTES + 5
INNER = nodes.encode_file_node(leaf_links(FULL), FULL)


@pytest.mark.parametrize(
    ("block", "size"),
    [
        pytest.param(INNER, CHUNK_BYTES + 6, id="registered size lies"),
        pytest.param(nodes.encode_file_node(leaf_links(TURNED), TURNED), TOTAL, id="cut otherwise"),
        pytest.param(nodes.encode_file_node(leaf_links((3, 4)), (3, 4)), 7, id="small file with a node"),
        pytest.param(nodes.encode_file_node(leaf_links((7,)), (7,)), 7, id="a node around one leaf"),
        pytest.param(nodes.encode_file_node(leaf_links(FULL, (CHUNK_BYTES, 6)), FULL), TOTAL, id="tsize lies"),
        pytest.param(
            nodes.encode_file_node((Link(to_bytes(dag_pb_cid(INNER)), b"", CHUNK_BYTES), *leaf_links((5,))), FULL),
            CHUNK_BYTES + 5,
            id="a node where a leaf belongs (too deep)",
        ),
        pytest.param(
            nodes.encode_file_node(leaf_links((1,) * (WIDTH + 1)), (1,) * (WIDTH + 1)), WIDTH + 1, id="too wide"
        ),
        pytest.param(directory((b"a", raw_cid(b"x"), 10**15)), 1, id="entry beyond the registered size"),
        pytest.param(directory((b"a", raw_cid(b"x"), CHUNK_BYTES + 1)), CHUNK_BYTES + 1, id="raw entry above a chunk"),
        pytest.param(directory((b"a", raw_cid(b"xy"), 2), (b"b", raw_cid(b"xy"), 3)), 5, id="two sizes for one block"),
    ],
)
def test_a_lying_root_is_refused_before_anything_below_it_is_wanted(block: bytes, size: int) -> None:
    """M3: overlapping, too deep, too wide, size lies."""
    root = dag_pb_cid(block)
    holding = Holding(root, size, MemoryStore())
    with pytest.raises((ManifestRefused, InvalidBlock)):
        holding.add(root, block)
    with pytest.raises((ManifestRefused, InvalidBlock)):
        Holding(root, size, MemoryStore({root: block}))


def test_a_leaf_of_another_size_is_refused() -> None:
    """M3: the link claims 5 bytes, the leaf has 1."""
    root = dag_pb_cid(INNER)
    holding = Holding(root, CHUNK_BYTES + 5, MemoryStore())
    holding.add(root, INNER)
    with pytest.raises(ManifestRefused):
        holding.check(raw_cid(b"1"), b"1")


def test_a_directory_inside_a_file_is_refused() -> None:
    """M3: a directory where a file's inner node belongs."""
    empty = directory()
    tsize = len(empty)
    size = CHUNK_BYTES * WIDTH + CHUNK_BYTES
    links = (Link(to_bytes(dag_pb_cid(b"first")), b"", 1), Link(to_bytes(dag_pb_cid(empty)), b"", tsize))
    root_block = nodes.encode_file_node(links, (CHUNK_BYTES * WIDTH, CHUNK_BYTES))
    root = dag_pb_cid(root_block)
    holding = Holding(root, size, MemoryStore())
    holding.add(root, root_block)
    with pytest.raises(ManifestRefused):
        holding.check(dag_pb_cid(empty), empty)


def chain(levels: int) -> tuple[str, dict[str, bytes]]:
    """A directory in a directory in a directory."""
    block, blocks, tsize = directory(), {}, 0
    for _ in range(levels):
        blocks[dag_pb_cid(block)] = block
        tsize += len(block)
        block = directory((b"d", dag_pb_cid(block), tsize))
    blocks[dag_pb_cid(block)] = block
    return dag_pb_cid(block), blocks


def test_directories_nested_too_deep_are_refused() -> None:
    """M3."""
    root, blocks = chain(nodes.DIRECTORY_DEPTH_MAX)
    assert Holding(root, 0, MemoryStore(blocks)).complete
    root, blocks = chain(nodes.DIRECTORY_DEPTH_MAX + 1)
    with pytest.raises(ManifestRefused) as caught:
        Holding(root, 0, MemoryStore(blocks))
    assert caught.value.code == "manifest.entries"


def test_a_small_graph_that_spells_a_huge_tree_is_refused_in_no_time() -> None:
    """M3: 20 blocks, each linking the next 100 times: 10^40 entries."""
    block, blocks = directory(), {}
    tsize = 0
    for _ in range(20):
        blocks[dag_pb_cid(block)] = block
        tsize += len(block)
        block = directory(*((b"%03d" % i, dag_pb_cid(block), min(tsize, 2**40)) for i in range(100)))
        tsize = sum(link.tsize for link in dag_pb.decode_node(block).links)
    root = dag_pb_cid(block)
    blocks[root] = block
    store = MemoryStore(blocks)
    with pytest.raises(ManifestRefused):
        Holding(root, 0, store)
    assert len(store.read) <= 21


def test_files_that_do_not_sum_to_the_registered_size_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    root, size, blocks = built(tmp_path)
    assert Holding(root, size, MemoryStore(blocks)).complete
    for wrong in (size - 1, size + 1):
        with pytest.raises(ManifestRefused):
            Holding(root, wrong, MemoryStore(blocks))


def test_a_node_of_unknown_kind_is_refused() -> None:
    block = dag_pb.encode_node(Node((), b"\x08\x09"))
    with pytest.raises(ArtifactError):
        Holding(dag_pb_cid(block), 0, MemoryStore({dag_pb_cid(block): block}))
