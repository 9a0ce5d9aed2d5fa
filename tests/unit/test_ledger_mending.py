"""Putting back what a store has lost: from another's records, none of them believed, and from what is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from damage_kit import BLOCKS, grow
from flip_kit import damage, flip_record
from ledger_core_kit import START_MS, Kit, make_genesis
from snapshot_kit import Newcomer, head_certificate, make_epochs, take

from ledger.block import BlockResults, decode_block, encode_block
from ledger.chain import Chain
from ledger.errors import Damage, InvalidProof, StorageError
from ledger.execution import DecidedProposal
from ledger.mending import RECORDS_TOLD_MAX, Mending
from ledger.modules.credits.operations import Transfer
from ledger.operations import default_registry
from ledger.rewriting import finish_rewriting, rewrite_store
from ledger.scrubbing import STEP_RECORDS_MAX, Scrubbing, ScrubStep
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.records import StateRecords
from ledger.state.store import KEYS_END, LevelStore, MemoryStore, Store
from ledger.verification import Verification
from primitives.codec import decode, encode


def make(store: Store | None = None, blocks: int = BLOCKS) -> Kit:
    kit = Kit(store or MemoryStore(), make_genesis(), default_registry())
    grow(kit, blocks)
    return kit


@pytest.fixture
def whole() -> Kit:
    """Another node with the same chain."""
    return make()


def number(height: int) -> bytes:
    return height.to_bytes(8, "big")


def scrub(chain: Chain) -> list[ScrubStep]:
    steps = [Scrubbing(chain).step(b"")]
    while steps[-1].cursor:
        steps.append(Scrubbing(chain).step(steps[-1].cursor))
    return steps


def first_damage(chain: Chain) -> Damage | None:
    try:
        scrub(chain)
    except Damage as met:
        return met
    return None


def mended(kit: Kit, whole: Kit) -> list[bytes]:
    """Scrub until nothing is found, putting back what is; return the keys."""
    found: list[bytes] = []
    while (met := first_damage(kit.chain)) is not None:
        assert len(found) < 100
        found.append(met.first)
        records = Mending(whole.chain).tell(met.first, met.behind)
        mending = Mending(kit.chain)
        count = mending.take(records, met.first)
        count += mending.make(met.first, met.behind, b"" if count else met.first)
        assert count, (met.first, met.message)
    return found


def sound(kit: Kit) -> None:
    Verification(kit.store, MemoryStore(), kit.genesis, registry=default_registry()).run()


def test_a_scrub_of_a_sound_chain_reads_everything_in_small_steps() -> None:
    """D7"""
    long = make(blocks=2 * BLOCKS)
    steps = scrub(long.chain)
    assert sum(step.records for step in steps) == len(list(long.store.iterate(b"")))
    assert len(steps) > 1
    assert all(step.records <= STEP_RECORDS_MAX for step in steps)


def _state_key(kit: Kit) -> bytes:
    return [key for key, _ in kit.store.iterate(b"s") if not key.startswith(b"s~")][3]


def _change(kit: Kit, key: bytes) -> None:
    value = kit.store.get(key)
    assert value is not None
    if key.startswith(b"r"):  # the end of these is this node's own
        results = decode(value, BlockResults)
        changed = encode(msgspec.structs.replace(results, receipts=results.receipts[::-1]))
    else:
        changed = value[:-1] + bytes([value[-1] ^ 1])
    kit.store.write_batch({key: changed})


PLANTED: dict[str, Callable[[Kit], bytes]] = {
    "a record of the state": _state_key,
    "a header": lambda _: b"h" + number(4),
    "the head's header": lambda _: b"h" + number(BLOCKS),
    "a body": lambda _: b"b" + number(4),
    "receipts": lambda _: b"r" + number(4),
    "a certificate": lambda _: b"c" + number(4),
    "the place of a transaction": lambda kit: next(iter(kit.store.iterate(b"t")))[0],
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_changed_record_with_a_sound_checksum_is_found_and_put_back(whole: Kit, what: str) -> None:
    """D7: what only shows when it is held against the rest."""
    kit = make()
    key = PLANTED[what](kit)
    _change(kit, key)
    assert mended(kit, whole)[-1] == key
    assert kit.store.get(key) == whole.store.get(key)
    sound(kit)


@pytest.mark.parametrize("what", [name for name in PLANTED if name not in ("a record of the state", "a certificate")])
def test_a_lost_record_is_found_and_put_back(whole: Kit, what: str) -> None:
    """D1, D7: a lost record of the state shows when it is read, a lost certificate is none that is needed."""
    kit = make()
    key = PLANTED[what](kit)
    kit.store.write_batch({key: None})
    assert key in mended(kit, whole)
    assert kit.store.get(key) is not None


@pytest.mark.parametrize("value", [None, b"another"])
def test_a_record_of_the_state_that_is_lost_is_put_back_when_it_is_read(whole: Kit, value: bytes | None) -> None:
    """D1: its extent is known, and the tree tells whether what a peer has is it."""
    kit = make()
    key = _state_key(kit)
    kit.store.write_batch({key: value})
    chain = kit.chain
    chain._state = StateRecords(kit.store, chain._tree)  # nothing of it has been read
    with pytest.raises(Damage) as met:
        chain.view().get(key[1:])
    assert Mending(chain).take(Mending(whole.chain).tell(met.value.first, met.value.behind), met.value.first) == 1
    assert chain.view().get(key[1:]) == whole.store.get(key)


def test_receipts_are_put_back_without_anybodys_words(whole: Kit) -> None:
    """Messages for people are not the chain's: nobody could tell whether they are true."""
    kit = make()
    before = kit.chain.archive.results(4)
    assert before is not None
    key = b"r" + number(4)
    kit.store.write_batch({key: None})
    told = decode(Mending(whole.chain).tell(key, key + b"\x00")[0][1], BlockResults)
    lying = msgspec.structs.replace(told, messages=("send money",) * 3, swept=1, expire_at_ms=START_MS)
    assert Mending(kit.chain).take([(key, encode(lying))]) == 1
    after = kit.chain.archive.results(4)
    assert after == before
    assert after.messages == ("",) * 3


