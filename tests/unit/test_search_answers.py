"""What a search finds: texts, filters, offers at block time, orders, pages; and input by who looks for a crack."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.errors import LedgerError
from ledger.modules.assets.operations import Derivation, Retire
from ledger.modules.contributions import operations as contributions
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.operations import Terms, WithdrawOffer
from ledger.parameters import DAY_MS
from ledger.search import request
from ledger.search.reader import SearchReader
from ledger.search.request import PAGE_DEFAULT, PAGE_MAX, PARAMETERS, WORDS_MAX, Position, write_cursor
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import World
from tests.unit.search_kit import HOSTILE_TEXTS, Searched


@pytest.fixture
def searched(tmp_path: Path) -> Iterator[Searched]:
    made = Searched(World(), tmp_path / "search" / "assets.sqlite")
    yield made
    made.close()


def priced(price: int, *rights: Any, **fields: Any) -> Terms:
    return Terms(rights=tuple(sorted(rights or ("download",))), price=price, **fields)


def account(searched: Searched, who: str) -> str:
    return account_to_text(searched.world.accounts[who])


TEXTS: list[tuple[str, set[str]]] = [
    ("weather", {"Weather of the Alps", "Snow"}),
    ("WEATHER alps", {"Weather of the Alps"}),
    ("alps weather", {"Weather of the Alps"}),
    ("weather sea", set()),
    ("wea*", {"Weather of the Alps", "Snow"}),
    ("wea", set()),
    ("zurich", {"Snow"}),
    ("Zürich", {"Snow"}),
    ("station:eth", {"Snow"}),
    ("eth station", {"Snow"}),
    ("winter-2020", {"Snow"}),
    ("2020-winter", set()),
    ("sensor", {"Snow"}),
    ("depth", {"Snow"}),
    ("snow ---", {"Snow"}),
    ("---", set()),
]


@pytest.mark.parametrize(("text", "names"), TEXTS)
def test_words_are_found_in_names_tags_metadata_and_descriptions(
    text: str, names: set[str], searched: Searched
) -> None:
    world = searched.world
    world.register("alice", "1", name="Weather of the Alps", tags=("climate",))
    world.register(
        "alice",
        "2",
        name="Snow",
        description="Depths and weather, measured near Zürich.",
        tags=("winter-2020", "station:eth"),
        metadata=(("sensor", "depth gauge"),),
    )
    assert set(searched.names(text=text)) == names


def test_relevance_is_where_the_words_stand_and_then_the_newest(searched: Searched) -> None:
    world = searched.world
    for label, fields in (
        ("in description", {"description": "an owl"}),
        ("owl one", {}),
        ("in tags", {"tags": ("owl",)}),
        ("in metadata", {"metadata": (("bird", "owl"),)}),
        ("owl two", {}),
        ("no bird", {}),
    ):
        world.register("alice", label, **fields)
    assert searched.names(text="owl") == ["owl two", "owl one", "in tags", "in metadata", "in description"]
    assert searched.names(text="owl", sort="name") == sorted(searched.names(text="owl"))
    assert searched.names(sort="relevance") == searched.names(sort="newest")


def test_filters_by_who_and_what(searched: Searched) -> None:
    world = searched.world
    shares = ((world.accounts["alice"], 4_000), (world.accounts["bob"], 6_000))
    world.register("alice", "joint", creators=shares, tags=("a", "b"))
    world.register("alan", "alan's", kind="model", tags=("b",))
    asset = world.register("alice", "sold", "artwork")
    world.transfer("alice", asset, "carol", 500)
    world.register("dave", "hidden", held=False)
    retired = world.register("dave", "retired")
    world.do("dave", Retire(retired))
    for arguments, names in (
        ({}, {"joint", "alan's", "sold", "hidden"}),
        ({"owner": account(searched, "alice")}, {"joint"}),
        ({"owner": account(searched, "carol")}, {"sold"}),
        ({"creator": account(searched, "bob")}, {"joint"}),
        ({"creator": account(searched, "alice")}, {"joint", "sold"}),
        ({"kind": "model"}, {"alan's"}),
        ({"kind": "object3d"}, set()),
        ({"tag": "b"}, {"joint", "alan's"}),
        ({"tag": "b,a"}, {"joint"}),
        ({"tag": "a b"}, set()),
        ({"organization": "org-alice"}, {"joint", "alan's", "sold"}),
        ({"organization": "org-alice", "kind": "dataset", "tag": "a", "text": "joint"}, {"joint"}),
        ({"available": "false"}, {"hidden"}),
        ({"available": "true", "organization": "org-dave"}, set()),
        ({"retired": "true"}, {"retired"}),
        ({"retired": "any", "organization": "org-dave"}, {"retired", "hidden"}),
    ):
        assert set(searched.names(**arguments)) == names, arguments


def test_who_made_a_version_of_somebody_elses_is_found_by_it(searched: Searched) -> None:
    world = searched.world
    asset = world.register("alice", "improved")
    grant = world.license("alice", asset, "bob", Terms(rights=("train-on",), price=0, derivatives="yes"))
    for label in ("B", "C"):
        world.commit("bob", label)
        artifact, ends_ms = world.artifact(label), world.now_ms + DAY_MS
        proposal = contributions.Propose(asset, 1, "train-on", artifact, world.salt(label), ends_ms, grant)
        world.do("bob", proposal)
        assert searched.names(contributor=account(searched, "bob")) == (["improved"] if label == "C" else [])
        made = contributions.contribution_id(world.transaction_id, asset, artifact.cid)
        world.do("alice", contributions.Accept(made))
    assert searched.names(contributor=account(searched, "bob")) == ["improved"]
    assert searched.names(contributor=account(searched, "alice")) == []


def test_an_item_says_who_owns_it_and_what_it_is(searched: Searched) -> None:
    world = searched.world
    asset = world.register("bob", "work", tags=("x", "y"), description="d" * 500, visibility="public")
    world.add_version("bob", asset, "work 2")
    (item,) = searched.answer().items
    assert (item.asset, item.kind, item.name, item.tags) == (asset.hex(), "dataset", "work", ("x", "y"))
    assert (item.excerpt, item.visibility, item.organization) == ("d" * 200, "public", "org-bob")
    assert [(owner.account, owner.bps) for owner in item.owners] == [(account(searched, "bob"), 10_000)]
    assert (item.versions, item.available, item.retired, item.price) == (2, False, False, None)
    world.hold(asset, 2)
    assert searched.answer().items[0].available


def test_parents_and_ancestors(searched: Searched) -> None:
    world = searched.world
    first = world.register("alice", "first")
    second = world.register("alice", "second", derivations=[Derivation(first, "train-on")])
    third = world.register("alice", "third", derivations=[Derivation(second, "train-on")])
    world.register("alice", "fourth", derivations=[Derivation(first, "train-on"), Derivation(third, "train-on")])
    assert set(searched.names(parent=first.hex())) == {"second", "fourth"}
    assert set(searched.names(ancestor=first.hex())) == {"second", "third", "fourth"}
    assert set(searched.names(ancestor=second.hex())) == {"third", "fourth"}
    assert searched.names(ancestor="ab" * 32) == searched.names(parent=third.hex(), kind="model") == []


def test_a_price_is_that_of_the_cheapest_open_offer_that_fits_all_that_is_asked(searched: Searched) -> None:
    world = searched.world
    cheap = world.register("alice", "cheap")
    world.offer("alice", cheap, priced(10, "download", spdx_id="MIT"))
    world.offer("alice", cheap, priced(90, "inference", "train-on", commercial=True))
    dear = world.register("bob", "dear")
    world.offer("bob", dear, priced(50, "download", "inference", commercial=True))
    world.offer("bob", dear, priced(AMOUNT_MAX, "download", exclusivity="exclusive"))
    world.register("bob", "free of offers")

    def found(**arguments: Any) -> dict[str, int | None]:
        return {item.name: item.price for item in searched.answer(**arguments).items}

    assert found() == {"cheap": 10, "dear": 50, "free of offers": None}
    for arguments, expected in (
        ({"offered": "true"}, {"cheap": 10, "dear": 50}),
        ({"offered": "false"}, {"free of offers": None}),
        ({"right": "download"}, {"cheap": 10, "dear": 50}),
        ({"right": "inference"}, {"cheap": 90, "dear": 50}),
        ({"right": "inference,train-on"}, {"cheap": 90}),
        ({"right": "download,train-on"}, {}),  # no single offer gives both
        ({"commercial": "true"}, {"cheap": 90, "dear": 50}),
        ({"commercial": "false"}, {"cheap": 10, "dear": AMOUNT_MAX}),
        ({"commercial": "true", "price_max": 60}, {"dear": 50}),
        ({"price_min": 11, "price_max": 89}, {"dear": 50}),
        ({"price_min": AMOUNT_MAX}, {"dear": AMOUNT_MAX}),
        ({"price_max": 0}, {}),
        ({"exclusivity": "exclusive"}, {"dear": AMOUNT_MAX}),
        ({"exclusivity": "sole"}, {}),
        ({"spdx": "MIT"}, {"cheap": 10}),
        ({"spdx": "mit' OR 1=1 --"}, {}),
        ({"offered": "false", "spdx": "MIT"}, {"dear": None, "free of offers": None}),
    ):
        assert found(**arguments) == expected, arguments
    assert searched.names(sort="price") == ["cheap", "dear", "free of offers"]
    assert searched.names(sort="price", right="inference") == ["dear", "cheap"]


def test_an_offer_counts_while_it_is_open(searched: Searched) -> None:
    """Expiry is by the answer's block time, to the millisecond and without the sweep that removes the record."""
    world = searched.world
    asset = world.register("alice", "work")

    def price() -> int | None:
        return searched.answer().items[0].price

    world.offer("alice", asset, priced(7), expires_at_ms=world.now_ms + 1_000)
    world.now_ms += 999
    assert price() == 7
    world.now_ms += 1
    assert price() is None
    world.advance(0)
    assert price() is None
    offer = world.offer("alice", asset, priced(8))
    assert price() == 8
    transfer = world.give_transfer("alice", asset, "bob", 100)
    assert price() is None, "nobody can buy while the asset is locked"
    world.advance(2 * DAY_MS)
    assert price() is None, "the offer has expired meanwhile"
    assert transfer
    offer = world.offer("alice", asset, priced(9))
    assert price() == 9
    world.do("alice", WithdrawOffer(offer))
    assert price() is None
    world.offer("alice", asset, priced(11))
    world.transfer("alice", asset, "bob", 100)
    assert price() is None, "a later owner is not bound"


