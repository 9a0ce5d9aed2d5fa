"""The tables of the search database. Raise `FORMAT` with every change here or in `sources`: a database of another
format is made anew.

    meta        one row: the format, and the block whose state the other tables are derived from
    assets      one row an asset; `row` is the database's own number, everything else follows from the state
    texts       full text over four of its columns, words without regard to case and diacritics
    owners, creators, contributors, tags, parents, prices, sold_out, standing
    claims, interests, evaluations, attestors, departed
                what is claimed of each asset's latest version, and who has found what about it
    evidence    records of reputation as the state has them, of which a search makes scores
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 5

TEXT_COLUMNS: Final = ("name", "tags", "metadata", "description")
TABLES: Final = (
    "assets",
    "owners",
    "creators",
    "contributors",
    "tags",
    "parents",
    "prices",
    "sold_out",
    "standing",
    "claims",
    "interests",
    "evaluations",
    "attestors",
    "departed",
    "evidence",
)
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
        available INTEGER NOT NULL, retired INTEGER NOT NULL,
        licensable INTEGER NOT NULL, sellable INTEGER NOT NULL
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
    """CREATE TABLE evidence (
        key BLOB PRIMARY KEY, value BLOB NOT NULL, account BLOB
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX evidence_account ON evidence (account)",
    "CREATE INDEX creators_account ON creators (account, asset)",
    """CREATE TABLE contributors (
        asset BLOB NOT NULL, version INTEGER NOT NULL, account BLOB NOT NULL, PRIMARY KEY (asset, version)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX contributors_account ON contributors (account, asset)",
    """CREATE TABLE tags (
        asset BLOB NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (asset, tag)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX tags_tag ON tags (tag, asset)",
    """CREATE TABLE parents (
        child BLOB NOT NULL, parent BLOB NOT NULL, PRIMARY KEY (child, parent)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX parents_parent ON parents (parent, child)",
    """CREATE TABLE prices (
        source TEXT NOT NULL, id BLOB NOT NULL, asset BLOB NOT NULL, sells TEXT NOT NULL, format TEXT NOT NULL,
        price INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,
        falls INTEGER, steps INTEGER, opened_at_ms INTEGER, ends_at_ms INTEGER,
        transfers INTEGER, buyer BLOB, terms BLOB, thing BLOB, condition BLOB,
        rights INTEGER NOT NULL, commercial INTEGER, exclusivity TEXT, spdx TEXT,
        PRIMARY KEY (source, id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX prices_asset ON prices (asset, sells, price)",
    """CREATE TABLE sold_out (
        asset BLOB NOT NULL, terms BLOB NOT NULL, PRIMARY KEY (asset, terms)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE standing (
        sells TEXT NOT NULL, thing BLOB NOT NULL, condition BLOB NOT NULL, PRIMARY KEY (sells, thing)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE claims (
        asset BLOB NOT NULL, number INTEGER NOT NULL, measured BLOB NOT NULL,
        value_ppm INTEGER NOT NULL, tolerance_ppm INTEGER NOT NULL, PRIMARY KEY (asset, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE interests (
        asset BLOB NOT NULL, organization TEXT NOT NULL, own INTEGER NOT NULL, PRIMARY KEY (asset, organization)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE evaluations (
        measured BLOB NOT NULL, organization TEXT NOT NULL, attestor BLOB NOT NULL,
        value_ppm INTEGER NOT NULL, until_ms INTEGER, PRIMARY KEY (measured, organization)
    ) STRICT, WITHOUT ROWID""",
    "CREATE TABLE attestors (account BLOB NOT NULL PRIMARY KEY, until_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE departed (organization TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
)
"""`prices` has a row for everything that can be bought or bid for, whoever `source` says asks for it:

sells                   what one buys: a `license` of the asset, the whole `asset`, a `share` of it, or a `grant`, that
                        is a license that somebody has and passes on
format                  fixed, english, or dutch
price, expires_at_ms    it can be bought below that block time, at this price; in an English auction this is the least
                        next bid that can win
falls, steps, opened_at_ms, ends_at_ms
                        of a Dutch auction: by how much the price falls from `price` to the floor, in how many steps,
                        and over what time; else NULL
transfers               void once the asset has changed hands more often; NULL where that does not matter
buyer                   the only account it is for; NULL where it is for all
terms                   digest of a license's terms, by which editions are counted; NULL where there are none to count
thing, condition        what is sold in the market (an asset or a grant), and in which condition; NULL else. It can be
                        bought while `standing` has it in that condition
rights                  a bit for each right of a license or grant, in the order of `sources.RIGHTS`; else 0
commercial, exclusivity, spdx
                        of its terms; NULL where none is sold

`assets.licensable` says whether license offers of an asset can be bought, `assets.sellable` whether anything of it may
be sold in the market; `standing` what of that can be, as far as it has been put up.

`claims` holds the claims that name a data set, of the latest version alone; what `measured` names is the version, the
metric and the data set, as the key of an `evaluated/` record does. How often a claim is reproduced follows at the time
of a search, from the evaluations of organizations that have no interest in the asset and have not left, by `attestors`
whose accreditation holds until `until_ms`. What those of `interests` say counts against a claim where `own` is 0: they
were made creators or manager.
"""
