"""Proposing versions to somebody else's asset, talking about them, refusing them and taking them back."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import reservations
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.claims import check_claims
from ledger.modules.assets.lineage import Maker, descent, terms_of_grant
from ledger.modules.assets.operations import Derivation
from ledger.modules.assets.reads import ownership, require_asset, require_version, sole_owner
from ledger.modules.assets.records import Asset
from ledger.modules.assets.registration import check_artifact, reveal
from ledger.modules.charters.reading import require_unguarded
from ledger.modules.contributions import bounties, ending, events
from ledger.modules.contributions.operations import Comment, Propose, Refuse, Withdraw, contribution_id
from ledger.modules.contributions.reads import concerned, require_contribution, require_open
from ledger.modules.contributions.records import (
    BY_ASSET,
    BY_MAKER,
    COMMENTS,
    COMMENTS_ACCOUNT_MAX,
    COMMENTS_MAX,
    CONTRIBUTIONS,
    OPEN_ASSET_MAX,
    OPEN_MAKER_MAX,
    OPEN_ORGANIZATION_MAX,
    STATES,
    Contribution,
    Said,
    comment_part,
)
from ledger.modules.fields import MARKER
from ledger.modules.licenses.grants import exclusive_grant_over
from ledger.modules.lifetimes import require_lifetime
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization

EXPIRY = ending.EXPIRY


def propose(context: Context, operation: Propose) -> None:
    """Open a contribution, and reserve its artifact for the sender for ever."""
    asset = require_asset(context.view, operation.asset)
    if asset.retired:
        raise OperationError("assets.retired", f"asset {operation.asset.hex()} is retired")
    require_version(context.view, operation.asset, operation.parent_version)
    require_lifetime(context, operation.expires_at_ms, "contributions.expiry_out_of_range", "a contribution expires")
    _require_right(context, operation, asset)
    check_artifact(context, operation.artifact, asset.kind)
    check_claims(context.view, operation.provenance.metrics)
    reveal(context, operation.artifact, operation.salt)
    maker = Maker(context.sender, sole_owner(context.view, operation.asset), asset.manager)
    descent(context, operation.asset, asset, maker, asset.versions + 1, operation.provenance.derivations)
    organization = sender_organization(context)
    _require_room(context, operation.asset, organization)
    identifier = contribution_id(context.transaction_id, operation.asset, operation.artifact.cid)
    if operation.bounty is not None:
        bounties.name_bounty(context, operation.bounty, operation.asset)
    record = Contribution(
        asset=operation.asset,
        contributor=context.sender,
        artifact=operation.artifact,
        parent_version=operation.parent_version,
        right=operation.right,
        grant=operation.grant,
        provenance=operation.provenance,
        message=operation.message,
        share_bps_min=operation.share_bps_min,
        bounty=operation.bounty,
        transfers=asset.transfers,
        proposed_at_ms=context.block_time_ms,
        expires_at_ms=operation.expires_at_ms,
    )
    quota.create(
        context,
        organization,
        (CONTRIBUTIONS, record, (identifier,)),
        (BY_ASSET, MARKER, (operation.asset, STATES["open"], identifier)),
        (BY_MAKER, MARKER, (context.sender, STATES["open"], identifier)),
    )
    reservations.reserve(context, operation.artifact, identifier)
    quota.schedule(context, organization, operation.expires_at_ms, EXPIRY, identifier)
    context.announce_artifact(ending.proposed(identifier, record))
    context.emit(
        events.Proposed(
            contribution=identifier,
            asset=operation.asset,
            contributor=context.sender,
            cid=operation.artifact.cid,
            bounty=operation.bounty,
            expires_at_ms=operation.expires_at_ms,
        )
    )


def comment(context: Context, operation: Comment) -> None:
    """Note what somebody has said who has to do with it."""
    identifier = operation.contribution
    record = require_open(context, identifier)
    if not concerned(context, record):
        raise OperationError("contributions.not_a_party", "contributor, owners, manager and evaluators talk about it")
    check_cid(operation.text, "contributions.text")
    own = sum(said.account == context.sender for _, said in COMMENTS.items(context.view, identifier))
    if record.comments >= COMMENTS_MAX or own >= COMMENTS_ACCOUNT_MAX:
        most = f"{COMMENTS_MAX} on one contribution, {COMMENTS_ACCOUNT_MAX} of one account"
        raise OperationError("contributions.too_many_comments", f"at most {most}")
    said = Said(context.sender, operation.text, context.block_time_ms)
    quota.store(context, sender_organization(context), COMMENTS, said, identifier, comment_part(record.comments))
    counted = msgspec.structs.replace(record, comments=record.comments + 1)
    by = organization_of(context.view, record.contributor)
    quota.store(context, by, CONTRIBUTIONS, counted, identifier, enforced=False)
    context.emit(events.Commented(identifier, record.asset, context.sender, operation.text))


def refuse(context: Context, operation: Refuse) -> None:
    """End a contribution against its contributor's wish, who keeps the artifact."""
    record = require_open(context, operation.contribution)
    if require_asset(context.view, record.asset).manager != context.sender:
        raise OperationError("assets.not_manager", "only the asset's manager refuses contributions")
    require_unguarded(context.view, record.asset, "contributions")
    ending.end(context, operation.contribution, record, "refused", operation.reason)


