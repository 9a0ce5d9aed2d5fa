"""Answers searches from a snapshot of the database, in a connection of its own that cannot write.

A reader never waits for the writer, nor the writer for a reader, and every answer names the height of its snapshot. A
search that takes too many steps is ended: how much a client may make a node work does not depend on what it asks.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.errors import LedgerError
from ledger.search.attested import CONTRADICTED, REPRODUCED
from ledger.search.reputed import CONFIDENCE, SCORE, Scores
from ledger.search.request import Position, Search, write_cursor
from ledger.search.schema import FORMAT
from ledger.search.sources import LICENSE, rights_mask
from primitives.identifiers import account_to_text

STEPS_MAX: Final = 20_000_000
"""Steps of SQLite's machine that one search may take, about a second; then it is `query.too_expensive`, on a fast
machine as on a slow one."""
STEPS_PER_LOOK: Final = 10_000
"""Steps between two looks at how many there were, well below a millisecond."""
EXCERPT_CHARACTERS: Final = 200
NO_PRICE: Final = 2**63 - 1
"""Where assets without a price stand in the order by price: last."""


class OwnerFound(msgspec.Struct, frozen=True):
    account: str
    bps: int


class AssetFound(msgspec.Struct, frozen=True):
    asset: str
    kind: str
    name: str
    excerpt: str
    """The beginning of the description."""
    tags: tuple[str, ...]
    visibility: str
    organization: str
    owners: tuple[OwnerFound, ...]
    versions: int
    registered_at_ms: int
    available: bool
    """A quorum of validators holds the latest version."""
    retired: bool
    reputation_ppm: int
    """The mean of its creators' scores by their parts, at the answer's block time; 500,000 without evidence."""
    confidence_ppm: int
    """The mean of how much these rest on evidence."""
    reproduced: int
    """By how many organizations the least reproduced claim of the latest version is that names a data set; 0 where none
    does."""
    contradicted: int
    """By how many organizations the most contradicted one is."""
    price: int | None
    """The least for which something of it can be bought that fits the search, at the answer's block time; of what is in
    an English auction, the least bid that can win. None where nothing fits."""
    sells: str | None
    """What the price is for: license, asset, share or grant."""
    format: str | None
    """How it is asked: fixed, english or dutch."""
    offer: str | None
    """The id of the license offer, listing or auction; of several at one price the first by `sells`, format and id."""


class SearchAnswer(msgspec.Struct, frozen=True):
    """A page of assets, and the executed height that it describes."""

    height: int
    block_time_ms: int
    items: tuple[AssetFound, ...]
    cursor: str | None
    """Asks for the next page, with all other parameters as they were; None at the end."""


class SearchReader:
    """One connection; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """The file is opened with the first search."""
        self._path = path
        self._database: sqlite3.Connection | None = None

    def search(self, search: Search) -> SearchAnswer:
        """Answer at the height that the database is at.

        Raises:
            LedgerError: `query.too_expensive`, or `search.unavailable` when there is no database that can be read.
        """
        looks_left = STEPS_MAX // STEPS_PER_LOOK

        def exhausted() -> bool:
            nonlocal looks_left
            looks_left -= 1
            return looks_left < 0

        try:
            database = self._open()
            database.set_progress_handler(exhausted, STEPS_PER_LOOK)
            database.execute("BEGIN")
            try:
                return _answer(database, search)
            finally:
                database.set_progress_handler(None, 0)
                database.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.close()
            if looks_left < 0:
                raise LedgerError("query.too_expensive", "too much to look through: narrow the search") from error
            raise LedgerError("search.unavailable", f"the search database cannot be read: {error}") from error

    def close(self) -> None:
        """Close the connection; the next search opens another."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        return self._database


def _answer(database: sqlite3.Connection, search: Search) -> SearchAnswer:
    head = database.execute("SELECT format, height, block_time_ms FROM meta").fetchone()
    if head is None or head[0] != FORMAT:
        raise sqlite3.DatabaseError("it is not complete")
    _, height, block_time_ms = head
    Scores(database, block_time_ms).teach()
    statement = _Statement(search, block_time_ms)
    rows = database.execute(statement.sql(), statement.values).fetchall()
    more, page = len(rows) > search.limit, rows[: search.limit]
    items = tuple(_item(database, statement, row) for row in page)
    cursor = write_cursor(search, _position(search, page[-1])) if more else None
    return SearchAnswer(height, block_time_ms, items, cursor)


def _item(database: sqlite3.Connection, statement: _Statement, row: tuple[Any, ...]) -> AssetFound:
    asset, kind, name, description, tags, visibility, organization, versions, registered_at_ms, available, retired = (
        row[: len(_COLUMNS)]
    )
    price = row[len(_COLUMNS)]
    owners = database.execute("SELECT account, bps FROM owners WHERE asset = ? ORDER BY account", (asset,))
    standing = database.execute(_STANDING, {"item": asset, "now": statement.values["now"]}).fetchone()
    cheapest = None
    if price is not None:
        cheapest = database.execute(statement.cheapest(), statement.values | {"item": asset}).fetchone()
    sells, kind_of_price, offer = cheapest or (None, None, None)
    return AssetFound(
        asset=asset.hex(),
        kind=kind,
        name=name,
        excerpt=description[:EXCERPT_CHARACTERS],
        tags=tuple(tags.split()),
        visibility=visibility,
        organization=organization,
        owners=tuple(OwnerFound(account_to_text(account), bps) for account, bps in owners),
        versions=versions,
        registered_at_ms=registered_at_ms,
        available=bool(available),
        retired=bool(retired),
        reproduced=standing[0],
        contradicted=standing[1],
        reputation_ppm=standing[2],
        confidence_ppm=standing[3],
        price=price,
        sells=sells,
        format=kind_of_price,
        offer=None if offer is None else offer.hex(),
    )


_STANDING: Final = f"SELECT {REPRODUCED}, {CONTRADICTED}, {SCORE}, {CONFIDENCE} FROM assets AS a WHERE a.asset = :item"
_COLUMNS: Final = (
    "asset",
    "kind",
    "name",
    "description",
    "tags",
    "visibility",
    "organization",
    "versions",
    "registered_at_ms",
    "available",
    "retired",
)


def _position(search: Search, row: tuple[Any, ...]) -> Position:
    asset, registered_at_ms = row[0], row[_COLUMNS.index("registered_at_ms")]
    price, relevance, reputation, name_key = row[len(_COLUMNS) :]
    if search.sort == "relevance":
        return Position((relevance, registered_at_ms), "", asset)
    if search.sort == "newest":
        return Position((registered_at_ms,), "", asset)
    if search.sort == "name":
        return Position((), name_key, asset)
    if search.sort == "reputation":
        return Position((reputation,), "", asset)
    return Position((NO_PRICE if price is None else price,), "", asset)


_ORDERS: Final = {
    "relevance": "relevance DESC, registered_at_ms DESC, asset",
    "newest": "registered_at_ms DESC, asset",
    "name": "name_key, asset",
    "price": f"ifnull(price, {NO_PRICE}), asset",
    "reputation": "reputation DESC, asset",
}
_BEHIND: Final = {
    "relevance": "(-relevance, -registered_at_ms, asset) > (-:number_0, -:number_1, :behind)",
    "newest": "registered_at_ms <= :number_0 AND (-registered_at_ms, asset) > (-:number_0, :behind)",
    "name": "(name_key, asset) > (:behind_name, :behind)",
    "price": f"(ifnull(price, {NO_PRICE}), asset) > (:number_0, :behind)",
    "reputation": "(-reputation, asset) > (-:number_0, :behind)",
}
"""What follows a position, in each order."""


_FALLEN: Final = "(:now - p.opened_at_ms) * (p.steps + 1) / (p.ends_at_ms - p.opened_at_ms)"
_PRICE_NOW: Final = (
    "CASE WHEN p.steps IS NULL THEN p.price"
    f" ELSE p.price - p.falls / p.steps * ({_FALLEN}) - p.falls % p.steps * ({_FALLEN}) / p.steps END"
)
"""What is asked at the answer's block time. As `ledger.modules.market.dutch.price_at` has it, but divided before it is
multiplied: a product of both would leave 64 bits, and SQLite would go on with a rounded number."""


class _Statement:
    """The one statement of a search. Texts of the client are values of it, never parts."""

    def __init__(self, search: Search, block_time_ms: int) -> None:
        self._search = search
        self._wanted: list[str] = []
        self.values: dict[str, Any] = {"now": block_time_ms, "limit": search.limit + 1}
        self.values["buyer"] = search.buyer
        self._fits = self._fitting()
        self._filter()

    def sql(self) -> str:
        search = self._search
        inner = (
            f"SELECT {', '.join(_COLUMNS)}, {self._price()} AS price, {self._relevance()} AS relevance,"
            f" {self._reputation()} AS reputation, name_key"
            f" FROM assets AS a{self._where(self._wanted)}"
        )
        outer = []
        if search.offered or (search.offered is None and search.wants_offer()):
            outer.append("price IS NOT NULL")
        elif search.offered is False:
            outer.append("price IS NULL")
        if search.after is not None:
            outer.append(self._behind(search.after))
        return f"SELECT * FROM ({inner}){self._where(outer)} ORDER BY {_ORDERS[search.sort]} LIMIT :limit"

    @staticmethod
    def _where(conditions: list[str]) -> str:
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def _want(self, condition: str, **values: Any) -> None:
        self._wanted.append(condition)
        self.values |= values

    def _filter(self) -> None:
        search = self._search
        if search.words:
            self._want("a.row IN (SELECT rowid FROM texts WHERE texts MATCH :match)", match=_match(search.words))
        if search.owner is not None:
            self._want("a.asset IN (SELECT asset FROM owners WHERE account = :owner)", owner=search.owner)
        if search.contributor is not None:
            made = "a.asset IN (SELECT asset FROM contributors WHERE account = :contributor)"
            self._want(made, contributor=search.contributor)
        if search.creator is not None:
            self._want("a.asset IN (SELECT asset FROM creators WHERE account = :creator)", creator=search.creator)
        if search.kind is not None:
            self._want("a.kind = :kind", kind=search.kind)
        if search.organization is not None:
            self._want("a.organization = :organization", organization=search.organization)
        for number, tag in enumerate(search.tags):
            self._want(f"a.asset IN (SELECT asset FROM tags WHERE tag = :tag_{number})", **{f"tag_{number}": tag})
        if search.parent is not None:
            self._want("a.asset IN (SELECT child FROM parents WHERE parent = :parent)", parent=search.parent)
        if search.ancestor is not None:
            self._want(
                "a.asset IN (WITH RECURSIVE family (member) AS ("
                "SELECT child FROM parents WHERE parent = :ancestor"
                " UNION SELECT child FROM parents JOIN family ON parent = member) SELECT member FROM family)",
                ancestor=search.ancestor,
            )
        for name, condition in (
            ("available", "a.available = :available"),
            ("retired", "a.retired = :retired"),
            ("reproduced", f"{REPRODUCED} >= :reproduced"),
            ("reputation_min", f"{SCORE} >= :reputation_min"),
            ("contradicted", f"({CONTRADICTED} > 0) = :contradicted"),
        ):
            if (value := getattr(search, name)) is not None:
                self._want(condition, **{name: value})

    def cheapest(self) -> str:
        """Whose price it is: (sells, format, id) of one asset, `:item`, that has a price."""
        return (
            "SELECT p.sells, p.format, p.id FROM assets AS a JOIN prices AS p ON p.asset = a.asset"
            f" WHERE a.asset = :item AND {self._fits} ORDER BY {_PRICE_NOW}, p.sells, p.format, p.id LIMIT 1"
        )

    def _price(self) -> str:
        """The least price that is asked for something of it, open and as the search wants it; NULL where there is
        none."""
        return f"(SELECT min({_PRICE_NOW}) FROM prices AS p WHERE p.asset = a.asset AND {self._fits})"

    def _fitting(self) -> str:
        search = self._search
        fits = [
            "p.expires_at_ms > :now",
            f"CASE p.sells WHEN '{LICENSE}' THEN a.licensable ELSE a.sellable END",
            "ifnull(p.transfers, a.transfers) = a.transfers",
            "(p.buyer IS NULL OR p.buyer = :buyer)",
            "NOT EXISTS (SELECT 1 FROM sold_out AS s WHERE s.asset = p.asset AND s.terms = p.terms)",
            "(p.condition IS NULL OR p.condition ="
            " (SELECT condition FROM standing AS c WHERE c.sells = p.sells AND c.thing = p.thing))",
        ]
        if search.rights:
            fits.append("p.rights & :rights = :rights")
            self.values["rights"] = rights_mask(search.rights)
        for name, condition in (
            ("sells", "p.sells = :sells"),
            ("commercial", "p.commercial = :commercial"),
            ("exclusivity", "p.exclusivity = :exclusivity"),
            ("spdx", "p.spdx = :spdx"),
            ("price_min", f"{_PRICE_NOW} >= :price_min"),
            ("price_max", f"{_PRICE_NOW} <= :price_max"),
        ):
            if (value := getattr(search, name)) is not None:
                fits.append(condition)
                self.values[name] = value
        return " AND ".join(fits)

    def _relevance(self) -> str:
        """Where the words stand: all in the name 3, all in name and tags 1, else 0.

        A number of the asset alone: what else is registered neither changes it nor moves a page, and every node gives
        the same.
        """
        if not self._search.words or self._search.sort != "relevance":
            return "0"
        match = self.values["match"]
        self.values |= {"in_name": f"{{name}} : ({match})", "in_labels": f"{{name tags}} : ({match})"}
        return (
            "(2 * (a.row IN (SELECT rowid FROM texts WHERE texts MATCH :in_name))"
            " + (a.row IN (SELECT rowid FROM texts WHERE texts MATCH :in_labels)))"
        )

    def _reputation(self) -> str:
        """The mean score of an asset's creators, where the order depends on it."""
        return SCORE if self._search.sort == "reputation" else "0"

    def _behind(self, after: Position) -> str:
        self.values |= {f"number_{at}": number for at, number in enumerate(after.numbers)}
        self.values |= {"behind": after.asset, "behind_name": after.name}
        return _BEHIND[self._search.sort]


def _match(words: tuple[str, ...]) -> str:
    """Write words as a full-text expression: each a phrase in quotes, in which nothing but a quote means anything.

    All must be there, but for those that consist of signs alone, which are nowhere in the full text.
    """
    return " ".join(_phrase(word) for word in words)


def _phrase(word: str) -> str:
    beginning = word.rstrip("*")
    star = "*" if beginning and beginning != word else ""
    return '"' + (beginning or word).replace('"', '""') + '"' + star