def test_the_last_edition_ends_an_offer_and_its_return_opens_it_again(searched: Searched) -> None:
    world = searched.world
    asset = world.register("alice", "work", held=False)
    terms = priced(5, editions_max=2)
    offer = world.offer("alice", asset, terms, expires_at_ms=world.now_ms + 20 * DAY_MS)
    world.buy("bob", offer, terms)
    assert searched.answer().items[0].price == 5
    world.buy("carol", offer, terms, committed=True)
    assert searched.answer().items[0].price is None
    world.advance(world.parameters.escrow_timeout_ms)
    assert searched.answer().items[0].price == 5, "nobody held the version in time: both payments went back"


def test_a_private_offer_counts_for_its_buyer_alone(searched: Searched) -> None:
    world = searched.world
    asset = world.register("alice", "work")
    world.offer("alice", asset, priced(100))
    world.offer("alice", asset, priced(3), buyer=world.accounts["bob"])
    prices = {who: searched.answer(buyer=account(searched, who)).items[0].price for who in ("bob", "carol")}
    assert (searched.answer().items[0].price, prices) == (100, {"bob": 3, "carol": 100})


# --- pages


@pytest.fixture
def shelf(searched: Searched) -> Searched:
    """Twelve works, of which several share a name, a price and a time."""
    world = searched.world
    for number in range(12):
        name = f"Work {'ABCab'[number % 5]}"
        asset = world.register("alice", str(number), name=name, description="paper" if number % 2 else "", tags=("t",))
        if number % 3:
            world.offer("alice", asset, priced(number % 4))
    for number in range(12, 16):
        world.commit("bob", str(number))
    for number in range(12, 16):
        world.do("bob", world.registration("bob", str(number), name="Work c", description="paper"))
    return searched


