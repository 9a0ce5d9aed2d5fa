"""What the search database says of claims and of what others have found, and how a search counts it.

Which statements count depends on block time, on who owns the asset and on who is accredited, each a row of its own: a
search puts them together, and a suspension or a sale rewrites one row, not those of everything that was ever evaluated.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from ledger.modules.assets.operations import Metric
from ledger.modules.assets.records import Asset, Version
from ledger.modules.attestations.accreditation import is_active
from ledger.modules.attestations.operations import METRICS
from ledger.modules.attestations.reading import interest_in
from ledger.modules.attestations.records import ACCREDITATIONS, EVALUATED, measured_parts
from ledger.modules.organizations.records import ORGANIZATIONS
from ledger.state.view import Readable

MEASURED_BYTES: Final = 32 + 4 + 1 + 32 + 4
"""Of what an evaluation is about: asset, version, metric, data set and its version."""
ORGANIZATION_BYTES_MAX: Final = 64
"""More than the id of an organization has."""
EVALUATED_KEY_BYTES_MAX: Final = MEASURED_BYTES + ORGANIZATION_BYTES_MAX

_COUNTS: Final = (
    "(SELECT count(*) FROM evaluations AS e JOIN attestors AS t ON t.account = e.attestor"
    " WHERE e.measured = c.measured AND t.until_ms > :now AND (e.until_ms IS NULL OR e.until_ms > :now)"
    " AND e.organization NOT IN (SELECT organization FROM interests AS i WHERE i.asset = c.asset AND i.own >= {own})"
    " AND e.organization NOT IN (SELECT organization FROM departed)"
    " AND (abs(e.value_ppm - c.value_ppm) <= c.tolerance_ppm) = {within})"
)
REPRODUCED: Final = (
    f"ifnull((SELECT min({_COUNTS.format(within=1, own=0)}) FROM claims AS c WHERE c.asset = a.asset), 0)"
)
"""By how many organizations the least reproduced claim of asset `a` is, at `:now`; 0 where it claims nothing."""
CONTRADICTED: Final = (
    f"ifnull((SELECT max({_COUNTS.format(within=0, own=1)}) FROM claims AS c WHERE c.asset = a.asset), 0)"
)
"""By how many organizations the most contradicted one is."""


def write_claims(database: sqlite3.Connection, state: Readable, subject: bytes, asset: Asset, latest: Version) -> None:
    """Write the claims of an asset's latest version, and who has an interest in the asset; the rows from before are
    gone. What has no claims needs neither."""
    claims = [claim for claim in latest.provenance.metrics if claim.dataset is not None]
    claimed = [
        (subject, number, _measured(subject, asset.versions, claim), claim.value_ppm, claim.tolerance_ppm)
        for number, claim in enumerate(claims)
    ]
    database.executemany("INSERT INTO claims VALUES (?, ?, ?, ?, ?)", claimed)
    if claims:
        concerned = interest_in(state, subject, asset, asset.versions)
        interests = [
            (subject, name, own) for own, names in enumerate((concerned.named, concerned.own)) for name in names
        ]
        database.executemany("INSERT INTO interests VALUES (?, ?, ?)", sorted(interests))


def _measured(asset: bytes, version: int, claim: Metric) -> bytes:
    """Name what is claimed as evaluations of it do; nothing where it is a metric that nobody evaluates."""
    assert claim.dataset is not None
    assert claim.dataset_version is not None
    if claim.name not in METRICS:
        return b""
    return b"".join(measured_parts(asset, version, claim.name, claim.dataset, claim.dataset_version))


def write_evaluation(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    """Write what an organization has stated last about something."""
    pair = (subject[:MEASURED_BYTES], subject[MEASURED_BYTES:].decode("ascii"))
    said = EVALUATED.get(state, subject)
    if said is None:
        database.execute("DELETE FROM evaluations WHERE measured = ? AND organization = ?", pair)
    else:
        row = (*pair, said.attestor, said.value_ppm, said.until_ms)
        database.execute("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?)", row)


def write_attestor(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    """Write until when evaluations of an account count, time aside."""
    record = ACCREDITATIONS.get(state, subject)
    if record is not None and "evaluate" in record.roles and is_active(record, record.until_ms - 1):
        database.execute("INSERT OR REPLACE INTO attestors VALUES (?, ?)", (subject, record.until_ms))
    else:
        database.execute("DELETE FROM attestors WHERE account = ?", (subject,))


def write_departure(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
    """Write that an organization has left, whose statements count no more."""
    record = ORGANIZATIONS.get(state, subject)
    if record is not None and record.membership == "removed":
        database.execute("INSERT OR IGNORE INTO departed VALUES (?)", (record.id,))
    else:
        database.execute("DELETE FROM departed WHERE organization = ?", (subject.decode("ascii"),))
