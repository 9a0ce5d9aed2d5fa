"""What several owners do together: one of them sends the operation, the others have consented to it before.

A consent names the very operation by its digest, so that nothing else can be done with it. It is used up by the
operation, and worthless when its giver has sold the share.
"""

from __future__ import annotations

from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.operations import Consent, WithdrawConsent, action_digest
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.assets.records import CONSENTS, CONSENTS_MAX, Consented
from ledger.modules.fields import BPS, Operation
from ledger.modules.lifetimes import require_lifetime
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import sender_organization

CONSENT_EXPIRY: Final = "assets.consent_expiry"


def consent(context: Context, operation: Consent) -> None:
    """Record the consent of an owner."""
    require_asset(context.view, operation.asset)
    if not any(share.account == context.sender for share in ownership(context.view, operation.asset).shares):
        raise OperationError("assets.not_an_owner", "only an owner of the asset can consent")
    require_lifetime(context, operation.expires_at_ms, "assets.consent_expiry_out_of_range", "a consent expires")
    key = (operation.asset, context.sender, operation.action)
    if CONSENTS.get(context.view, *key) is not None:
        raise OperationError("assets.consent_exists", "the sender has consented to this already")
    if sum(1 for _ in CONSENTS.items(context.view, operation.asset, context.sender)) >= CONSENTS_MAX:
        most = f"{CONSENTS_MAX} consents of the sender about the asset wait"
        raise OperationError("assets.too_many_consents", f"{most}: withdraw one, or wait until one expires")
    organization = sender_organization(context)
    quota.store(context, organization, CONSENTS, Consented(organization, operation.expires_at_ms), *key)
    quota.schedule(context, organization, operation.expires_at_ms, CONSENT_EXPIRY, b"".join(key))
    context.emit(events.Consented(operation.asset, operation.action, context.sender, operation.expires_at_ms))


def withdraw_consent(context: Context, operation: WithdrawConsent) -> None:
    """Take a consent back."""
    key = (operation.asset, context.sender, operation.action)
    record = CONSENTS.get(context.view, *key)
    if record is None:
        raise OperationError("assets.unknown_consent", "the sender has given no such consent, or it is used or expired")
    _use(context, key, record)
    context.emit(events.ConsentWithdrawn(operation.asset, operation.action, context.sender))


def on_consent_expired(context: Context, subject: bytes) -> None:
    """Deadline: remove a consent that was not used."""
    key = (subject[:32], subject[32:64], subject[64:])
    record = CONSENTS.get(context.view, *key)
    assert record is not None  # use and withdrawal cancel the deadline
    quota.swept(context, record.organization)
    quota.remove(context, record.organization, CONSENTS, *key)


def require_all_owners(context: Context, asset: bytes, operation: Operation) -> None:
    """Refuse what not every owner wants: the sender must own a share, and all other owners must have consented to this
    `operation`. Uses the consents up.

    Raises:
        OperationError: `assets.not_an_owner` or `assets.consent_missing`.
    """
    shares = ownership(context.view, asset).shares
    if not any(share.account == context.sender for share in shares):
        raise OperationError("assets.not_an_owner", "only an owner of the asset may do this")
    if len(shares) > 1 and sum(agreed(context, asset, operation).values()) < BPS:
        raise OperationError("assets.consent_missing", "not every owner has consented to this operation")


def require_majority(context: Context, asset: bytes, operation: Operation) -> None:
    """Refuse what no majority of the shares wants: the sender's and those of owners who have consented together. Uses
    the consents up.

    Raises:
        OperationError: `assets.not_majority_owner`.
    """
    require_majority_of(agreed(context, asset, operation))


def require_majority_of(agreeing: dict[bytes, int]) -> None:
    """Refuse what no majority of the shares wants; `agreeing` is what `agreed` has returned.

    Raises:
        OperationError: `assets.not_majority_owner`.
    """
    agreed_bps = sum(agreeing.values())
    if 2 * agreed_bps <= BPS:
        raise OperationError("assets.not_majority_owner", f"it takes more than {BPS // 2} bps; {agreed_bps} agree")


def agreed(context: Context, asset: bytes, operation: Operation) -> dict[bytes, int]:
    """Return account -> bps of the owners who want this `operation`: the sender, if it is one, and those who have
    consented. Uses the consents up."""
    action = action_digest(operation)
    agreeing: dict[bytes, int] = {}
    for share in ownership(context.view, asset).shares:
        if share.account == context.sender:
            agreeing[share.account] = share.bps
            continue
        key = (asset, share.account, action)
        record = CONSENTS.get(context.view, *key)
        if record is not None and context.block_time_ms < record.expires_at_ms:
            agreeing[share.account] = share.bps
            _use(context, key, record)
    return agreeing


def _use(context: Context, key: tuple[bytes, bytes, bytes], record: Consented) -> None:
    quota.cancel(context, record.organization, record.expires_at_ms, CONSENT_EXPIRY, b"".join(key))
    quota.remove(context, record.organization, CONSENTS, *key)