@pytest.mark.parametrize("sort", request.SORTS)
@pytest.mark.parametrize("limit", [1, 3, 16, 200])
def test_pages_hold_everything_once_and_in_order(sort: str, limit: int, shelf: Searched) -> None:
    arguments = {"sort": sort, "text": "work"} if sort == "relevance" else {"sort": sort}
    whole = [item.asset for item in shelf.answer(**arguments, limit=200).items]
    assert len(whole) == len(set(whole)) == 16
    paged: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = shelf.answer(**arguments, limit=limit, cursor=cursor)
        assert len(answer.items) <= limit
        paged += [item.asset for item in answer.items]
        cursor = answer.cursor
    assert paged == whole


@pytest.mark.parametrize("sort", request.SORTS)
def test_what_is_registered_meanwhile_moves_no_later_page(sort: str, shelf: Searched) -> None:
    arguments = {"sort": sort, "text": "work"} if sort == "relevance" else {"sort": sort}
    before = [item.asset for item in shelf.answer(**arguments, limit=200).items]
    first = shelf.answer(**arguments, limit=5)
    for number in range(6):
        asset = shelf.world.register("dave", f"new {number}", name=f"work {'ac'[number % 2]}")
        shelf.world.offer("dave", asset, priced(number % 3))
    second = shelf.answer(**arguments, limit=200, cursor=first.cursor)
    rest = [item.asset for item in second.items if item.asset in set(before)]
    assert [item.asset for item in first.items] + rest == before


