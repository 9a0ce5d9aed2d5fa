"""How organizations stand in the consortium: governance brings these changes about, each at once.

Suspension stops what an organization's accounts would begin, by the rules that operations state. Removal takes its
voice too. What its accounts own stays theirs either way: who was removed hands it on, withdraws and is refunded.
"""

from __future__ import annotations

import msgspec

from ledger.modules.module import Context, Membership
from ledger.modules.organizations import events, quota
from ledger.modules.organizations.operations import Quota
from ledger.modules.organizations.records import ORGANIZATIONS


def suspend(context: Context, organization: str) -> None:
    """Suspend an active organization."""
    _set(context, organization, "suspended")
    context.emit(events.OrganizationSuspended(organization))


def reinstate(context: Context, organization: str) -> None:
    """Make an organization that was suspended or removed a full member again."""
    _set(context, organization, "active")
    context.emit(events.OrganizationReinstated(organization))


def remove(context: Context, organization: str) -> None:
    """Take a member out of the consortium. Its record stays, and with it its id."""
    _set(context, organization, "removed")
    context.emit(events.OrganizationRemoved(organization))


def set_quota(context: Context, organization: str, chosen: Quota | None) -> None:
    """Give a member a quota of its own, or with None that of the chain's parameters."""
    quota.set_quota(context, organization, chosen)
    limits = (None, None, None) if chosen is None else (chosen.records, chosen.bytes, chosen.deadlines)
    context.emit(events.QuotaSet(organization, *limits))


def _set(context: Context, organization: str, membership: Membership) -> None:
    key = organization.encode("ascii")
    record = ORGANIZATIONS.get(context.view, key)
    assert record is not None
    assert record.membership != membership
    ORGANIZATIONS.put(context.view, msgspec.structs.replace(record, membership=membership), key)
