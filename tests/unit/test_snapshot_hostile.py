"""Pieces of snapshots that are not what they should be: of liars, of decayed disks, of other chains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_core_kit import OWNERS, REGISTRY, Kit, Put, certify, make_genesis
from snapshot_kit import Newcomer, head_certificate, make_epochs, make_toy, take

from ledger.genesis import network_id
from ledger.operations import default_registry
from ledger.snapshot.format import Handoff, InvalidSnapshot, Manifest, PastBlock, Subtree, encode_manifest
from ledger.snapshot.reception import is_piece_name
from ledger.snapshot.shelf import MANIFEST, SnapshotShelf, chunk_name
from ledger.snapshot.subtrees import open_chunk, root_above
from ledger.snapshot.verification import Handoffs, History, history_size
from primitives.codec import decode, encode


class Source:
    """An honest source of a chain in its third epoch."""

    def __init__(self, path: Path) -> None:
        self.world = make_epochs()
        self.shelf = SnapshotShelf(path)
        self.height = take(self.world.chain, self.world.store, head_certificate(self.world.chain), self.shelf)
        manifest = self.shelf.manifest(self.height)
        assert manifest is not None
        self.manifest: Manifest = manifest

    def piece(self, name: str) -> bytes:
        data = self.shelf.read(self.height, name)
        assert data is not None
        return data


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source(tmp_path_factory.mktemp("source"))


def newcomer(source: Source, path: Path) -> Newcomer:
    return Newcomer(source.world.genesis, path, default_registry())


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position % len(data)] ^= 1 << bit
    return bytes(changed)


@given(which=st.integers(0, 3), position=st.integers(0, 2**20), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_no_bit_of_any_piece_can_change(
    source: Source, tmp_path_factory: pytest.TempPathFactory, which: int, position: int, bit: int
) -> None:
    """D1, P1: every bit of manifest, hand-offs, history and chunks is on the way to something that was vouched for."""
    names = [MANIFEST, "handoffs-0", f"history-{source.height}", chunk_name(source.manifest.subtrees[0].hash)]
    fresh = newcomer(source, tmp_path_factory.mktemp("new"))
    pieces = {name: source.piece(name) for name in names}
    pieces[names[which]] = flipped(pieces[names[which]], position, bit)
    with pytest.raises(InvalidSnapshot):
        take_all(fresh, pieces)


def take_all(fresh: Newcomer, pieces: dict[str, bytes]) -> None:
    for name, data in pieces.items():
        fresh.reception.take(name, data)


def test_a_wrong_piece_leaves_no_trace_and_a_right_one_is_taken_after_it(source: Source, tmp_path: Path) -> None:
    fresh = newcomer(source, tmp_path)
    for name in (MANIFEST, "handoffs-0"):
        fresh.reception.take(name, source.piece(name))
    name = chunk_name(source.manifest.subtrees[0].hash)
    left = fresh.reception.chunks_left
    with pytest.raises(InvalidSnapshot) as refused:
        fresh.reception.take(name, encode([b"stolen", b"record"]))
    assert refused.value.code == "snapshot.chunk"
    assert fresh.reception.chunks_left == left
    assert list(fresh.store.iterate(b"s")) == []
    fresh.reception.take(name, source.piece(name))
    assert fresh.reception.chunks_left == left - 1


def lying_manifests() -> list[tuple[str, Callable[[Manifest], Manifest]]]:
    def replace(**changes: Any) -> Callable[[Manifest], Manifest]:
        return lambda manifest: msgspec.structs.replace(manifest, **changes)

    def root(manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(manifest, header=msgspec.structs.replace(manifest.header, state_root=bytes(32)))

    def epoch(manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(manifest, header=msgspec.structs.replace(manifest.header, epoch=10**9))

    def few(manifest: Manifest) -> Manifest:
        finality = manifest.finality
        return msgspec.structs.replace(
            manifest, finality=msgspec.structs.replace(finality, signatures=finality.signatures[1:])
        )

    return [
        ("other subtrees", replace(subtrees=(Subtree("", bytes(32)),))),
        ("one twice", lambda manifest: msgspec.structs.replace(manifest, subtrees=manifest.subtrees * 2)),
        ("another root", root),
        ("an epoch far away", epoch),
        ("too few signatures", few),
    ]


@pytest.mark.parametrize(("what", "lie"), lying_manifests(), ids=[what for what, _ in lying_manifests()])
def test_a_lying_manifest_is_refused_before_any_chunk_is_asked_for(
    source: Source, tmp_path: Path, what: str, lie: Callable[[Manifest], Manifest]
) -> None:
    fresh = newcomer(source, tmp_path)
    pieces = {MANIFEST: encode_manifest(lie(source.manifest)), "handoffs-0": source.piece("handoffs-0")}
    with pytest.raises(InvalidSnapshot):
        take_all(fresh, pieces)
    assert not fresh.reception.proven


def test_hand_offs_of_strangers_are_refused(source: Source) -> None:
    """P3: a set that nobody in power named cannot sign."""
    world = source.world
    first, second = decode(source.piece("handoffs-0"), tuple[Handoff, ...])
    network = network_id(world.genesis)
    for piece in ([second], [first, first], [msgspec.structs.replace(first, members=second.members)], []):
        handoffs = Handoffs(network, world.genesis)
        with pytest.raises(InvalidSnapshot):
            handoffs.take(encode(piece), 2)
    with pytest.raises(InvalidSnapshot):
        Handoffs(network, make_genesis()).take(encode([first]), 2)


def test_a_history_with_other_transactions_is_refused(source: Source) -> None:
    """What it leaves out could be executed again, what it adds would be refused here alone."""
    blocks = list(decode(source.piece(f"history-{source.height}"), tuple[PastBlock, ...]))
    at = next(number for number, block in enumerate(blocks) if block.ids)
    for ids in (b"", blocks[at].ids + bytes(32), blocks[at].ids[:-1]):
        lying = blocks.copy()
        lying[at] = msgspec.structs.replace(blocks[at], ids=ids)
        with pytest.raises(InvalidSnapshot):
            History(source.manifest.header).take(encode(lying))
    for piece in ([], blocks[1:], blocks[:1] + blocks[2:], [*blocks, blocks[-1]]):
        with pytest.raises(InvalidSnapshot):
            History(source.manifest.header).take(encode(piece))
    history = History(source.manifest.header)
    history.take(encode(blocks))
    assert history.complete


def test_a_piece_that_is_wrong_at_its_end_does_not_make_the_right_one_wrong(source: Source, tmp_path: Path) -> None:
    """P1, R5: else the next peer, an honest one, would be named for what the first has done."""
    fresh = newcomer(source, tmp_path)
    for name in (MANIFEST, "handoffs-0"):
        fresh.reception.take(name, source.piece(name))
    name = f"history-{source.height}"
    blocks = decode(source.piece(name), tuple[PastBlock, ...])
    for lying in ([*blocks[:3], blocks[0]], blocks[:3], [*blocks, blocks[-1]]):
        with pytest.raises(InvalidSnapshot) as refused:
            fresh.reception.take(name, encode(lying))
        assert refused.value.code == "snapshot.history"
    fresh.reception.take(name, source.piece(name))


def test_a_history_is_cut_where_all_nodes_cut_it(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """R5: behind a piece that ends elsewhere lies one that no other peer has."""
    blocks = decode(source.piece(f"history-{source.height}"), tuple[PastBlock, ...])
    sizes = [history_size(block) for block in blocks]
    monkeypatch.setattr("ledger.snapshot.verification.HISTORY_BYTES_TARGET", sum(sizes[:3]))
    for count in (1, 2, 4):
        with pytest.raises(InvalidSnapshot):
            History(source.manifest.header).take(encode(blocks[:count]))
    history = History(source.manifest.header)
    history.take(encode(blocks[:3]))
    assert (history.complete, history.next_height) == (False, source.height - 3)


def test_nothing_unproven_of_hand_offs_is_kept_to_be_handed_on(source: Source, tmp_path: Path) -> None:
    """P3, R5: whoever hands on what does not hold is taken for a liar."""
    first, second = decode(source.piece("handoffs-0"), tuple[Handoff, ...])
    forged = msgspec.structs.replace(first, finality=msgspec.structs.replace(first.finality, signatures=()))
    beyond = msgspec.structs.replace(
        second, header=msgspec.structs.replace(second.header, epoch=2, state_root=bytes(32))
    )
    fresh = newcomer(source, tmp_path)
    fresh.reception.take(MANIFEST, source.piece(MANIFEST))
    assert fresh.reception.take("handoffs-0", encode([first])) == ["handoffs-0"]
    for lying in ([forged, second], [second], [first, second, beyond], [first, first, second], [first]):
        with pytest.raises(InvalidSnapshot):
            fresh.reception.take("handoffs-0", encode(lying))
    fresh.reception.take("handoffs-0", source.piece("handoffs-0"))
    assert fresh.reception.proven
    assert fresh.reception.draft.read("handoffs-0") == source.piece("handoffs-0")


def test_subtrees_must_cover_the_tree_and_not_overlap() -> None:
    leaf = bytes(32)
    for prefixes in (["0", "00"], ["", "1"], ["1", "0"], ["1", "1"]):
        with pytest.raises(InvalidSnapshot):
            root_above([Subtree(prefix, leaf) for prefix in prefixes])


def test_a_chunk_of_records_that_lie_elsewhere_is_refused() -> None:
    kit = make_toy(3)
    records = [(key[1:], value) for key, value in kit.store.iterate(b"stoy/")]
    flat = [part for record in records for part in record]
    for data in (encode(flat), encode([]), encode(flat[:1]), encode(flat[:2] * 2), b"\xc1", b""):
        with pytest.raises(InvalidSnapshot):
            open_chunk(Subtree("0", bytes(32)), data)


def test_no_name_leads_out_of_the_directory() -> None:
    good = [MANIFEST, "chunk-" + "ab" * 32, "handoffs-0", "history-12"]
    assert all(map(is_piece_name, good))
    bad = ["", "..", "../manifest", "chunk-", "chunk-" + "AB" * 32, "chunk-" + "../" * 32, "history-01", "handoffs--1"]
    bad += ["history-", "manifest-1", "chunk", "history-1/..", "handoffs-" + "9" * 20, "history-¹", "buckets"]
    assert not any(map(is_piece_name, bad))


def test_keys_that_were_made_to_collide_are_cut_deeper(tmp_path: Path) -> None:
    """An account can choose what it writes so that the paths begin alike; no chunk grows beyond its bound by that."""
    import hashlib

    kit = Kit()
    names = [b"%d" % number + bytes(60_000) for number in range(2_500)]
    chosen = [name for name in names if hashlib.sha256(b"toy/" + name).hexdigest()[0] == "a"]
    assert len(chosen) > 100
    for name in chosen:
        kit.execute(kit.transaction(Put(name, 1), key=OWNERS[0]))
    kit.chain.add_certificate(certify(kit.chain, kit.chain.height))
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(kit.chain, kit.store, head_certificate(kit.chain), shelf)
    manifest = shelf.manifest(height)
    assert manifest is not None
    depths = {subtree.prefix[:1]: len(subtree.prefix) for subtree in manifest.subtrees}
    assert depths["a"] == 2
    assert set(depths.values()) == {1, 2}
    fresh = Newcomer(kit.genesis, tmp_path / "new", REGISTRY)
    fresh.fetch(shelf, height)
    assert fresh.open().head_hash == kit.chain.head_hash
