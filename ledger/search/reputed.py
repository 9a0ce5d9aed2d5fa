"""What the search database keeps of reputation, and how a search makes scores of it.

A score changes with block time alone, and with every payment between two organizations: no row could say it. So the
database keeps the sums themselves, as the state has them, and a search reads them by the same rules as a query does, at
the time of the block that its answer names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

from ledger.modules.organizations.records import organization_part
from ledger.modules.reputation.formula import confidence, score
from ledger.modules.reputation.reading import Book
from ledger.modules.reputation.records import FLOWS, RATED, SUMS
from ledger.state.view import Readable, Table

KEY_BYTES_MAX: Final = 4 * 64 + 32
"""More than any key of these tables has behind the table's name: up to three organizations and an account."""
_OWNS: Final = "EXISTS (SELECT 1 FROM owners AS o WHERE o.asset = c.asset AND o.account = c.account)"
_MEAN: Final = (
    "(SELECT sum({function}(c.account, a.organization, " + _OWNS + ") * c.bps) / 10000"
    " FROM creators AS c WHERE c.asset = a.asset)"
)
SCORE: Final = _MEAN.format(function="score_of")
"""The mean score of the creators of asset `a`, by their parts. A creator who has not put its name to it counts as
nobody known: the names of others would else adorn what they have not made."""
CONFIDENCE: Final = _MEAN.format(function="confidence_of")


def writer(table: Table[Any]) -> Callable[[sqlite3.Connection, Readable, bytes], None]:
    """Return what keeps a record of `table` as it is in the state."""

    def write(database: sqlite3.Connection, state: Readable, subject: bytes) -> None:
        key = table.key(subject)
        value = state.get(key)
        if value is None:
            database.execute("DELETE FROM evidence WHERE key = ?", (key,))
            return
        account = subject[1 + subject[0] :][:32] if table is SUMS else None
        database.execute("INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)", (key, value, account))

    return write


write_sum, write_flow, write_rated = writer(SUMS), writer(FLOWS), writer(RATED)


class Scores:
    """Scores of accounts in a snapshot of the database, each made once."""

    def __init__(self, database: sqlite3.Connection, block_time_ms: int) -> None:
        self._database = database
        self._book = Book(_Kept(database), block_time_ms)
        self._known: dict[bytes, tuple[str, int, int]] = {}
        """Account -> (organization, score, confidence)."""

    def teach(self) -> None:
        """Let statements of the connection ask for scores, until the next search teaches it others."""
        self._database.create_function("score_of", 3, lambda *creator: self.of(*creator)[0], deterministic=True)
        self._database.create_function("confidence_of", 3, lambda *creator: self.of(*creator)[1], deterministic=True)

    def of(self, account: bytes, registrant: str, owns: int) -> tuple[int, int]:
        """Return (score, confidence) of a creator in millionths, for an asset that an organization has registered."""
        if account not in self._known:
            self._known[account] = self._read(account)
        organization, score_ppm, confidence_ppm = self._known[account]
        return (score_ppm, confidence_ppm) if owns or organization == registrant else (score(0, 0), confidence(0, 0))

    def _read(self, account: bytes) -> tuple[str, int, int]:
        found = self._database.execute("SELECT key FROM evidence WHERE account = ? LIMIT 1", (account,)).fetchone()
        if found is None:
            return "", score(0, 0), confidence(0, 0)
        key = found[0][len(SUMS.prefix) :]
        organization = key[1 : 1 + key[0]].decode("ascii")
        assert key.startswith(organization_part(organization) + account)
        weights = self._book.account_of(organization, account)
        return organization, weights.score_ppm, weights.confidence_ppm


class _Kept:
    """The kept records, read as the state is."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def get(self, key: bytes) -> bytes | None:
        found = self._database.execute("SELECT value FROM evidence WHERE key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        rows = self._database.execute(
            "SELECT key, value FROM evidence WHERE key >= ? ORDER BY key", (max(prefix, start),)
        )
        for key, value in rows:
            if not key.startswith(prefix):
                return
            yield key, value
