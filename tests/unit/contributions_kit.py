"""Short ways through contributions: alice owns, bob has a license to derive, carol and dave look on."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets import operations as assets
from ledger.modules.contributions import operations as contributions
from ledger.modules.contributions.operations import Reward
from ledger.modules.contributions.records import CONTRIBUTIONS, Contribution
from ledger.modules.licenses.operations import Terms
from ledger.parameters import DAY_MS
from tests.unit.modules_kit import World, cid

TERMS = Terms(
    rights=("fine-tune", "train-on"),
    price=0,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=500,
    revenue_share_depth=2,
)
TEXT = cid("a text")


class Workshop(World):
    """An asset of alice's, and bob's license on it."""

    def __init__(self, kind: str = "dataset", **fields: Any) -> None:
        super().__init__()
        self.waiting: set[tuple[str, str]] = set()
        """(who, label) of what was committed to here and not proposed yet."""
        self.asset = self.register("alice", "A", kind, **fields)
        self.kind = kind
        self.grant = self.license("alice", self.asset, "bob", TERMS)

    def proposal(self, label: str, who: str = "bob", **fields: Any) -> contributions.Propose:
        """Of the artifact `label`, which is committed to here unless it is said that it was."""
        if fields.pop("committed", True) and (who, label) not in self.waiting:
            self.commit(who, label, self.kind)
            self.waiting.add((who, label))
        base: dict[str, Any] = {
            "asset": self.asset,
            "parent_version": 1,
            "right": "train-on",
            "artifact": self.artifact(label, self.kind),
            "salt": self.salt(label),
            "expires_at_ms": self.now_ms + DAY_MS,
            "grant": self.grant if who == "bob" else None,
            "message": f"better {label}",
        }
        return contributions.Propose(**(base | fields))

    def propose(self, label: str, who: str = "bob", **fields: Any) -> bytes:
        operation = self.proposal(label, who, **fields)
        self.do(who, operation)
        self.waiting.discard((who, label))
        return contributions.contribution_id(self.transaction_id, operation.asset, operation.artifact.cid)

    def open_bounty(self, who: str = "alice", amount: int = 1_000, **fields: Any) -> bytes:
        base: dict[str, Any] = {"asset": self.asset, "amount": amount, "closes_at_ms": self.now_ms + DAY_MS}
        operation = contributions.OpenBounty(**(base | fields))
        self.do(who, operation)
        return contributions.bounty_id(self.transaction_id, operation)

    def accept(
        self, contribution: bytes, bps: int = 0, *, giver: str | None = None, bounty: bytes | None = None
    ) -> Any:
        """The operation, for one who sends it and others who consent to it."""
        by = None if giver is None else self.accounts[giver]
        return contributions.Accept(contribution, Reward(bps, by, bounty))

    def consent(self, who: str, operation: Any) -> None:
        digest = assets.action_digest(operation)
        self.do(who, assets.Consent(self.asset, digest, self.now_ms + DAY_MS))

    def shares(self) -> dict[str, int]:
        """Name -> bps."""
        from ledger.modules.assets.reads import ownership

        names = {account: name for name, account in self.accounts.items()}
        return {names[share.account]: share.bps for share in ownership(self.view, self.asset).shares}

    def contribution(self, identifier: bytes) -> Contribution | None:
        return CONTRIBUTIONS.get(self.view, identifier)

    def share_with(self, shares: dict[str, int]) -> None:
        """Let alice give shares away."""
        from ledger.modules.transfers.operations import Thing

        for name, bps in shares.items():
            self.transfer("alice", Thing("share", self.asset, bps), name)
