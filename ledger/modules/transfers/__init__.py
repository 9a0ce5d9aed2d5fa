"""Handing over assets, shares of them and grants: by offer and acceptance, as a sale or as a gift.

What can be handed over, how it is locked meanwhile, and what is paid for it is here for every module that sells.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.module import OWNERS, Module, Rule
from ledger.modules.transfers import handlers, operations
from ledger.modules.transfers.queries import QUERIES
from ledger.modules.transfers.records import INDEXES

MODULE: Final = Module(
    name="transfers",
    operations={
        operations.Offer: handlers.offer,
        operations.OfferGift: handlers.offer_gift,
        operations.Accept: handlers.accept,
        operations.Withdraw: handlers.withdraw,
    },
    rules={
        operations.Offer: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.OfferGift: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.Accept: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Withdraw: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    deadlines={handlers.TRANSFER_EXPIRY: handlers.on_expired},
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
