"""Selling assets, shares and grants: at a fixed price, to who offers most, and for what buyers offer of themselves.

What is put up is locked, what is offered for it in escrow, and everything has an end at which both are free again.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.market import auctions, dutch, listings, offers, operations, sales
from ledger.modules.market.queries import QUERIES
from ledger.modules.market.records import INDEXES
from ledger.modules.module import OWNERS, Module, Rule

MODULE: Final = Module(
    name="market",
    operations={
        operations.Commit: sales.commit,
        operations.List: listings.list_for_sale,
        operations.Buy: listings.buy,
        operations.WithdrawListing: listings.withdraw_listing,
        operations.MakeOffer: offers.make_offer,
        operations.AcceptOffer: offers.accept_offer,
        operations.WithdrawOffer: offers.withdraw_offer,
        operations.OpenAuction: auctions.open_auction,
        operations.Bid: auctions.bid,
        operations.OpenDutchAuction: dutch.open_dutch_auction,
        operations.Take: dutch.take,
        operations.CancelAuction: auctions.cancel_auction,
        operations.Settle: auctions.settle,
    },
    rules={
        operations.Commit: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.List: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.Buy: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.WithdrawListing: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.MakeOffer: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.AcceptOffer: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.WithdrawOffer: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.OpenAuction: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.Bid: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.OpenDutchAuction: Rule(
            signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False
        ),
        operations.Take: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.CancelAuction: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Settle: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    deadlines={
        sales.COMMITMENTS.deadline_kind: sales.COMMITMENTS.expire,
        sales.LISTING_EXPIRY: listings.on_listing_expired,
        sales.AUCTION_END: auctions.on_auction_end,
        offers.OFFER_EXPIRY: offers.on_offer_expired,
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
