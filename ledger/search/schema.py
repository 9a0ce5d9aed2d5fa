"""The tables of the search database. Raise `FORMAT` with every change here or in `sources`: a database of another
format is made anew.

    meta        one row: the format, and the block whose state the other tables are derived from
    assets      one row an asset; `row` is the database's own number, everything else follows from the state
    texts       full text over four of its columns, words without regard to case and diacritics
    owners, creators, tags, parents, prices, sold_out
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1

TEXT_COLUMNS: Final = ("name", "tags", "metadata", "description")
TABLES: Final = ("assets", "owners", "creators", "tags", "parents", "prices", "sold_out")
"""Those whose content is a function of the state; `texts` indexes `assets`."""

STATEMENTS: Final = (
    """CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        format INTEGER NOT NULL, network BLOB NOT NULL,
        height INTEGER NOT NULL, block_hash BLOB NOT NULL, block_time_ms INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE assets (
        row INTEGER PRIMARY KEY, asset BLOB NOT NULL UNIQUE,
        kind TEXT NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL,
        tags TEXT NOT NULL, metadata TEXT NOT NULL, description TEXT NOT NULL,
        visibility TEXT NOT NULL, organization TEXT NOT NULL, registered_at_ms INTEGER NOT NULL,
        versions INTEGER NOT NULL, transfers INTEGER NOT NULL,
        available INTEGER NOT NULL, retired INTEGER NOT NULL, tradable INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX assets_newest ON assets (registered_at_ms DESC, asset)",
    "CREATE INDEX assets_name ON assets (name_key, asset)",
    "CREATE INDEX assets_kind ON assets (kind, registered_at_ms DESC, asset)",
    "CREATE INDEX assets_organization ON assets (organization, registered_at_ms DESC, asset)",
    """CREATE VIRTUAL TABLE texts USING fts5 (
        name, tags, metadata, description,
        content = 'assets', content_rowid = 'row', tokenize = 'unicode61 remove_diacritics 2'
    )""",
    """CREATE TABLE owners (
        asset BLOB NOT NULL, account BLOB NOT NULL, bps INTEGER NOT NULL, PRIMARY KEY (asset, account)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX owners_account ON owners (account, asset)",
    """CREATE TABLE creators (
        asset BLOB NOT NULL, account BLOB NOT NULL, bps INTEGER NOT NULL, PRIMARY KEY (asset, account)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX creators_account ON creators (account, asset)",
    """CREATE TABLE tags (
        asset BLOB NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (asset, tag)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX tags_tag ON tags (tag, asset)",
    """CREATE TABLE parents (
        child BLOB NOT NULL, parent BLOB NOT NULL, PRIMARY KEY (child, parent)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX parents_parent ON parents (parent, child)",
    """CREATE TABLE prices (
        source TEXT NOT NULL, id BLOB NOT NULL, asset BLOB NOT NULL, sells TEXT NOT NULL,
        price INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,
        transfers INTEGER, buyer BLOB, terms BLOB,
        rights INTEGER NOT NULL, commercial INTEGER NOT NULL, exclusivity TEXT NOT NULL, spdx TEXT NOT NULL,
        PRIMARY KEY (source, id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX prices_asset ON prices (asset, sells, price)",
    """CREATE TABLE sold_out (
        asset BLOB NOT NULL, terms BLOB NOT NULL, PRIMARY KEY (asset, terms)
    ) STRICT, WITHOUT ROWID""",
)
"""`prices` has a row for everything that can be bought at a fixed price, whoever `source` says asks for it:

sells                   what one buys: a `license` of the asset. A search compares prices of one such thing only
price, expires_at_ms    it can be bought below that block time
transfers               void once the asset has changed hands more often; NULL where that does not matter
buyer                   the only account it is for; NULL where it is for all
terms                   digest of a license's terms, by which editions are counted; NULL where there are none
rights                  a bit for each right of a license, in the order of `sources.RIGHTS`
"""
