"""Making a contribution the asset's next version, and giving its reward, in one step.

`accept` is what owners by their manager, and an asset's organization by its vote, decide on; whoever calls it has asked
them. Nothing is left to anybody's word afterwards: the version, the contributor's name on it, the share and the credits
come together or not at all.
"""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.consents import agreed, require_majority_of
from ledger.modules.assets.lineage import Maker, derive
from ledger.modules.assets.operations import Provenance
from ledger.modules.assets.reads import require_manageable, sole_owner
from ledger.modules.assets.records import ASSETS, CONTRIBUTORS, Asset, Contributor, version_part
from ledger.modules.assets.registration import write_version
from ledger.modules.charters.reading import require_unguarded
from ledger.modules.contributions import bounties, ending, events
from ledger.modules.contributions.operations import Accept, Reward
from ledger.modules.contributions.reads import require_open
from ledger.modules.contributions.records import BY_ASSET, BY_MAKER, CONTRIBUTIONS, STATES, Contribution
from ledger.modules.fields import MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.transfers import rewards


def accept_by_manager(context: Context, operation: Accept) -> None:
    """Accept for a majority of the shares, and for everybody whose share becomes smaller by it."""
    record = require_open(context, operation.contribution)
    asset = require_manageable(context.view, record.asset)
    if asset.manager != context.sender:
        raise OperationError("assets.not_manager", "only the asset's manager accepts contributions")
    require_unguarded(context.view, record.asset, "contributions")
    agreeing = agreed(context, record.asset, operation)
    require_majority_of(agreeing)
    # A majority could else give most of the asset, the minority's part with it, to a friend for next to nothing.
    given = _given(context, record, operation.reward)
    if not agreeing.keys() >= given.keys():
        raise OperationError("assets.consent_missing", "an owner whose share would become smaller has not consented")
    accept(context, operation.contribution, operation.reward, payer=context.sender)


def accept(context: Context, contribution: bytes, reward: Reward, payer: bytes | None = None) -> None:
    """Make an open contribution the asset's next version, for `reward`.

    `payer` is who has signed for it, and pays the least royalties of a share; a bounty that is its own needs no award.
    Without one, as by a vote, there must be none to pay.

    Raises:
        OperationError: `contributions.*`; `assets.*` and `royalties.*` as for a version of the manager's;
            `transfers.*`, `organizations.frozen` and `credits.insufficient` for a share.
    """
    record = require_open(context, contribution)
    asset = require_manageable(context.view, record.asset)
    if asset.transfers != record.transfers:
        raise OperationError("contributions.asset_changed_hands", "it was proposed to those who owned the asset then")
    if reward.share_bps < record.share_bps_min:
        raise OperationError("contributions.reward_too_low", f"the least share is {record.share_bps_min} bps")
    if reward.share_bps and not record.share_bps_min:
        # Nobody becomes an owner unasked: what an owner's organization states about the asset counts for nothing.
        raise OperationError("contributions.share_unasked", "the contributor has asked for no share")
    if reward.bounty != record.bounty:
        raise OperationError("contributions.wrong_bounty", "the reward names the bounty that the contribution names")
    if reward.giver is not None and not reward.share_bps:
        raise OperationError("contributions.giver", "who gives no share is not named")
    number = _add_version(context, contribution, record, asset)
    if record.bounty is not None:
        bounties.on_acceptance(context, record.bounty, contribution, record, payer)
    ending.close(context, contribution, record)
    if reward.share_bps:
        _give_share(context, record, reward, payer)
    accepted = msgspec.structs.replace(
        record,
        state="accepted",
        provenance=Provenance(),
        message="",
        comments=0,
        version=number,
        share_bps=reward.share_bps,
        accepted_at_ms=context.block_time_ms,
        manager=asset.manager,
    )
    organization = organization_of(context.view, record.contributor)
    quota.store(context, organization, CONTRIBUTIONS, accepted, contribution, enforced=False)
    for table, key in ((BY_ASSET, record.asset), (BY_MAKER, record.contributor)):
        quota.store(context, organization, table, MARKER, key, STATES["accepted"], contribution, enforced=False)
    context.emit(events.Accepted(contribution, record.asset, number, record.contributor, reward.share_bps))


def _add_version(context: Context, identifier: bytes, record: Contribution, asset: Asset) -> int:
    """Add the version, by the grants that its maker holds now, and return its number."""
    number = asset.versions + 1
    maker = Maker(record.contributor, sole_owner(context.view, record.asset), asset.manager)
    asset = derive(context, record.asset, asset, maker, number, record.provenance.derivations)
    asset = msgspec.structs.replace(asset, versions=number)
    organization, tally = asset.organization, quota.Tally(context)
    tally.store(organization, ASSETS, asset, record.asset)
    write_version(
        context, tally, record.asset, organization, number, record.artifact, record.provenance, record.message
    )
    credited = Contributor(record.contributor, identifier)
    tally.put(organization, CONTRIBUTORS.key(record.asset, version_part(number)), None, credited)
    tally.settle()
    return number


def _given(context: Context, record: Contribution, reward: Reward) -> dict[bytes, int]:
    if not reward.share_bps:
        return {}
    return rewards.givers(context.view, record.asset, record.contributor, reward.share_bps, reward.giver)


def _give_share(context: Context, record: Contribution, reward: Reward, payer: bytes | None) -> None:
    given = _given(context, record, reward)
    if not given:
        return  # who owns all of it has asked for a part of its own
    if payer is None:
        if rewards.reward_royalty(context.view, record.asset, record.contributor, given):
            raise OperationError("contributions.royalty_due", "the share costs a royalty, and nobody signs for it")
        payer = record.contributor  # of nothing
    rewards.reward(context, record.asset, record.contributor, given, payer)
