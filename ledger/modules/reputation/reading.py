"""Scores at a block time, from sums: what is read does not depend on how much evidence there is, but on how many
organizations gave it.

What depends on more than its own evidence is decided here, whenever a score is read: what of the payments returned
since, whether the subject's organization has rated the rater's too, and how much of what one organization says counts
about another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ledger.errors import LedgerError
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.organizations.records import organization_part
from ledger.modules.reputation.decay import from_grid, narrow
from ledger.modules.reputation.formula import ORGANIZATION_MAX, S, confidence, net_factor, score
from ledger.modules.reputation.records import RATED, SUMS, Sum
from ledger.modules.reputation.returns import Matrix, Returns, read_flows
from ledger.state.view import Readable


class Weights(NamedTuple):
    """The weight for and against, in millionths."""

    in_favor: int
    against: int

    @property
    def score_ppm(self) -> int:
        return score(self.in_favor, self.against)

    @property
    def confidence_ppm(self) -> int:
        return confidence(self.in_favor, self.against)


class Book:
    """The state at a block time, with what several scores have in common read once.

    It raises a LedgerError `query.too_expensive` where all its scores together take more than `sums_max` sums.
    """

    def __init__(self, view: Readable, now_ms: int, *, sums_max: int | None = None) -> None:
        self._view = view
        self._now_ms = now_ms
        self._sums_left = sums_max
        self._flows: tuple[Returns, Matrix] | None = None
        self._factors: dict[tuple[str, str], int] = {}
        self._reciprocal: dict[tuple[str, str], bool] = {}

    def account(self, account: bytes) -> Weights:
        """Return what counts for and against an account that exists."""
        return self.account_of(organization_of(self._view, account), account)

    def account_of(self, organization: str, account: bytes) -> Weights:
        """Return the same of an account whose organization is known."""
        parts = [part for _, part in self._parts(organization, account)]
        return Weights(sum(part.in_favor for part in parts), sum(part.against for part in parts))

    def organization(self, organization: str) -> Weights:
        """Return what counts for and against all accounts of an organization together."""
        by_rater: dict[str, list[Weights]] = {}
        for rater, part in self._parts(organization):
            by_rater.setdefault(rater, []).append(part)
        in_favor = against = 0
        for rater, parts in by_rater.items():
            part = Weights(sum(part.in_favor for part in parts), sum(part.against for part in parts))
            if rater:
                part = limited(part)
            in_favor, against = in_favor + part.in_favor, against + part.against
        return Weights(in_favor, against)

    def factor(self, rater: str, payee: str) -> int:
        """Return the millionths of the weight of one organization's reviews that its payments to another justify."""
        pair = rater, payee
        if pair not in self._factors:
            if self._flows is None:
                moved, claims = read_flows(self._view)
                self._flows = Returns(moved), claims
            returns, claimed = self._flows
            self._factors[pair] = net_factor(returns.net(rater, payee), claimed.get(rater, {}).get(payee, 0))
        return self._factors[pair]

    def reciprocal(self, rater: str, organization: str) -> bool:
        """Tell whether the subject's organization has rated the rater's too."""
        pair = rater, organization
        if pair not in self._reciprocal:
            key = organization_part(organization), organization_part(rater)
            self._reciprocal[pair] = bool(rater) and RATED.get(self._view, *key) is not None
        return self._reciprocal[pair]

    def _parts(self, organization: str, account: bytes = b"") -> Iterator[tuple[str, Weights]]:
        """Yield (rater's organization, what of its sums counts)."""
        prefix = organization_part(organization) + account
        for key, record in SUMS.items(self._view, prefix):
            if self._sums_left is not None:
                if self._sums_left == 0:
                    raise LedgerError("query.too_expensive", "too much evidence at once: ask for one score")
                self._sums_left -= 1
            rater, payee = _names(key if account else key[32:])
            yield rater, self._part(organization, rater, payee, record)

    def _part(self, organization: str, rater: str, payee: str, record: Sum) -> Weights:
        in_favor = from_grid(narrow(record.weight_for), self._now_ms)
        against = from_grid(narrow(record.weight_against), self._now_ms)
        factor = self.factor(rater, payee) if payee else S
        in_favor, against = in_favor * factor // S, against * factor // S
        return Weights(in_favor // 2 if self.reciprocal(rater, organization) else in_favor, against)


def limited(part: Weights) -> Weights:
    """Return what of one organization's evidence about all accounts of another counts."""
    total = part.in_favor + part.against
    if total <= ORGANIZATION_MAX:
        return part
    return Weights(part.in_favor * ORGANIZATION_MAX // total, part.against * ORGANIZATION_MAX // total)


def _names(key: bytes) -> tuple[str, str]:
    """Read two organizations that stand behind each other in a key."""
    end = 1 + key[0]
    return key[1:end].decode("ascii"), key[end + 1 :].decode("ascii")