def test_pages_are_bounded(searched: Searched) -> None:
    for number in range(PAGE_DEFAULT + 1):
        searched.world.register("alice", str(number), held=False)
    assert len(searched.answer().items) == PAGE_DEFAULT
    assert len(searched.answer(limit=PAGE_MAX).items) == PAGE_DEFAULT + 1
    for limit in ("0", str(PAGE_MAX + 1)):
        with pytest.raises(LedgerError) as caught:
            searched.answer(limit=limit)
        assert caught.value.code == "query.argument"


def test_names_without_regard_to_case_and_longer_than_the_key_of_their_order(searched: Searched) -> None:
    for label, name in (("1", "b"), ("2", "A"), ("3", "\u0390" * 128), ("4", "\u0390" * 127), ("5", "C")):
        searched.world.register("alice", label, name=name)
    assert searched.names(sort="name", limit=1)[:3] == ["A", "b", "C"]
    assert len(searched.names(sort="name", limit=1)) == 5


def cursor_of(*fields: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(fields)).rstrip(b"=").decode()


def test_a_cursor_is_taken_by_its_own_search_only(shelf: Searched) -> None:
    cursor = shelf.answer(limit=2).cursor
    assert cursor is not None
    for other in ({"sort": "name"}, {"kind": "dataset"}, {"text": "work"}, {"retired": "any"}):
        with pytest.raises(LedgerError) as caught:
            shelf.answer(**other, cursor=cursor)
        assert caught.value.code == "query.cursor"
    assert shelf.answer(limit=7, cursor=cursor).items, "the size of a page may change"


def broken_cursors() -> list[str]:
    newest = request.read({})
    good, asset = newest.digest(), bytes(32)
    return [
        "x",
        "%",
        "é",
        "A" * 5_000,
        base64.urlsafe_b64encode(b"\xc1").decode(),
        cursor_of(2, good, [[5], "", asset]),
        cursor_of(1, good[:7], [[5], "", asset]),
        cursor_of(1, good, [[5], "", asset[:31]]),
        cursor_of(1, good, [[5, 6], "", asset]),
        cursor_of(1, good, [[], "", asset]),
        cursor_of(1, good, [[2**63], "", asset]),
        cursor_of(1, good, [[-1], "", asset]),
        cursor_of(1, good, [["5"], "", asset]),
        cursor_of(1, good, [[5.0], "", asset]),
        cursor_of(1, good, [[5], "n" * 65, asset]),
        cursor_of(1, good, [[5], "", asset, 0]),
        cursor_of(1, good),
        write_cursor(newest, Position((5,), "", asset))[:-2],
    ]