def withdraw(context: Context, operation: Withdraw) -> None:
    """End a contribution at its contributor's wish."""
    record = require_contribution(context.view, operation.contribution)
    if record.contributor != context.sender:
        raise OperationError("contributions.not_the_contributor", "only its contributor takes a contribution back")
    if record.state != "open":
        raise OperationError("contributions.not_open", "it is accepted")
    ending.end(context, operation.contribution, record, "withdrawn")


def on_expired(context: Context, subject: bytes) -> None:
    """Deadline: end a contribution that nobody has decided on."""
    record = CONTRIBUTIONS.get(context.view, subject)
    assert record is not None  # whatever ends a contribution cancels its deadline
    ending.end(context, subject, record, "expired")


def _require_right(context: Context, operation: Propose, asset: Asset) -> None:
    """Check that the sender may derive from the asset: by the grant that it names, or as an owner. A training is not
    counted: the owners themselves get what comes of it."""
    derivation = Derivation(operation.asset, operation.right, operation.grant)
    if asset.kind == "dataset" and operation.right != "train-on":
        raise OperationError("assets.derivation_right", "a data set is used by the right train-on")
    if operation.grant is not None:
        terms_of_grant(context, (context.sender,), derivation, operation.grant)
        return
    if not any(share.account == context.sender for share in ownership(context.view, operation.asset).shares):
        raise OperationError("assets.derivation_without_grant", "who owns no share needs a live grant to derive")
    if exclusive_grant_over(context.view, operation.asset, operation.right, context.block_time_ms) is not None:
        raise OperationError("assets.derivation_denied", "an exclusive grant keeps the owners from it")


def _require_room(context: Context, asset: bytes, organization: str) -> None:
    """Bound what waits for a decision, so that nobody is buried in contributions."""
    known = [key for key, _ in BY_ASSET.items(context.view, asset, STATES["open"])]
    if len(known) >= OPEN_ASSET_MAX:
        raise OperationError("contributions.too_many_on_asset", f"at most {OPEN_ASSET_MAX} are open to one asset")
    makers = [require_contribution(context.view, key).contributor for key in known]
    if sum(organization_of(context.view, maker) == organization for maker in makers) >= OPEN_ORGANIZATION_MAX:
        most = OPEN_ORGANIZATION_MAX
        raise OperationError("contributions.too_many_of_organization", f"at most {most} of one organization are open")
    own = sum(1 for _ in BY_MAKER.items(context.view, context.sender, STATES["open"]))
    if own >= OPEN_MAKER_MAX:
        raise OperationError(
            "contributions.too_many_of_contributor", f"at most {OPEN_MAKER_MAX} of one account are open"
        )
