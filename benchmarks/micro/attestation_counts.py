"""What counting and stating cost beside the evaluations of many organizations, in units of one signature check:

    python -m benchmarks.micro.attestation_counts

The state lies in memory; organizations, accreditations and evaluations of all but one are written as records, as many
as a row says. Counted is one claim of one version; stated is an evaluation of the same, for the first time and anew.
All is processor time of this thread, the median of the repetitions.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

from benchmarks.micro.operation_entries_attestations import accredited
from benchmarks.micro.operation_world import World
from ledger.modules.assets.operations import Metric, Provenance
from ledger.modules.attestations import operations as attestations
from ledger.modules.attestations.reading import claims_of
from ledger.modules.attestations.records import (
    ACCREDITATIONS,
    AGREEMENTS_MAX,
    EVALUATED,
    MEASURED,
    STATEMENTS,
    Accreditation,
    Evaluated,
    Measured,
    Statement,
    measured_parts,
)
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, Account, AccountKey, Organization
from ledger.operations import default_registry
from ledger.parameters import DAY_MS
from ledger.state.view import StateView
from primitives.digest import tagged_hash
from primitives.keys import SigningKey, verify

OTHERS: Final = (0, 2, 16, 126)
"""With the stating one and the owner's there are 128 organizations at most."""
REPEATS: Final = 200
VALUE_PPM: Final = 900_000


class Row:
    """A world in which so many others have evaluated a claim."""

    def __init__(self, others: int) -> None:
        self.world = world = World(default_registry())
        dataset = world.register("birch", "data")
        claim = Metric("accuracy", VALUE_PPM, 5_000, dataset, 1)
        self.asset = world.register("alder", "work", provenance=Provenance(metrics=(claim,)))
        self.attestor = accredited(world)
        self.said = attestations.Evaluate(
            self.asset, 1, "accuracy", VALUE_PPM, 10_000, dataset, 1, bytes(32), bytes(32)
        )
        for number in range(others):
            self._evaluated_by(f"other-{number:03}")

    def _evaluated_by(self, organization: str) -> None:
        view, now_ms = self.world.view, self.world.now_ms
        account = tagged_hash("other-account", organization.encode())
        statement = tagged_hash("other-statement", account)
        name = organization.encode()
        ORGANIZATIONS.put(view, Organization(organization, organization), name)
        keys = (AccountKey(account, "owner"),)
        ACCOUNTS.put(view, Account(organization, organization, keys, vouches=True, opened_at_ms=now_ms), account)
        record = Accreditation(organization, ("evaluate",), 5, 1, now_ms + DAY_MS, bytes(32), now_ms, posted=1)
        ACCREDITATIONS.put(view, record, account)
        STATEMENTS.put(view, Statement(account, organization, self.asset, 1, self.said, 5, now_ms), statement)
        parts = measured_parts(self.asset, 1, "accuracy", self.said.dataset, 1)
        EVALUATED.put(view, Evaluated(statement, account, VALUE_PPM, None), *parts, name)
        known = MEASURED.get(view, *parts)
        earlier = () if known is None else known.organizations[:AGREEMENTS_MAX]
        MEASURED.put(view, Measured((organization, *earlier)), *parts)

    def counting(self) -> float:
        """Return the seconds that one count takes."""
        view = self.world.settled_view()
        return _median_s(lambda: claims_of(view, self.asset, 1, at_ms=self.world.now_ms))

    def stating(self, *, anew: bool) -> float:
        """Return the seconds that one statement takes."""
        said = self.said
        if anew:
            identifier = attestations.statement_id(self.world.do(self.attestor, said), said)
            fields = {name: getattr(said, name) for name in said.__struct_fields__} | {"supersedes": identifier}
            said = attestations.Evaluate(**fields)
        handler = self.world.registry.handlers[attestations.Evaluate]
        view: StateView = self.world.settled_view()

        def state() -> None:
            view.set_savepoint()
            handler(self.world.context(view, self.attestor, self.world.fresh_id()), said)
            view.roll_back()

        return _median_s(state)


def _median_s(do: Callable[[], object]) -> float:
    samples = []
    for _ in range(REPEATS):
        began = time.thread_time()
        do()
        samples.append(time.thread_time() - began)
    return statistics.median(samples)


def main() -> int:
    key, message = SigningKey(bytes(31) + b"\x01"), bytes(200)
    signature = key.sign(message)
    unit_s = _median_s(lambda: verify(key.public_key, message, signature))
    lines = ["| other organizations | count | evaluate, first | evaluate, anew |", "|---|---|---|---|"]
    for others in OTHERS:
        first, anew = Row(others), Row(others)
        figures = (first.counting(), first.stating(anew=False), anew.stating(anew=True))
        lines.append(f"| {others} | {' | '.join(f'{figure / unit_s:.2f}' for figure in figures)} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
