"""Carrying a final decision out. Nothing here may fail, whatever has become of the subject meanwhile."""

from __future__ import annotations

import msgspec

from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.assets.records import ASSETS, OWNERS_MAX, SHARE_LOCKS, Asset
from ledger.modules.attestations import statements
from ledger.modules.disputes import events
from ledger.modules.disputes.bonds import portions
from ledger.modules.disputes.records import DISPUTES, Dispute, debt_id
from ledger.modules.fields import BPS
from ledger.modules.licenses.disputing import release_grant
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.royalties.debts import Due, owe
from ledger.modules.transfers.bought import bought_bps
from ledger.modules.transfers.conveyance import move_shares


def grant_relief(context: Context, identifier: bytes, dispute: Dispute) -> Dispute:
    """Do what an upheld claim asks for, `transfer_back` aside, and return the dispute as it is then."""
    if dispute.relief == "freeze_sales":
        _count_freeze(context, dispute.asset, 1)
        context.emit(events.Frozen(identifier, dispute.asset))
        return msgspec.structs.replace(dispute, freezing=True)
    if dispute.relief == "lift":
        frozen = DISPUTES.get(context.view, dispute.subject.id)
        assert frozen is not None
        if frozen.freezing:
            lift(context, dispute.subject.id, frozen)
        return dispute
    if dispute.relief == "refund":
        refunded = release_grant(context, dispute.subject.id, "refund")
        returned = msgspec.structs.replace(dispute, refunded=refunded)
        return _owe(context, identifier, returned, dispute.amount - refunded, into=None)
    if dispute.relief == "refute":
        paid = statements.refute(context, dispute.subject.id, identifier, dispute.claim.account, dispute.amount)
        statements.release(context, dispute.subject.id)
        return msgspec.structs.replace(dispute, owed=paid)
    assert dispute.relief == "payment"
    return _owe(context, identifier, dispute, dispute.amount, into=dispute.asset)


def deny_relief(context: Context, dispute: Dispute) -> None:
    """End what the filing held: a disputed grant goes on, a bond may return."""
    if dispute.relief == "refund":
        release_grant(context, dispute.subject.id, "settle")
    elif dispute.relief == "refute":
        statements.release(context, dispute.subject.id)


def lift(context: Context, identifier: bytes, dispute: Dispute) -> None:
    """End the freeze of a dispute that freezes."""
    assert dispute.freezing
    _count_freeze(context, dispute.asset, -1)
    lifted = msgspec.structs.replace(dispute, freezing=False)
    quota.store(context, dispute.organization, DISPUTES, lifted, identifier, enforced=False)
    context.emit(events.Lifted(identifier, dispute.asset))


def take_back(context: Context, identifier: bytes, dispute: Dispute) -> Dispute | None:
    """Give the claimant what nobody has paid for, and make a debt of the rest. Return the dispute as it is then, or
    None while the asset is locked: no sale or gift of it can be concluded then, and every lock has an end."""
    asset = require_asset(context.view, dispute.asset)
    if asset.recall not in (None, identifier):
        return None
    if asset.locked_by is not None or next(SHARE_LOCKS.items(context.view, dispute.asset), None) is not None:
        if asset.recall is None:
            _store(context, dispute.asset, msgspec.structs.replace(asset, recall=identifier))
            context.emit(events.RecallWaiting(identifier, dispute.asset))
        return None
    claimant = dispute.claim.account
    taken = _within_reach(context, dispute, asset)
    if taken:
        changed = msgspec.structs.replace(
            asset,
            manager=claimant,
            transfers=asset.transfers + 1,
            retired=False,  # Nobody can take it out of trade for ever who had no right to it.
            recall=None,
            recalls=asset.recalls + 1,
        )
        _store(context, dispute.asset, changed)
        move_shares(context, dispute.asset, taken, claimant, paid=False, enforced=False)
    elif asset.recall is not None:
        _store(context, dispute.asset, msgspec.structs.replace(asset, recall=None))
    bps = sum(taken.values())
    context.emit(events.TakenBack(identifier, dispute.asset, claimant, bps))
    held = {share.account: share.bps for share in ownership(context.view, dispute.asset).shares}
    free_bps = held.get(claimant, 0) - bought_bps(context.view, dispute.asset, claimant)
    back = msgspec.structs.replace(dispute, taken_bps=bps)
    return _owe(context, identifier, back, dispute.amount * (BPS - free_bps) // BPS, into=None)


def _within_reach(context: Context, dispute: Dispute, asset: Asset) -> dict[bytes, int]:
    """Return account -> bps that the claimant gets."""
    if asset.recalls != dispute.recalls:
        # Another dispute gave it to its claimant, against whom nothing was decided here.
        return {}
    shares = ownership(context.view, dispute.asset).shares
    taken = {
        share.account: share.bps - bought_bps(context.view, dispute.asset, share.account)
        for share in shares
        if share.account != dispute.claim.account
    }
    taken = {account: bps for account, bps in taken.items() if bps}
    stay = {share.account for share in shares if taken.get(share.account) != share.bps}
    return taken if len(stay | {dispute.claim.account}) <= OWNERS_MAX else {}


def _owe(context: Context, identifier: bytes, dispute: Dispute, amount: int, *, into: bytes | None) -> Dispute:
    """Make the respondents pay, each its part. A bond that went to the claimant counts for what is the claimant's."""
    if into is None and dispute.answer is not None:
        amount = max(0, amount - dispute.answer.bond)
    creditor = dispute.claim.account
    for respondent, part in zip(dispute.respondents, portions(amount, dispute.respondents), strict=True):
        debtor = respondent.account
        owe(context, debt_id(identifier, debtor), identifier, Due(debtor, creditor, part, into))
    return msgspec.structs.replace(dispute, owed=amount)


def _count_freeze(context: Context, asset_id: bytes, change: int) -> None:
    asset = require_asset(context.view, asset_id)
    _store(context, asset_id, msgspec.structs.replace(asset, freezes=asset.freezes + change))


def _store(context: Context, asset_id: bytes, asset: Asset) -> None:
    quota.store(context, asset.organization, ASSETS, asset, asset_id, enforced=False)
