"""Terms, offers and grants: who may do what with which asset, and what was paid for it."""

from __future__ import annotations

from typing import Final

from ledger.modules.licenses import (
    offers,
    operations,
    purchases,
    renewal,
    revocation,
    seats,
    settlement,
    usage,
)
from ledger.modules.licenses.queries import QUERIES
from ledger.modules.licenses.records import INDEXES
from ledger.modules.module import OPERATORS, OWNERS, Module, Rule

MODULE: Final = Module(
    name="licenses",
    operations={
        operations.Commit: purchases.commit,
        operations.Offer: offers.offer,
        operations.WithdrawOffer: offers.withdraw_offer,
        operations.Purchase: purchases.purchase,
        operations.Renew: renewal.renew,
        operations.Claim: purchases.claim,
        operations.ReportUsage: usage.report_usage,
        operations.SetSeats: seats.set_seats,
        operations.Revoke: revocation.revoke,
        operations.ApproveDerivatives: offers.approve_derivatives,
    },
    rules={
        operations.Commit: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.Offer: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.WithdrawOffer: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Purchase: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Renew: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.ReportUsage: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.SetSeats: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Revoke: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=False),
        operations.Claim: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.ApproveDerivatives: Rule(
            signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True
        ),
    },
    deadlines={
        purchases.COMMITMENTS.deadline_kind: purchases.COMMITMENTS.expire,
        offers.OFFER_EXPIRY: offers.on_offer_expired,
        settlement.ESCROW_DUE: settlement.on_due,
        usage.USAGE_DUE: usage.on_usage_due,
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
