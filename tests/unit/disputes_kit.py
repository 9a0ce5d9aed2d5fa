"""A consortium of eight organizations for tests of disputes, and short ways through one."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.genesis import GenesisAccount, GenesisOrganization
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.disputes.records import DISPUTES, Dispute, bond_due
from ledger.modules.disputes.standing import owns_now
from ledger.modules.licenses.operations import Terms
from ledger.parameters import HOUR_MS
from primitives.identifiers import account_to_text, key_to_text
from tests.unit.modules_kit import NAMES, SUPPLY_EACH, World, cid, make_genesis, seed_key

MORE = ("erin", "frank", "grace", "heidi")
BOND_MIN = 1_000
ANSWER_MS = HOUR_MS
VOTING_MS = 2 * HOUR_MS
APPEAL_MS = 3 * HOUR_MS
EVIDENCE = cid("evidence")
WINDOW_MS = 24 * HOUR_MS
TERMS = Terms(rights=("download",), price=100_000, dispute_window_ms=WINDOW_MS, transferable=True)
"""Paid out after a day."""


class Court(World):
    """alice owns, bob buys or claims, everybody else decides."""

    def __init__(self, names: tuple[str, ...] = (*NAMES, *MORE), **parameters: Any) -> None:
        chosen: dict[str, Any] = {
            "dispute_answer_ms": ANSWER_MS,
            "dispute_voting_ms": VOTING_MS,
            "dispute_appeal_ms": APPEAL_MS,
            "dispute_bond_min": BOND_MIN,
        }
        genesis = make_genesis(**(chosen | parameters))
        more = [name for name in names if name not in NAMES]
        super().__init__(
            msgspec.structs.replace(
                genesis,
                organizations=genesis.organizations
                + tuple(GenesisOrganization(f"org-{name}", name.title()) for name in more),
                accounts=genesis.accounts
                + tuple(
                    GenesisAccount(f"org-{name}", key_to_text(seed_key(name).public_key), "00" * 16, SUPPLY_EACH, name)
                    for name in more
                ),
            )
        )

    def claim(self, subject: Subject, relief: str, amount: int = 0, **fields: Any) -> disputes.File:
        ground = {"refund": "wrong-content", "payment": "unpaid", "lift": "settled"}.get(relief, "infringement")
        if subject.kind == "version":
            ground = "wrong-content"
        chosen: dict[str, Any] = {
            "subject": subject,
            "ground": ground,
            "relief": relief,
            "amount": amount,
            "bond": bond_due(amount, BOND_MIN),
            "evidence": EVIDENCE,
        }
        return disputes.File(**(chosen | fields))

    def file(self, who: str, subject: Subject, relief: str, amount: int = 0, **fields: Any) -> bytes:
        self.do(who, self.claim(subject, relief, amount, **fields))
        return disputes.dispute_id(self.transaction_id, subject)

    def file_refund(self, who: str, grant: bytes, price: int = TERMS.price, **fields: Any) -> bytes:
        return self.file(who, Subject("grant", grant), "refund", price, **fields)

    def file_against(self, who: str, asset: bytes, relief: str, amount: int = 0, **fields: Any) -> bytes:
        return self.file(who, Subject("asset", asset), relief, amount, **fields)

    def dispute(self, identifier: bytes) -> Dispute:
        record = DISPUTES.get(self.view, identifier)
        assert record is not None
        return record

    def arbiter_names(self, identifier: bytes) -> list[str]:
        """The arbiters who have bought no share meanwhile."""
        dispute = self.dispute(identifier)
        return [name.removeprefix("org-") for name in dispute.arbiters if not owns_now(self.view, name, dispute.asset)]

    def open_vote(self, identifier: bytes) -> None:
        self.advance(ANSWER_MS)
        assert self.dispute(identifier).state == "voting"

    def decide(self, identifier: bytes, *, uphold: bool, count: int | None = None) -> None:
        """Let arbiters vote one way until it is decided; `count` of them when given."""
        if self.dispute(identifier).state == "answering":
            self.open_vote(identifier)
        state = self.dispute(identifier).state
        for name in self.arbiter_names(identifier)[:count]:
            if self.dispute(identifier).state == state:
                self.do(name, disputes.Vote(identifier, uphold))

    def conclude(self, identifier: bytes, *, uphold: bool) -> list[Any]:
        """Vote, and let the time for an appeal pass."""
        self.decide(identifier, uphold=uphold)
        return self.advance(APPEAL_MS)

    def empty(self, who: str) -> int:
        """Move all credits of an account away; return how many there were."""
        held = self.balance(who)
        if held:
            self.do(who, Transfer(self.accounts["dave"], held))
        return held

    def debts(self, debtor: str) -> list[Any]:
        return list(self.query("disputes.debts", debtor=account_to_text(self.accounts[debtor])))

    def lost(self, who: str) -> list[str]:
        return [item.dispute for item in self.query("disputes.list", lost=account_to_text(self.accounts[who]))]
