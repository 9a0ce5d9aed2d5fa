"""What of a payment returns to who paid it, through cycles of at most four organizations.

From the payee P credits may come back to the payer A directly, through one organization, or through two. Of two ways
that share a part only one can have used it; a sum over all ways would count it twice, the largest flow needs a search.
The bound here is between them: the ways are summed up once by their first part and once by their last, none beyond what
that part carries, and the smaller sum counts. It is never below what can have returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ledger.modules.reputation.decay import narrow
from ledger.modules.reputation.records import FLOWS
from ledger.state.view import Readable

Matrix: TypeAlias = Mapping[str, Mapping[str, int]]
"""Payer -> payee -> grid units that moved; nothing where that is 0."""


def read_flows(view: Readable) -> tuple[Matrix, Matrix]:
    """Return what moved between all organizations, and what of it reviews weigh by. As many records as there are pairs
    that ever paid."""
    moved: dict[str, dict[str, int]] = {}
    claimed: dict[str, dict[str, int]] = {}
    for key, flow in FLOWS.items(view):
        end = 1 + key[0]
        payer, payee = key[1:end].decode("ascii"), key[end + 1 :].decode("ascii")
        for table, units in ((moved, narrow(flow.moved)), (claimed, narrow(flow.claimed))):
            if units:
                table.setdefault(payer, {})[payee] = units
    return moved, claimed


def returned(moved: Matrix, payee: str, payer: str) -> int:
    """Return how many grid units may have come back from `payee` to `payer`."""
    return Returns(moved).returned(payee, payer)


class Returns:
    """What may have come back between all pairs. The sums over second steps are made once for each organization: those
    of n pairs cost n times the pairs there are, and not their square."""

    def __init__(self, moved: Matrix) -> None:
        self._moved = moved
        self._into: dict[str, dict[str, int]] = {}
        """Payee -> payer -> grid units."""
        for payer, row in moved.items():
            for payee, units in row.items():
                self._into.setdefault(payee, {})[payer] = units
        self._onward: dict[str, dict[str, int]] = {}
        self._inward: dict[str, dict[str, int]] = {}

    def returned(self, payee: str, payer: str) -> int:
        """Return how many grid units may have come back from `payee` to `payer`."""
        out, into = self._moved.get(payee, {}), self._into.get(payer, {})
        direct = out.get(payer, 0)
        onward, inward = self._onward_to(payer), self._inward_from(payee)
        by_first = sum(
            min(units, onward.get(name, 0) - min(self._flow(name, payee), direct))
            for name, units in out.items()
            if name != payer
        )
        by_last = sum(
            min(units, inward.get(name, 0) - min(direct, self._flow(payer, name)))
            for name, units in into.items()
            if name != payee
        )
        return direct + min(by_first, by_last)

    def net(self, payer: str, payee: str) -> int:
        """Return the grid units that `payer` paid `payee` and that cannot have returned."""
        return max(0, self._flow(payer, payee) - self.returned(payee, payer))

    def _flow(self, payer: str, payee: str) -> int:
        return self._moved.get(payer, {}).get(payee, 0)

    def _onward_to(self, payer: str) -> dict[str, int]:
        """By organization, what can go from it to `payer`, directly or through one other."""
        if payer not in self._onward:
            last = self._into.get(payer, {})
            found = dict(last)
            for through, units in last.items():
                for name, first in self._into.get(through, {}).items():
                    if name != payer:
                        found[name] = found.get(name, 0) + min(first, units)
            self._onward[payer] = found
        return self._onward[payer]

    def _inward_from(self, payee: str) -> dict[str, int]:
        """By organization, what can have come from `payee` to it, directly or through one other."""
        if payee not in self._inward:
            first = self._moved.get(payee, {})
            found = dict(first)
            for through, units in first.items():
                for name, last in self._moved.get(through, {}).items():
                    if name != payee:
                        found[name] = found.get(name, 0) + min(units, last)
            self._inward[payee] = found
        return self._inward[payee]
