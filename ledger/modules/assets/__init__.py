"""Assets: what exists once, who made it, who owns it, from what it is derived, and who holds its bytes."""

from __future__ import annotations

from typing import Final

from ledger.modules.assets import availability, management, operations, registration, transfers
from ledger.modules.assets.queries import QUERIES
from ledger.modules.assets.records import INDEXES
from ledger.modules.module import OPERATORS, OWNERS, VALIDATORS, Module, Rule

MODULE: Final = Module(
    name="assets",
    operations={
        operations.Commit: registration.commit,
        operations.Register: registration.register,
        operations.AddVersion: registration.add_version,
        operations.SetAlias: management.set_alias,
        operations.SetManager: management.set_manager,
        operations.OfferTransfer: transfers.offer_transfer,
        operations.OfferGift: transfers.offer_gift,
        operations.AcceptTransfer: transfers.accept_transfer,
        operations.WithdrawTransfer: transfers.withdraw_transfer,
        operations.Retire: management.retire,
        operations.ReportHeld: availability.report_held,
    },
    rules={
        operations.Commit: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.Register: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.AddVersion: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.SetAlias: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.SetManager: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.OfferTransfer: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.OfferGift: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.AcceptTransfer: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.WithdrawTransfer: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Retire: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.ReportHeld: Rule(signers=VALIDATORS, while_suspended=True, after_removal=False, while_frozen=True),
    },
    deadlines={
        registration.COMMITMENTS.deadline_kind: registration.COMMITMENTS.expire,
        transfers.TRANSFER_EXPIRY: transfers.on_transfer_expired,
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
