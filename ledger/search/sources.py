"""What the search database says, derived from the state: the one place where records become rows.

A source names the tables of the state that it watches. A changed key of these names a subject, and the subject's rows
are made anew from the records as they are. So rows depend on the state alone: in which order blocks changed it, in how
many steps the database followed, and whether it was rebuilt instead, leaves no trace.

A module that asks for prices in another way than license offers adds a source here that writes `prices`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from ledger.modules.assets.records import ASSETS, LINKS, OWNERSHIP, VERSIONS, Asset, version_part
from ledger.modules.licenses.operations import Right
from ledger.modules.licenses.records import EDITIONS, OFFERS, TERMS
from ledger.search.schema import TEXT_COLUMNS
from ledger.state.view import Readable, Table

RIGHTS: Final[tuple[str, ...]] = get_args(Right)
LICENSES: Final = "licenses"
"""The `source` of prices that license offers ask for."""
LICENSE: Final = "license"
"""What they sell."""
NAME_KEY_CHARACTERS: Final = 64
"""By how much of a name, without regard to case, assets are put in order; the rest is decided by id."""

_ID_BYTES: Final = 32

Write = Callable[[sqlite3.Connection, Readable, bytes], None]
"""(database, state, subject): make the subject's rows what the state says; none where it is gone."""


class Source(msgspec.Struct, frozen=True):
    """Rows about one kind of subject."""

    subjects: Table[Any]
    """The state's table with one record a subject."""
    write: Write
    watched: tuple[Table[Any], ...] = ()
    """Further tables with records of a subject; their keys begin with the key of the subject."""
    key_bytes: int = _ID_BYTES


def rights_mask(rights: tuple[str, ...]) -> int:
    """Return the bits of these rights."""
    return sum(1 << RIGHTS.index(right) for right in set(rights))


def _write_asset(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    asset = ASSETS.get(state, subject)
    texts = None if asset is None else _texts(asset)
    row = _settle_texts(database, subject, texts)
    for table in ("owners", "creators", "tags"):
        database.execute(f"DELETE FROM {table} WHERE asset = ?", (subject,))
    if asset is None or texts is None:
        database.execute("DELETE FROM assets WHERE asset = ?", (subject,))
        return
    ownership = OWNERSHIP.get(state, subject)
    latest = VERSIONS.get(state, subject, version_part(asset.versions))
    assert ownership is not None  # both are written with the asset
    assert latest is not None
    values = {
        "row": row,
        "asset": subject,
        "kind": asset.kind,
        **texts,
        "name_key": asset.name.casefold()[:NAME_KEY_CHARACTERS],
        "visibility": asset.visibility,
        "organization": asset.organization,
        "registered_at_ms": asset.registered_at_ms,
        "versions": asset.versions,
        "transfers": asset.transfers,
        "available": latest.available_at_ms is not None,
        "retired": asset.retired,
        "tradable": not asset.retired and asset.locked_by is None,
    }
    columns = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    database.execute(f"INSERT OR REPLACE INTO assets ({columns}) VALUES ({marks})", tuple(values.values()))
    if row is None:
        database.execute(
            "INSERT INTO texts (rowid, name, tags, metadata, description)"
            " SELECT row, name, tags, metadata, description FROM assets WHERE asset = ?",
            (subject,),
        )
    shares = [(subject, share.account, share.bps) for share in ownership.shares]
    database.executemany("INSERT INTO owners VALUES (?, ?, ?)", shares)
    shares = [(subject, share.account, share.bps) for share in asset.creators]
    database.executemany("INSERT INTO creators VALUES (?, ?, ?)", shares)
    database.executemany("INSERT INTO tags VALUES (?, ?)", [(subject, tag) for tag in asset.tags])


def _texts(asset: Asset) -> dict[str, str]:
    return {
        "name": asset.name,
        "tags": "\n".join(asset.tags),
        "metadata": "\n".join(f"{key} {value}" for key, value in asset.metadata),
        "description": asset.description,
    }


def _settle_texts(database: sqlite3.Connection, subject: bytes, texts: dict[str, str] | None) -> int | None:
    """Take an asset out of the full text unless its texts are these; return its row where they are."""
    columns = ", ".join(TEXT_COLUMNS)
    found = database.execute(f"SELECT row, {columns} FROM assets WHERE asset = ?", (subject,)).fetchone()
    if found is None:
        return None
    row, *before = found
    if texts is not None and before == [texts[column] for column in TEXT_COLUMNS]:
        return int(row)
    # The full text keeps no copy: to forget a text it must be told which.
    database.execute(f"INSERT INTO texts (texts, rowid, {columns}) VALUES ('delete', ?, ?, ?, ?, ?)", (row, *before))
    database.execute("DELETE FROM assets WHERE row = ?", (row,))
    return None


def _write_link(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    pair = (subject[:_ID_BYTES], subject[_ID_BYTES:])
    if LINKS.get(state, subject) is None:
        database.execute("DELETE FROM parents WHERE child = ? AND parent = ?", pair)
    else:
        database.execute("INSERT OR IGNORE INTO parents VALUES (?, ?)", pair)


def _write_offer(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    offer = OFFERS.get(state, subject)
    if offer is None:
        database.execute("DELETE FROM prices WHERE source = ? AND id = ?", (LICENSES, subject))
        return
    terms = TERMS.get(state, offer.terms)
    assert terms is not None  # kept for ever
    values = {
        "source": LICENSES,
        "id": subject,
        "asset": offer.asset,
        "sells": LICENSE,
        "price": terms.price,
        "expires_at_ms": offer.expires_at_ms,
        "transfers": offer.transfers,
        "buyer": offer.buyer,
        "terms": offer.terms,
        "rights": rights_mask(terms.rights),
        "commercial": terms.commercial,
        "exclusivity": terms.exclusivity,
        "spdx": terms.spdx_id,
    }
    columns, marks = ", ".join(values), ", ".join("?" for _ in values)
    database.execute(f"INSERT OR REPLACE INTO prices ({columns}) VALUES ({marks})", tuple(values.values()))


def _write_editions(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    editions = EDITIONS.get(state, subject)
    pair = (subject[:_ID_BYTES], subject[_ID_BYTES:])
    terms = TERMS.get(state, pair[1])
    most = None if terms is None else terms.editions_max
    if editions is not None and most is not None and editions.outstanding >= most:
        database.execute("INSERT OR IGNORE INTO sold_out VALUES (?, ?)", pair)
    else:
        database.execute("DELETE FROM sold_out WHERE asset = ? AND terms = ?", pair)


SOURCES: Final = (
    Source(ASSETS, _write_asset, (OWNERSHIP, VERSIONS)),
    Source(LINKS, _write_link, key_bytes=2 * _ID_BYTES),
    Source(OFFERS, _write_offer),
    Source(EDITIONS, _write_editions, key_bytes=2 * _ID_BYTES),
)
