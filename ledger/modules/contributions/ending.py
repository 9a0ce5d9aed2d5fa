"""What is gone with a contribution that is decided: its deadline, what was said about it, its place at a bounty."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.modules.assets import reservations
from ledger.modules.contributions import events
from ledger.modules.contributions.records import (
    BOUNTIES,
    BY_ASSET,
    BY_MAKER,
    COMMENTS,
    CONTRIBUTIONS,
    STATES,
    Contribution,
    comment_part,
)
from ledger.modules.module import ArtifactRecord, Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of

EXPIRY: Final = "contributions.expiry"
"""The deadline that ends an open contribution; its subject is the contribution's id."""


def end(context: Context, identifier: bytes, record: Contribution, reason: events.EndReason, said: str = "") -> None:
    """End an open contribution of which nothing came. Cannot fail."""
    tally = quota.Tally(context)
    _close(context, tally, identifier, record, swept=reason == "expired")
    reservations.keep(context, tally, record.artifact)
    tally.remove(organization_of(context.view, record.contributor), CONTRIBUTIONS, identifier)
    tally.settle()
    context.announce_artifact(proposed(identifier, record, gone=True))
    context.emit(events.Ended(identifier, record.asset, reason, said))


def proposed(identifier: bytes, record: Contribution, *, gone: bool = False) -> ArtifactRecord:
    """Return what nodes are told of a contribution's artifact."""
    artifact = record.artifact
    return ArtifactRecord(record.asset, 0, artifact.cid, artifact.size_bytes, taken_down=gone, contribution=identifier)


def close(context: Context, identifier: bytes, record: Contribution) -> None:
    """Take away what only an open contribution has; the record is the caller's."""
    tally = quota.Tally(context)
    _close(context, tally, identifier, record, swept=False)
    tally.settle()


def _close(context: Context, tally: quota.Tally, identifier: bytes, record: Contribution, *, swept: bool) -> None:
    organization = organization_of(context.view, record.contributor)
    if swept:
        tally.swept(organization)
    else:
        tally.cancel(organization, record.expires_at_ms, EXPIRY, identifier)
    for number in range(record.comments):
        said = COMMENTS.get(context.view, identifier, comment_part(number))
        assert said is not None  # they are numbered without gaps
        tally.remove(organization_of(context.view, said.account), COMMENTS, identifier, comment_part(number))
    tally.remove(organization, BY_ASSET, record.asset, STATES["open"], identifier)
    tally.remove(organization, BY_MAKER, record.contributor, STATES["open"], identifier)
    _leave_bounty(context, tally, identifier, record)


def _leave_bounty(context: Context, tally: quota.Tally, identifier: bytes, record: Contribution) -> None:
    bounty = None if record.bounty is None else BOUNTIES.get(context.view, record.bounty)
    if bounty is None:
        return
    assert record.bounty is not None
    awarded = None if bounty.awarded == identifier else bounty.awarded
    left = msgspec.structs.replace(bounty, named=bounty.named - 1, awarded=awarded)
    tally.store(organization_of(context.view, bounty.opener), BOUNTIES, left, record.bounty, enforced=False)
