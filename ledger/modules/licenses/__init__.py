"""Terms, offers and grants: who may do what with which asset, and what was paid for it."""

from __future__ import annotations

from typing import Final

from ledger.modules.licenses import offers, operations, purchases, settlement
from ledger.modules.licenses.queries import QUERIES
from ledger.modules.licenses.records import INDEXES
from ledger.modules.module import Module

MODULE: Final = Module(
    name="licenses",
    operations={
        operations.Commit: purchases.commit,
        operations.Offer: offers.offer,
        operations.WithdrawOffer: offers.withdraw_offer,
        operations.Purchase: purchases.purchase,
        operations.Claim: purchases.claim,
        operations.ApproveDerivatives: offers.approve_derivatives,
    },
    deadlines={
        purchases.COMMITMENTS.deadline_kind: purchases.COMMITMENTS.expire,
        offers.OFFER_EXPIRY: offers.on_offer_expired,
        settlement.ESCROW_DUE: settlement.on_due,
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
