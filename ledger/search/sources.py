"""What the search database says, derived from the state: the one place where records become rows.

A source names the tables of the state that it watches. A changed key of these names a subject, and the subject's rows
are made anew from the records as they are. So rows depend on the state alone: in which order blocks changed it, in how
many steps the database followed, and whether it was rebuilt instead, leaves no trace.

A module that asks for prices in yet another way adds a source here that writes `prices`. Where a price depends on more
than its own record, that is a row of its own, and a search compares the two: a purchase then rewrites a row of the
asset, not every price that is asked for something of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from ledger.modules.assets.records import (
    ASSETS,
    CONTRIBUTORS,
    LINKS,
    OWNERSHIP,
    VERSION_BYTES,
    VERSIONS,
    Asset,
    version_part,
)
from ledger.modules.attestations.records import ACCREDITATIONS, EVALUATED
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.licenses.operations import Right, Terms
from ledger.modules.licenses.records import EDITIONS, GRANTS, OFFERS, TERMS
from ledger.modules.market.conditions import Conditions
from ledger.modules.market.prices import is_sellable, open_until_ms, price_now, standing
from ledger.modules.market.records import (
    AUCTIONS,
    AUCTIONS_BY_ASSET,
    LISTINGS,
    LISTINGS_BY_ASSET,
    Auction,
    Dutch,
    Sale,
)
from ledger.modules.organizations.records import ORGANIZATIONS
from ledger.modules.reputation.records import FLOWS, RATED, SUMS
from ledger.modules.royalties.records import STACKS
from ledger.modules.transfers.operations import Thing
from ledger.search import attested, reputed
from ledger.search.schema import TEXT_COLUMNS
from ledger.state.view import Readable, Table
from primitives.codec import encode

RIGHTS: Final[tuple[str, ...]] = get_args(Right)
LICENSES: Final = "licenses"
"""The `source` of prices that license offers ask for."""
LISTED: Final = "listings"
AUCTIONED: Final = "auctions"
LICENSE: Final = "license"
"""What license offers sell."""
SELLS: Final = (LICENSE, "asset", "share", "grant")
"""Everything for which prices are asked; all but licenses are put up in the market."""
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
    for table in ("owners", "creators", "tags", "claims", "interests"):
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
        "licensable": not asset.retired and asset.locked_by is None and not asset.freezes and asset.recall is None,
        "sellable": is_sellable(asset),
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
    attested.write_claims(database, state, subject, asset, latest)


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


def _write_contributor(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    asset, version = subject[:_ID_BYTES], int.from_bytes(subject[_ID_BYTES:], "big")
    made = CONTRIBUTORS.get(state, subject)
    if made is None:
        database.execute("DELETE FROM contributors WHERE asset = ? AND version = ?", (asset, version))
    else:
        row = (asset, version, made.account)
        database.execute("INSERT OR REPLACE INTO contributors VALUES (?, ?, ?)", row)


def _write_link(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    pair = (subject[:_ID_BYTES], subject[_ID_BYTES:])
    if LINKS.get(state, subject) is None:
        database.execute("DELETE FROM parents WHERE child = ? AND parent = ?", pair)
    else:
        database.execute("INSERT OR IGNORE INTO parents VALUES (?, ?)", pair)


def _write_offer(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    offer = OFFERS.get(state, subject)
    if offer is None:
        _forget_price(database, LICENSES, subject)
        return
    terms = require_terms(state, offer.terms)
    _write_price(
        database,
        **_licensed(terms),
        source=LICENSES,
        id=subject,
        asset=offer.asset,
        sells=LICENSE,
        format="fixed",
        price=terms.price,
        expires_at_ms=offer.expires_at_ms,
        transfers=offer.transfers,
        buyer=offer.buyer,
        terms=offer.terms,
    )


def _write_listing(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    listing = LISTINGS.get(state, subject)
    if listing is None:
        _forget_price(database, LISTED, subject)
        return
    sale = _sale(state, listing)
    _write_price(database, **sale, source=LISTED, id=subject, format="fixed", price=listing.price)


def _write_auction(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    auction = AUCTIONS.get(state, subject)
    price = None if auction is None else price_now(auction, auction.opened_at_ms)
    if auction is None or price is None or price > AMOUNT_MAX:  # such an amount nobody can bid
        _forget_price(database, AUCTIONED, subject)
        return
    kind, falling = "english", {}
    if isinstance(auction.pricing, Dutch):
        kind, falling = "dutch", _falling(auction, auction.pricing)
    sale = _sale(state, auction)
    _write_price(database, **sale, **falling, source=AUCTIONED, id=subject, format=kind, price=price)


def _sale(state: Readable, sale: Sale) -> dict[str, Any]:
    """What a row says of something that is put up in the market."""
    values = {
        "asset": sale.asset,
        "sells": sale.thing.kind,
        "expires_at_ms": open_until_ms(sale),
        "thing": sale.thing.id,
        "condition": encode(sale.condition),
    }
    if sale.thing.kind != "grant":
        return values | {"rights": 0}
    grant = require_grant(state, sale.thing.id)
    return values | _licensed(require_terms(state, grant.terms))  # a grant's terms never change


def _licensed(terms: Terms) -> dict[str, Any]:
    return {
        "rights": rights_mask(terms.rights),
        "commercial": terms.commercial,
        "exclusivity": terms.exclusivity,
        "spdx": terms.spdx_id,
    }


def _falling(auction: Auction, dutch: Dutch) -> dict[str, int]:
    return {
        "falls": dutch.start_price - dutch.floor_price,
        "steps": dutch.steps,
        "opened_at_ms": auction.opened_at_ms,
        "ends_at_ms": auction.ends_at_ms,
    }


def _write_price(database: sqlite3.Connection, **values: Any) -> None:
    columns, marks = ", ".join(values), ", ".join("?" for _ in values)
    database.execute(f"INSERT OR REPLACE INTO prices ({columns}) VALUES ({marks})", tuple(values.values()))


def _forget_price(database: sqlite3.Connection, source: str, subject: bytes) -> None:
    database.execute("DELETE FROM prices WHERE source = ? AND id = ?", (source, subject))


def _write_asset_standing(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    """Only of assets of which something is put up: else every payment would cost it."""
    tables = (LISTINGS_BY_ASSET, AUCTIONS_BY_ASSET)
    put_up = any(next(table.items(state, subject), None) is not None for table in tables)
    _write_standing(database, state, Thing("asset", subject), put_up=put_up)
    _write_standing(database, state, Thing("share", subject), put_up=put_up)


def _write_grant_standing(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    grant = GRANTS.get(state, subject)
    put_up = grant is not None and grant.locked_by is not None
    _write_standing(database, state, Thing("grant", subject), put_up=put_up)


def _write_standing(database: sqlite3.Connection, state: Readable, thing: Thing, *, put_up: bool) -> None:
    condition = standing(Conditions(state), thing) if put_up else None
    if condition is None:
        database.execute("DELETE FROM standing WHERE sells = ? AND thing = ?", (thing.kind, thing.id))
    else:
        row = (thing.kind, thing.id, encode(condition))
        database.execute("INSERT OR REPLACE INTO standing VALUES (?, ?, ?)", row)


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
    Source(LISTINGS, _write_listing),
    Source(AUCTIONS, _write_auction),
    Source(ASSETS, _write_asset_standing, (VERSIONS, STACKS, EDITIONS, LISTINGS_BY_ASSET, AUCTIONS_BY_ASSET)),
    Source(GRANTS, _write_grant_standing),
    Source(EVALUATED, attested.write_evaluation, key_bytes=attested.EVALUATED_KEY_BYTES_MAX),
    Source(ACCREDITATIONS, attested.write_attestor),
    Source(ORGANIZATIONS, attested.write_departure, key_bytes=attested.ORGANIZATION_BYTES_MAX),
    Source(SUMS, reputed.write_sum, key_bytes=reputed.KEY_BYTES_MAX),
    Source(FLOWS, reputed.write_flow, key_bytes=reputed.KEY_BYTES_MAX),
    Source(RATED, reputed.write_rated, key_bytes=reputed.KEY_BYTES_MAX),
    Source(CONTRIBUTORS, _write_contributor, key_bytes=_ID_BYTES + VERSION_BYTES),
)
