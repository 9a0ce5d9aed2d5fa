"""Laws of the artifact formats, for inputs that hypothesis finds."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts import dag_pb, nodes, unixfs
from artifacts.archive import list_members
from artifacts.chunk_store import ChunkStore
from artifacts.cid import Codec, encode, parse, raw_cid
from artifacts.dag_pb import Link, Node
from artifacts.errors import ArtifactError, InvalidBlock, InvalidCid, InvalidModelFile
from artifacts.holdings import Holding

CHUNK = 16
WIDTH = 3
DIRECTORY_BYTES = 100


@pytest.fixture(autouse=True)
def small_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code with chunks of 16 bytes, nodes of 3 links and flat directories of two entries at most, so that deep
    graphs and shards are found in small inputs."""
    for module in ("artifacts.nodes", "artifacts.unixfs", "artifacts.reader", "artifacts.holdings"):
        monkeypatch.setattr(f"{module}.CHUNK_BYTES", CHUNK)
    for module in ("artifacts.nodes", "artifacts.unixfs"):
        monkeypatch.setattr(f"{module}.WIDTH", WIDTH)
        monkeypatch.setattr(f"{module}.DIRECTORY_BYTES_MAX", DIRECTORY_BYTES)


class Blocks(dict[str, bytes]):
    """A store in memory."""

    def block_bytes(self, cid: str) -> int | None:
        return len(self[cid]) if cid in self else None

    def get(self, cid: str) -> bytes:  # type: ignore[override]  # the store's port, not the mapping's
        return self[cid]


digests = st.binary(min_size=32, max_size=32)
cids = st.builds(encode, st.sampled_from(list(Codec)), digests)
links = st.builds(Link, st.binary(max_size=40), st.binary(max_size=20), st.integers(min_value=0, max_value=2**63 - 1))
SLOWER = settings(deadline=None, max_examples=60)


@given(cids)
def test_a_cid_round_trips(text: str) -> None:
    codec, digest = parse(text)
    assert encode(codec, digest) == text


@given(st.text(max_size=70) | st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=59, max_size=59))
def test_any_text_is_a_cid_in_its_one_spelling_or_refused(text: str) -> None:
    """A5."""
    try:
        codec, digest = parse(text)
    except InvalidCid:
        return
    assert encode(codec, digest) == text


@given(st.lists(links, max_size=8), st.binary(max_size=40))
def test_a_dag_pb_node_round_trips(found: list[Link], data: bytes) -> None:
    node = Node(tuple(found), data)
    assert dag_pb.decode_node(dag_pb.encode_node(node)) == node


@given(st.binary(max_size=200))
def test_any_bytes_are_a_canonical_node_or_refused(block: bytes) -> None:
    try:
        node = dag_pb.decode_node(block)
    except InvalidBlock:
        return
    assert dag_pb.encode_node(node) == block


@given(st.binary(max_size=300), st.binary(min_size=18, max_size=18))
def test_any_bytes_are_an_archive_or_refused(data: bytes, tail: bytes) -> None:
    """M4: never an error without a type."""
    file = io.BytesIO(b"PK\x03\x04" + data + b"PK\x05\x06" + tail)
    with suppress(InvalidModelFile):
        assert list_members(file) == {}


@SLOWER
@given(st.binary(max_size=CHUNK * 40), st.lists(st.integers(1, 50), max_size=20))
def test_a_file_round_trips_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    blocks: dict[str, bytes] = {}
    built = unixfs.build_file(data, blocks.__setitem__)
    assert b"".join(unixfs.read_file(built.cid, blocks.__getitem__)) == data
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert unixfs.build_file([*pieces, rest]) == built
    assert built.size_bytes == len(data)


@SLOWER
@given(st.binary(min_size=CHUNK + 1, max_size=CHUNK * 30), st.data())
def test_a_mutated_block_never_yields_other_content(content: bytes, choice: st.DataObject) -> None:
    """M1, D1: one changed byte anywhere is an error, never a wrong answer."""
    blocks: dict[str, bytes] = {}
    built = unixfs.build_file(content, blocks.__setitem__)
    cid = choice.draw(st.sampled_from(sorted(blocks)))
    block = bytearray(blocks[cid])
    position = choice.draw(st.integers(0, len(block) - 1))
    block[position] ^= choice.draw(st.integers(1, 255))
    blocks[cid] = bytes(block)
    with pytest.raises(ArtifactError):
        list(unixfs.read_file(built.cid, blocks.__getitem__))


trees: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=CHUNK * 5), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner | st.binary(max_size=CHUNK * 5), max_size=3),
    max_leaves=5,
)


def lay_out(path: Path, tree: dict[str, object]) -> None:
    path.mkdir()
    for name, item in tree.items():
        if isinstance(item, bytes):
            (path / name).write_bytes(item)
        else:
            assert isinstance(item, dict)
            lay_out(path / name, item)


@SLOWER
@given(trees, st.randoms(use_true_random=False))
def test_whatever_order_blocks_come_in_the_walk_ends_complete_with_exactly_them(
    tree: dict[str, object], random: object
) -> None:
    """M2: what is missing is always known, and never more than what the graph links to."""
    pick: Callable[[list[str]], str] = random.choice  # type: ignore[attr-defined]  # hypothesis' Random
    with tempfile.TemporaryDirectory() as directory:
        lay_out(Path(directory) / "tree", tree)
        source: dict[str, bytes] = {}
        built = unixfs.build_directory(Path(directory) / "tree", source.__setitem__)
    store = Blocks()
    holding = Holding(built.cid, built.size_bytes, store)
    while not holding.complete:
        cid = pick(holding.missing())
        assert cid in source
        holding.check(cid, source[cid])
        store[cid] = source[cid]
        holding.add(cid, source[cid])
        assert sorted(Holding(built.cid, built.size_bytes, store).missing()) == sorted(holding.missing())
    assert store == source
    assert Holding(built.cid, built.size_bytes, store).complete


@SLOWER
@given(st.binary(min_size=CHUNK + 1, max_size=CHUNK * 30), st.integers(-CHUNK * 2, CHUNK * 40))
def test_a_file_is_refused_under_any_size_but_its_own(content: bytes, claimed: int) -> None:
    """M3: size lies."""
    store = Blocks()
    built = unixfs.build_file(content, store.__setitem__)
    if claimed == built.size_bytes:
        assert Holding(built.cid, claimed, store).complete
        return
    with pytest.raises(ArtifactError):
        Holding(built.cid, claimed, store)


@SLOWER
@given(st.integers(1, 3**5 * CHUNK))
def test_the_shape_of_a_file_covers_its_size(size_bytes: int) -> None:
    depth = nodes.depth_of(size_bytes)
    if depth:
        sizes = nodes.child_sizes(size_bytes, depth)
        assert sum(sizes) == size_bytes
        assert 1 < len(sizes) <= WIDTH


@SLOWER
@given(st.lists(st.binary(max_size=50), max_size=12))
def test_a_store_gives_back_what_was_put(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = ChunkStore(Path(directory))
        for data in contents:
            store.put(raw_cid(data), data)
        assert {store.get(cid) for cid in store.iterate()} == set(contents)
        assert store.size_bytes == ChunkStore(Path(directory)).size_bytes == sum(len(data) for data in set(contents))
