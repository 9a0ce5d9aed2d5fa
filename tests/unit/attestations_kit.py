"""A consortium whose members evaluate, audit and review, for tests of attestations."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets.operations import Metric, Provenance
from ledger.modules.attestations import operations as attestations
from ledger.modules.governance import accreditations
from ledger.modules.governance.operations import Accredit
from ledger.modules.governance.records import AccreditationChange
from ledger.parameters import DAY_MS
from primitives.identifiers import account_to_text
from tests.unit.disputes_kit import Court
from tests.unit.modules_kit import cid

BOND = 5_000_000
CODE = bytes(31) + b"\x01"
ENVIRONMENT = bytes(31) + b"\x02"
CLAIMED_PPM = 900_000
TOLERANCE_PPM = 5_000


class Bench(Court):
    """alice owns a model, dave a data set; everybody else looks at them."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.dataset = self.register("dave", "pictures")
        claim = Metric("accuracy", CLAIMED_PPM, TOLERANCE_PPM, self.dataset, 1)
        self.model = self.register("alice", "model", "model", provenance=Provenance(metrics=(claim,)))

    def settle(self, change: AccreditationChange) -> None:
        """Bring about what the consortium has decided. That it decides so, tests of governance show."""
        view = self.view.child()
        context = self.context(view, self.accounts["alice"], b"decision")
        accreditations.bring_about(context, bytes(32), change)
        self.view.apply(view)

    def accreditation(self, who: str, **fields: Any) -> Accredit:
        chosen: dict[str, Any] = {
            "account": self.accounts[who],
            "roles": ("evaluate", "audit"),
            "tier": 5,
            "bond": BOND,
            "until_ms": self.now_ms + 365 * DAY_MS,
        }
        return Accredit(**(chosen | fields))

    def accredit(self, *names: str, **fields: Any) -> None:
        """Let accounts evaluate and audit, their bonds up."""
        for who in names:
            self.settle(self.accreditation(who, **fields))
            self.do(who, attestations.PostBond(self.accounts[who]))

    def evaluation(self, value_ppm: int = CLAIMED_PPM, **fields: Any) -> attestations.Evaluate:
        chosen: dict[str, Any] = {
            "asset": self.model,
            "version": 1,
            "metric": "accuracy",
            "value_ppm": value_ppm,
            "samples": 10_000,
            "dataset": self.dataset,
            "dataset_version": 1,
            "code": CODE,
            "environment": ENVIRONMENT,
        }
        return attestations.Evaluate(**(chosen | fields))

    def evaluate(self, who: str, value_ppm: int = CLAIMED_PPM, **fields: Any) -> bytes:
        operation = self.evaluation(value_ppm, **fields)
        self.do(who, operation)
        return attestations.statement_id(self.transaction_id, operation)

    def audit(self, who: str, verdict: Any = "passed", **fields: Any) -> bytes:
        operation = attestations.Audit(self.model, 1, verdict, cid("report"), **fields)
        self.do(who, operation)
        return attestations.statement_id(self.transaction_id, operation)

    def review(self, who: str, grant: bytes, rating_ppm: int = 800_000, **fields: Any) -> bytes:
        operation = attestations.Review(grant, 1, rating_ppm, **fields)
        self.do(who, operation)
        return attestations.statement_id(self.transaction_id, operation)

    def statement(self, identifier: bytes) -> Any:
        return self.query("attestations.statement", statement=identifier.hex())

    def accredited(self, who: str) -> Any:
        return self.query("attestations.accreditation", account=account_to_text(self.accounts[who]))

    def standing(self) -> tuple[int, int]:
        """By how many the claim is reproduced and contradicted."""
        from ledger.modules.attestations.reading import claims_of

        (claim,) = claims_of(self.view, self.model, 1, at_ms=self.now_ms)
        return claim.reproduced, claim.contradicted
