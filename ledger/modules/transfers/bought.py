"""What of each owner's share was paid for. A dispute takes an asset back from who did not pay, and from nobody else.

Whoever buys from another organization is protected, and with it everybody to whom it passes the share on as a gift.
What moves inside one organization was not bought. What was not bought leaves its holder first.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import BOUGHT, Bought
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import same_organization
from ledger.state.view import Readable


class Move(NamedTuple):
    """Shares that change hands."""

    giver: bytes
    held_bps: int
    """The giver's, before."""
    recipient: bytes
    bps: int
    paid: bool


def bought_bps(view: Readable, asset: bytes, account: bytes) -> int:
    """Return how much of an owner's share was paid for."""
    record = BOUGHT.get(view, asset, account)
    return 0 if record is None else record.bps


def carry(context: Context, asset: bytes, move: Move) -> None:
    """Keep the records of what was bought in step with a move of shares."""
    before = BOUGHT.get(context.view, asset, move.giver)
    own_bps = 0 if before is None else before.bps
    unbought_bps = move.held_bps - own_bps
    carried_bps = max(0, move.bps - unbought_bps)
    if before is not None and carried_bps:
        _set(context, asset, move.giver, own_bps - carried_bps, before.source)
    source = move.giver if before is None or unbought_bps else before.source
    gained_bps = carried_bps
    if move.paid and not same_organization(context.view, move.giver, move.recipient):
        gained_bps = move.bps
    elif carried_bps and before is not None:
        source = before.source
    # Who sold what was not its own is not protected by buying it again.
    if gained_bps and not same_organization(context.view, source, move.recipient):
        _set(context, asset, move.recipient, bought_bps(context.view, asset, move.recipient) + gained_bps, source)


def _set(context: Context, asset: bytes, account: bytes, bps: int, source: bytes) -> None:
    organization = require_asset(context.view, asset).organization
    if bps:
        quota.store(context, organization, BOUGHT, Bought(bps, source), asset, account, enforced=False)
    else:
        quota.remove(context, organization, BOUGHT, asset, account)
