"""Contributions: versions that others propose to an asset, what is said about them, and the bounties paid for them."""

from __future__ import annotations

from typing import Final

from ledger.modules.contributions import acceptance, bounties, ending, handlers, operations
from ledger.modules.contributions.queries import QUERIES
from ledger.modules.contributions.records import INDEXES
from ledger.modules.module import OPERATORS, OWNERS, Module, Rule

MODULE: Final = Module(
    name="contributions",
    operations={
        operations.Propose: handlers.propose,
        operations.Comment: handlers.comment,
        operations.Accept: acceptance.accept_by_manager,
        operations.Refuse: handlers.refuse,
        operations.Withdraw: handlers.withdraw,
        operations.OpenBounty: bounties.open_bounty,
        operations.ClaimBounty: bounties.claim_bounty,
        operations.AwardBounty: bounties.award_bounty,
        operations.CancelBounty: bounties.cancel_bounty,
    },
    rules={
        operations.Propose: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Comment: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.Accept: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Refuse: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Withdraw: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.OpenBounty: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.ClaimBounty: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.AwardBounty: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.CancelBounty: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    deadlines={ending.EXPIRY: handlers.on_expired, bounties.BOUNTY_DUE: bounties.on_bounty_due},
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