def _other_block(kit: Kit) -> bytes:
    block = decode_block(kit.chain.archive.present_block(5))
    return encode_block(block)


def test_nothing_is_taken_on_anybodys_word(whole: Kit) -> None:
    """D1: every byte of what a peer tells is held against the tree, the headers and the keys."""
    for key in (b"h" + number(4), b"b" + number(4), b"r" + number(4), b"c" + number(4), _state_key(whole)):
        value = whole.store.get(key)
        assert value is not None
        kit = make()
        for at in range(0, len(value), max(1, len(value) // 40)):
            kit.store.write_batch({key: None})
            changed = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            taken = Mending(kit.chain).take([(key, changed)])
            if taken:  # what is not the chain's is made here: messages, and until when ids are held
                assert key[:1] == b"r"
                assert kit.store.get(key) != changed
            assert kit.store.get(key) in (None, value) or key[:1] == b"r"
        assert Mending(kit.chain).take([(key, value)]) == 1 or key[:1] == b"r"


def test_records_that_are_read_are_left_alone(whole: Kit) -> None:
    kit = make()
    before = list(kit.store.iterate(b""))
    assert Mending(kit.chain).take(list(whole.store.iterate(b""))) == 0
    assert list(kit.store.iterate(b"")) == before


def test_unknown_and_unprovable_records_are_not_taken(whole: Kit) -> None:
    kit = make()
    strangers = [(b"sx", b"1"), (b"s~x", b"1"), (b"z", b"1"), (b"h", b""), (b"h" + number(99), b""), (b"t", b"\x90")]
    assert Mending(kit.chain).take(strangers) == 0
    assert Mending(kit.chain).take([(b"b" + number(4), _other_block(whole))], b"b" + number(4)) == 0


@pytest.mark.parametrize(
    "place", [b"", b"\xc1", b"\x90", b"\xc0", b"\x92\x04", b"\x92\xff\x00", b"\x92\xcf" + b"\xff" * 8 + b"\x00"]
)
def test_a_place_that_is_none_is_not_taken(place: bytes) -> None:
    """N8: bytes that are no MessagePack, or of a negative or endless height, are a peer's and no defect of ours."""
    kit = make()
    key = next(iter(kit.store.iterate(b"t")))[0]
    kit.store.write_batch({key: None})
    assert Mending(kit.chain).take([(key, place)]) == 0


@pytest.mark.parametrize("marks", [b"", b"\x00", b"\x00" * 9])
def test_a_body_with_too_few_or_many_marks_is_not_taken(whole: Kit, marks: bytes) -> None:
    """N8, D1: under the right header; and a scrub calls it damage where it is here."""
    kit = make()
    block = kit.chain.block(4)
    assert block is not None
    key = b"b" + number(4)
    odd = encode(msgspec.structs.replace(block, batches=(msgspec.structs.replace(block.batches[0], marks=marks),)))
    kit.store.write_batch({key: None})
    assert Mending(kit.chain).take([(key, odd)]) == 0
    kit.store.write_batch({key: odd})
    assert mended(kit, whole) == [key]
    sound(kit)


def test_what_is_told_is_bounded_and_what_all_have(whole: Kit) -> None:
    first: bytes = b""
    told: list[tuple[bytes, bytes]] = []
    while records := Mending(whole.chain).tell(first, KEYS_END):
        assert len(records) <= RECORDS_TOLD_MAX
        told += records
        first = records[-1][0] + b"\x00"
    assert {key[:1] for key, _ in told} == {b"s", b"h", b"b", b"r", b"c", b"t"}
    assert not any(key.startswith(b"s~") for key, _ in told)
    assert Mending(whole.chain).tell(b"b", b"b") == []


def test_records_that_change_in_every_block_are_told_as_they_were_where_they_are_missed() -> None:
    """D1: who mends itself stands still, and the others go on: what they have by now is of no use there."""
    kit, ahead = make(), make()
    for salt in (b"1", b"2"):
        ahead.execute(ahead.transaction(Transfer(ahead.accounts[1], 1), owner=0, salt=salt * 16))
    changed = [key for key, value in kit.store.iterate(b"s") if ahead.store.get(key) != value]
    assert changed
    before = {key: kit.store.get(key) for key in changed}
    kit.store.write_batch(dict.fromkeys(changed))
    mending = Mending(kit.chain)
    assert mending.take(Mending(ahead.chain).tell(b"s", b"t")) == 0
    told = Mending(ahead.chain).tell(b"s", b"t", kit.chain.height)
    assert mending.take(told) == len(changed)
    assert {key: kit.store.get(key) for key in changed} == before
    now = Mending(ahead.chain).tell(b"s", b"t")
    for height in (ahead.chain.height, ahead.chain.height + 1):
        assert Mending(ahead.chain).tell(b"s", b"t", height) == now
    ahead.chain.oldest_state = ahead.chain.height
    assert Mending(ahead.chain).tell(b"s", b"t", kit.chain.height) == now, "no longer known"


def test_what_is_not_told_is_not_read_for_those_who_ask_for_it(whole: Kit) -> None:
    """N8: a node has millions of such records, and a request for all of them would keep its ledger from its work."""
    read: list[bytes] = []

    class Counting:
        def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
            for key, value in whole.store.iterate(prefix, start):
                read.append(key)
                yield key, value

    mending = Mending(whole.chain)
    mending._store = cast(Store, Counting())
    for first, behind in ((b"s~", b"s\x7f"), (b"d", b"h"), (b"u", KEYS_END), (b"i", b"r")):
        assert mending.tell(first, behind) == []
    assert len(read) <= 2, "no more than where a range ends"
    assert len([key for key, _ in whole.store.iterate(b"u")]) > 8


def test_a_past_that_cannot_be_told_is_given_up_and_the_node_goes_on() -> None:
    """D1, P2: of a store that was written anew some of the past may be missing, and whoever asks for it must not end
    the node again and again."""
    kit = make()
    for number in (1, 2):
        kit.execute(kit.transaction(Transfer(kit.accounts[1], number), owner=0, salt=b"%016d" % number))
    kit.store.write_batch(dict.fromkeys(key for key, _ in kit.store.iterate(b"u")))
    records = [key[1:] for key, _ in kit.store.iterate(b"s") if not key.startswith(b"s~")]
    record = next(key for key in records if _past_damage(kit.chain, key, 1))
    kit.store.write_batch(dict.fromkeys(key for key, _ in kit.store.iterate(b"d")))
    met = _past_damage(kit.chain, record, 1)
    assert met is not None
    assert Mending(kit.chain).make(met.first, met.behind, met.first) == 1
    for height in range(kit.chain.height):
        with pytest.raises(InvalidProof, match="oldest state") as refused:
            kit.chain.prove_many([record], height)
        assert refused.value.code == "proof.pruned"
    kit.chain.prove_many([record], kit.chain.height)


def _past_damage(chain: Chain, key: bytes, height: int) -> Damage | None:
    """What asking for a record of the past meets; a value that is told is the one that the header commits to."""
    met: list[Damage] = []
    for prove in (lambda: chain.prove_many([key], height), lambda: chain.prove(key, height)):
        try:
            prove()
        except Damage as damage:
            met.append(damage)
    assert len(met) in (0, 2)
    return met[0] if met else None


def test_marks_and_entries_of_indexes_are_made_from_what_is_here() -> None:
    """D1: what nobody else can tell."""
    kit = make()
    marks = [key for key, _ in kit.store.iterate(b"m/")]
    entries = [key for key, _ in kit.store.iterate(b"s~")]
    assert marks
    assert entries
    before = dict(kit.store.iterate(b""))
    kit.store.write_batch(dict.fromkeys([*marks, *entries]))
    mending = Mending(kit.chain)
    assert mending.make(b"m/", b"m0") >= len(marks)
    assert mending.make(b"s~", b"s\x7f") == len(entries)
    after = dict(kit.store.iterate(b""))
    assert {key: after.get(key) for key in before} == before
    Chain.open(kit.store, kit.genesis, default_registry())
    assert mending.make(b"s~", b"s\x7f") == 0, "nothing is done twice"


# --- damaged tables


@pytest.mark.parametrize("prefix", [b"b", b"r", b"t"])
def test_a_damaged_table_is_mended_and_written_anew(tmp_path: Path, prefix: bytes) -> None:
    """D1, D7: LevelDB cannot drop a damaged block; the copy has all that was readable or put back."""
    path = tmp_path / "chain"
    whole = make(None, 80)
    kit = make(LevelStore(path), 80)
    kit.store.close()
    met = flip_record(path, prefix, tmp_path / "scratch")
    assert met.physical
    kit = Kit(LevelStore(path), kit.genesis, default_registry()) if prefix != b"r" else kit
    if prefix != b"r":  # what a start does not read is put back while it runs
        mending = Mending(kit.chain)
        first = met.first
        while first < met.behind and (records := Mending(whole.chain).tell(first, met.behind)):
            mending.take(records)
            first = records[-1][0] + b"\x00"
        assert damage(path, tmp_path / "scratch") is not None, "the block is still there"
        kit.store.close()
    rewrite_store(path, tmp_path / "kept")
    assert damage(path, tmp_path / "scratch") is None
    assert (tmp_path / "kept" / "CURRENT").exists()
    again = Kit(LevelStore(path), kit.genesis, default_registry())
    assert again.chain.head_hash == whole.chain.head_hash
    found = mended(again, whole)
    assert bool(found) == (prefix == b"r")
    for height in range(1, 81):
        for receipt in again.chain.archive.present_results(height).receipts:
            assert again.chain.transaction_status(receipt.id).height == height
    again.store.close()


def test_a_store_without_its_marks_is_not_written_anew(tmp_path: Path) -> None:
    """It would be taken for a new one, and the chain begun again over it."""
    path = tmp_path / "chain"
    kit = make(LevelStore(path))
    kit.store.write_batch({b"m/format": None})
    kit.store.close()
    with pytest.raises(StorageError, match="marks of the chain") as caught:
        rewrite_store(path, tmp_path / "kept")
    assert caught.value.code == "storage.damaged"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["chain"]


def test_a_rewriting_that_was_cut_off_is_finished_or_forgotten(tmp_path: Path) -> None:
    """R4: the old store or the new one, never half."""
    path, fresh = tmp_path / "chain", tmp_path / "chain.rewritten"
    finish_rewriting(path)
    fresh.mkdir()
    path.mkdir()
    (path / "CURRENT").write_text("old")
    (fresh / "CURRENT").write_text("half")
    finish_rewriting(path)
    assert (path / "CURRENT").read_text() == "old"
    assert not fresh.exists()
    path.rename(tmp_path / "chain.damaged")
    fresh.mkdir()
    (fresh / "CURRENT").write_text("new")
    finish_rewriting(path)
    assert (path / "CURRENT").read_text() == "new"


def test_damage_in_a_table_says_which_records_it_hides(tmp_path: Path) -> None:
    """D1"""
    records = {b"key/%04d" % at: b"value %d " % at * 20 for at in range(500)}
    store = LevelStore(tmp_path / "db")
    store.write_batch(records)
    store.close()
    met = flip_record(tmp_path / "db", b"k", tmp_path / "scratch")
    hidden = [key for key in records if met.first <= key < met.behind]
    opened: Any = LevelStore(tmp_path / "db")
    for key, value in records.items():
        if key in hidden:
            with pytest.raises(Damage) as caught:
                opened.get(key)
            assert (caught.value.first, caught.value.behind) == (met.first, met.behind)
        else:
            assert opened.get(key) == value
    assert 0 < len(hidden) < 100
    opened.write_batch({hidden[0]: b"anew"})
    assert opened.get(hidden[0]) == b"anew"
    opened.close()


def test_a_chain_without_its_beginning_is_known_for_one_after_it_was_written_anew(tmp_path: Path) -> None:
    """R4, D7: the marks of its windows lay in the damaged block; it must not be asked for what it never had."""
    source = make_epochs()
    shelf = SnapshotShelf(tmp_path / "source")
    height = take(source.chain, source.store, head_certificate(source.chain), shelf)
    fresh = Newcomer(source.genesis, tmp_path / "new", default_registry())
    fresh.store.close()
    path = tmp_path / "chain"
    fresh.store = fresh.reception.builder._store = LevelStore(path)
    fresh.fetch(shelf, height)
    chain = fresh.open()
    for _ in range(3):
        chain.execute(chain.height + 1, DecidedProposal(0, chain.head.timestamp_ms + 1), [])
    kept = (chain.height, chain.oldest_block, chain.oldest_state)
    assert kept == (height + 3, height + 1, height)
    fresh.store.write_batch({b"m/oldest-block": None, b"m/oldest-state": None})
    fresh.store.close()
    rewrite_store(path, tmp_path / "kept")
    again = Chain.open(LevelStore(path), source.genesis)
    assert (again.height, again.oldest_block, again.oldest_state) == kept
    with pytest.raises(InvalidProof, match="oldest state"):
        again.prove(b"network", height - 1)
    assert again.encoded_block(height) is None
    store = again._store
    store.close()


def test_a_chain_that_has_its_beginning_needs_no_marks_for_it(tmp_path: Path) -> None:
    kit = make(LevelStore(tmp_path / "chain"))
    kit.store.write_batch({b"b" + number(0): None})
    kit.store.close()
    rewrite_store(tmp_path / "chain", tmp_path / "kept")
    again = Chain.open(LevelStore(tmp_path / "chain"), kit.genesis)
    assert (again.oldest_block, again.oldest_state) == (0, 0)
    again._store.close()
