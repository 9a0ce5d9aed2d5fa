"""What can be seen of charters and of what owners propose, in the shape of observation_kit.py."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.charters.fair_price import fair_price
from ledger.modules.charters.records import CHARTERS, PROPOSALS, SALES, SHARE_PRICES, Proposal
from ledger.modules.market.conditions import condition_digest
from ledger.modules.market.operations import Condition
from ledger.modules.royalties.records import POOLS
from ledger.state.view import StateView
from tests.reference import charters

Tables = dict[str, dict[Any, Any]]


def reference_charters(state: Any) -> Tables:
    """What the reference ledger shows."""
    return {
        "charters": dict(state.charters),
        "owners' proposals": dict(state.proposals),
        "decided sales": {
            asset: row | {"condition": condition_digest(Condition(**row["condition"]))}
            for asset, row in state.sales.items()
        },
        "treasuries": {
            asset: (charter["treasury_bps"], state.treasury_rests.get(asset, 0))
            for asset, charter in state.charters.items()
            if charter["treasury_bps"] or state.treasury_rests.get(asset)
        },
        "fair prices": {asset: price for asset in state.share_sales if (price := charters.fair_price(state, asset))},
    }


def seen_charters(view: StateView, now_ms: int) -> Tables:
    """What the real ledger shows."""
    return {
        "charters": {
            asset: charters.plain_charter(row.rules)
            | {"revision": row.revision, "since": row.since_ms, "spent": row.payments}
            for asset, row in CHARTERS.items(view)
        },
        "owners' proposals": {key: _proposal(row) for key, row in PROPOSALS.items(view)},
        "decided sales": {
            asset: {
                "proposal": row.proposal,
                "offer": row.offer,
                "buyer": row.buyer,
                "price": row.price,
                "condition": row.condition,
                "decided": row.decided_at_ms,
            }
            for asset, row in SALES.items(view)
        },
        "treasuries": {
            asset: (row.treasury_bps, row.treasury_remainder)
            for asset, row in POOLS.items(view)
            if CHARTERS.get(view, asset) is not None and (row.treasury_bps or row.treasury_remainder)
        },
        "fair prices": {
            asset: price for asset, _ in SHARE_PRICES.items(view) if (price := fair_price(view, asset, now_ms))
        },
    }


def _proposal(row: Proposal) -> dict[str, Any]:
    needed = row.required
    return {
        "asset": row.asset,
        "proposer": row.proposer,
        "action": msgspec.msgpack.encode(row.action),
        "text": (row.title, row.text),
        "revision": row.revision,
        "transfers": row.transfers,
        "required": (needed.quorum_bps, needed.threshold_bps, needed.of_all_bps),
        "power": {voter.account: voter.bps for voter in row.voters},
        "votes": {voter.account: voter.approve for voter in row.voters if voter.approve is not None},
        "proposed": row.proposed_at_ms,
        "closes": row.closes_at_ms,
        "state": row.state,
        "code": row.code,
        "decided": row.decided_at_ms,
    }
