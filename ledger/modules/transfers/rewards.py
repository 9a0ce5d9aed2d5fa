"""A share of an asset that is given for work: from one owner, or from all by their shares.

It is a gift by the rules of gifts, or whoever sells a share beside the chain would call it a reward: terms that forbid
gifts forbid it, least royalties are due, and no dispute takes it for bought. Nobody's share becomes smaller than what
transfers, listings and auctions have locked.
"""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import ownership, require_asset, require_sellable
from ledger.modules.assets.records import OWNERS_MAX, SHARE_LOCKS
from ledger.modules.fields import BPS
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import organization_of, require_party, require_unfrozen
from ledger.modules.royalties import payments
from ledger.modules.transfers import events
from ledger.modules.transfers.conveyance import move_shares
from ledger.state.view import Readable


def diluted(shares: dict[bytes, int], bps: int) -> dict[bytes, int]:
    """Return account -> what it gives of `bps`, in proportion to `shares`, which sum to 10_000: rounded down, and the
    rest one by one from those who lost most by that, of equals in order of account (Hamilton's method). Nobody gives
    more than it has."""
    parts = {account: divmod(held * bps, BPS) for account, held in sorted(shares.items())}
    given = {account: whole for account, (whole, _) in parts.items()}
    rest = bps - sum(given.values())
    for account in sorted(parts, key=lambda one: (-parts[one][1], one))[:rest]:
        given[account] += 1
    return {account: part for account, part in given.items() if part}


def givers(view: Readable, asset_id: bytes, recipient: bytes, bps: int, giver: bytes | None) -> dict[bytes, int]:
    """Return account -> bps that it gives up so that the recipient gets `bps`: what the recipient itself would give as
    an owner stays where it is.

    Raises:
        OperationError: `transfers.self_transfer`, `transfers.not_the_holder`.
    """
    shares = {share.account: share.bps for share in ownership(view, asset_id).shares}
    if giver is None:
        given = diluted(shares, bps)
        given.pop(recipient, None)
        return given
    if giver == recipient:
        raise OperationError("transfers.self_transfer", "giver and recipient are one account")
    if shares.get(giver, 0) < bps:
        raise OperationError("transfers.not_the_holder", f"the giver has less than {bps} bps of the asset")
    return {giver: bps}


def reward_royalty(view: Readable, asset_id: bytes, recipient: bytes, given: dict[bytes, int]) -> int:
    """Return the units of least royalties that are due when `given` goes to the recipient."""
    terms = require_asset(view, asset_id).transfer_terms
    return payments.gift_royalty(view, asset_id, terms, exempt=_is_exempt(view, recipient, given))


def reward(context: Context, asset_id: bytes, recipient: bytes, given: dict[bytes, int], payer: bytes) -> None:
    """Move `given` (account -> bps, as `givers` returns it) to the recipient; least royalties come from `payer`.

    Raises:
        OperationError: `transfers.*`, `assets.frozen`, `organizations.frozen`, `credits.insufficient`.
    """
    view = context.view
    asset = require_asset(view, asset_id)
    if asset.recall is not None:
        require_sellable(asset)
    if not asset.transfer_terms.gifts:
        raise OperationError("transfers.gifts_forbidden", "the asset's transfer terms forbid gifts")
    require_party(view, recipient, "transfers.invalid_recipient")
    shares = {share.account: share.bps for share in ownership(view, asset_id).shares}
    for account, bps in given.items():
        require_unfrozen(context, account)
        lock = SHARE_LOCKS.get(view, asset_id, account)
        if lock is not None and shares[account] - lock.bps < bps:
            raise OperationError("transfers.locked", f"{lock.bps} bps of an owner's are in transfers or sales")
    left = sum(1 for account, bps in shares.items() if given.get(account) != bps)
    if recipient not in shares and left >= OWNERS_MAX:
        raise OperationError("transfers.too_many_owners", f"an asset has at most {OWNERS_MAX} owners")
    gift = payments.Gift("share", asset_id, asset.organization, asset.transfer_terms, payer, payer)
    payments.pay_gift(context, gift, exempt=_is_exempt(view, recipient, given))
    move_shares(context, asset_id, given, recipient, paid=False)
    for account, bps in given.items():
        context.emit(events.Conveyed("share", asset_id, bps, asset_id, account, recipient, 0))


def _is_exempt(view: Readable, recipient: bytes, given: dict[bytes, int]) -> bool:
    target = organization_of(view, recipient)
    return all(organization_of(view, account) == target for account in given)
