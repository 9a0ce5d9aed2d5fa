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
    direct = moved.get(payee, {}).get(payer, 0)
    first = {name: units for name, units in moved.get(payee, {}).items() if name != payer}
    last = {name: row[payer] for name, row in moved.items() if payer in row and name != payee}
    by_first = sum(min(units, _onward(moved, name, last)) for name, units in first.items())
    by_last = sum(min(units, _inward(moved, name, first)) for name, units in last.items())
    return direct + min(by_first, by_last)


def net(moved: Matrix, payer: str, payee: str) -> int:
    """Return the grid units that `payer` paid `payee` and that cannot have returned."""
    return max(0, moved.get(payer, {}).get(payee, 0) - returned(moved, payee, payer))


def _onward(moved: Matrix, name: str, last: Mapping[str, int]) -> int:
    """What can go from `name` to the payer, directly or through one other."""
    row = moved.get(name, {})
    return last.get(name, 0) + sum(min(row[other], units) for other, units in last.items() if other in row)


def _inward(moved: Matrix, name: str, first: Mapping[str, int]) -> int:
    """What can have come from the payee to `name`, directly or through one other."""
    through = ((units, moved.get(other, {}).get(name, 0)) for other, units in first.items())
    return first.get(name, 0) + sum(min(units, onward) for units, onward in through)