@pytest.mark.parametrize("cursor", broken_cursors())
def test_a_cursor_that_is_none_is_refused(cursor: str, shelf: Searched) -> None:
    with pytest.raises(LedgerError) as caught:
        shelf.answer(cursor=cursor)
    assert caught.value.code == "query.cursor"


# --- hostile input


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_no_text_is_syntax(text: str, shelf: Searched) -> None:
    """Whatever is typed is words: it finds or does not find, and is never an error of the database."""
    expected = 16 if text in {"^work", "(work", "\u202ework"} else None
    answer = shelf.answer(text=text, limit=PAGE_MAX)
    if expected is not None:
        assert len(answer.items) == expected
    assert len(shelf.answer(limit=PAGE_MAX).items) == 16, "and everything is still there"


def test_words_that_are_operators_elsewhere_are_words(searched: Searched) -> None:
    searched.world.register("alice", "1", name="and or not near")
    searched.world.register("alice", "2", name="other")
    assert searched.names(text="NOT other") == []
    assert searched.names(text="near AND not") == ["and or not near"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "a" * 257},
        {"text": "a " * (WORDS_MAX + 1)},
        {"owner": "gm1nobody"},
        {"creator": "' OR 1=1"},
        {"buyer": "gm1" + "q" * 500},
        {"parent": "00"},
        {"ancestor": "AB" * 32},
        {"kind": "film"},
        {"kind": "model' OR 1=1"},
        {"right": "everything"},
        {"right": "download,,inference"},
        {"right": ","},
        {"commercial": "yes"},
        {"exclusivity": "very"},
        {"available": "1"},
        {"retired": "TRUE"},
        {"offered": "maybe"},
        {"price_min": "-1"},
        {"price_max": "1e9"},
        {"price_max": str(AMOUNT_MAX + 1)},
        {"price_max": "9" * 40},
        {"price_min": "٣"},
        {"limit": "ten"},
        {"sort": "name; DROP TABLE assets"},
        {"tag": ",".join(map(str, range(17)))},
        {"colour": "blue"},
    ],
)
def test_a_wrong_argument_is_refused_by_name(arguments: dict[str, str], searched: Searched) -> None:
    with pytest.raises(LedgerError) as caught:
        searched.answer(**arguments)
    assert caught.value.code == "query.argument"
    (name,) = arguments
    assert name in caught.value.message


def test_an_empty_argument_asks_for_nothing() -> None:
    assert request.read(dict.fromkeys(PARAMETERS, "")) == request.read({})


# --- costs and failures


def test_a_search_that_takes_too_much_is_ended_and_the_next_one_answers(shelf: Searched) -> None:
    shelf.follow()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.search.reader.STEPS_PER_LOOK", 10)
        patch.setattr("ledger.search.reader.STEPS_MAX", 100)
        with pytest.raises(LedgerError) as caught:
            shelf.reader.search(request.read({}))
    assert caught.value.code == "query.too_expensive"
    assert len(shelf.reader.search(request.read({})).items) == 16


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b"no database" * 100)])
def test_without_a_database_there_is_no_search(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "assets.sqlite"
    make(path)
    reader = SearchReader(path)
    with pytest.raises(LedgerError) as caught:
        reader.search(request.read({}))
    assert caught.value.code == "search.unavailable"
    reader.close()


def test_a_reader_sees_one_height_whatever_is_written_meanwhile(searched: Searched) -> None:
    """The state of an answer is that of the height it names; a reader cannot write, and holds up no block."""
    searched.world.register("alice", "one")
    searched.follow()
    other = SearchReader(searched.path)
    database = other._open()
    database.execute("BEGIN")
    seen = database.execute("SELECT height FROM meta").fetchone()
    searched.world.register("alice", "two")
    searched.follow()
    assert searched.reports == []
    assert database.execute("SELECT height, (SELECT count(*) FROM assets) FROM meta").fetchone() == (*seen, 1)
    database.execute("ROLLBACK")
    assert database.execute("SELECT count(*) FROM assets").fetchone() == (2,)
    with pytest.raises(Exception, match="readonly"):
        database.execute("DELETE FROM assets")
    other.close()
