"""Recovery: an organization gives one of its accounts a new owner key, where the old ones are lost or stolen.

Request, a delay in which an owner key may veto, completion. Whoever asks may lie, and whoever vetoes may be the thief:
so the account's value is frozen meanwhile, and after a veto the consortium decides. A freeze is a time in the account's
record. It ends by itself, in at most 14 days, whatever anybody does or does not do; `Recovery` remembers a request for
30 days, in which no second one and no second vote freezes the account again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.module import Context
from ledger.modules.organizations import events, quota
from ledger.modules.organizations.accounts import is_validators, speaker
from ledger.modules.organizations.keys import check_key, check_no_validators, write_keys
from ledger.modules.organizations.operations import CompleteRecovery, RequestRecovery, VetoRecovery
from ledger.modules.organizations.records import ACCOUNTS, RECOVERIES, Account, AccountKey, Recovery
from ledger.parameters import DAY_MS

FREEZE_MS_MAX: Final = 14 * DAY_MS
"""How long one request, or one vote, freezes an account at most."""
REQUESTS_APART_MS: Final = 30 * DAY_MS
"""A second request within this time is for the consortium to decide."""
RECOVERY_FORGOTTEN: Final = "organizations.recovery_forgotten"
"""The deadline at which a request is forgotten; its subject is the account."""


def request(context: Context, operation: RequestRecovery) -> None:
    """Freeze the account, and let the recovery be completed after the delay."""
    record = _own_account(context, operation.account)
    if operation.account == context.sender:
        raise OperationError("organizations.own_account", "an account rotates its own keys: no recovery is needed")
    if is_validators(record):
        raise OperationError("organizations.validator_account", "a validator gets new keys by a vote: rekey it")
    check_key(context, operation.owner_key)
    now_ms = context.block_time_ms
    known = RECOVERIES.get(context.view, operation.account)
    if known is not None and is_waiting(known, now_ms):
        raise OperationError("organizations.recovery_pending", f"a recovery waits until {known.lapses_at_ms}")
    if known is not None and now_ms < known.forgotten_at_ms:
        raise OperationError(
            "organizations.recovery_needs_vote",
            f"it was requested less than 30 days ago: until {known.forgotten_at_ms} the consortium decides, "
            "by a proposal to recover the account",
        )
    asked = Recovery(
        requested_by=context.sender,
        owner_key=operation.owner_key,
        requested_at_ms=now_ms,
        completable_at_ms=now_ms + context.parameters.recovery_delay_ms,
        lapses_at_ms=now_ms + FREEZE_MS_MAX,
        forgotten_at_ms=now_ms + REQUESTS_APART_MS,
        state="waiting",
    )
    _remember(context, operation.account, record, asked, known)
    _freeze(context, operation.account, record, asked.lapses_at_ms)
    context.emit(
        events.RecoveryRequested(
            account=operation.account,
            requested_by=context.sender,
            owner_key=operation.owner_key,
            completable_at_ms=asked.completable_at_ms,
            lapses_at_ms=asked.lapses_at_ms,
        )
    )


def complete(context: Context, operation: CompleteRecovery) -> None:
    """Replace all keys of the account by the requested one."""
    record = _own_account(context, operation.account)
    known = _waiting(context, operation.account)
    if context.block_time_ms < known.completable_at_ms:
        raise OperationError(
            "organizations.recovery_too_young", f"the owners may veto until {known.completable_at_ms}: try again then"
        )
    _recover(context, operation.account, record, known.owner_key)
    _store(context, operation.account, record, msgspec.structs.replace(known, state="completed"))


def veto(context: Context, _operation: VetoRecovery) -> None:
    """End the recovery of the sender, once: for 30 days another one takes a vote, which has no veto."""
    known = _waiting(context, context.sender)
    record = _account(context, context.sender)
    _store(context, context.sender, record, msgspec.structs.replace(known, state="vetoed"))
    _freeze(context, context.sender, record, 0)
    context.emit(events.RecoveryVetoed(context.sender))


def on_forgotten(context: Context, subject: bytes) -> None:
    """Deadline: forget a request."""
    organization = _account(context, subject).organization
    quota.swept(context, organization)
    quota.remove(context, organization, RECOVERIES, subject)


def is_waiting(recovery: Recovery, now_ms: int) -> bool:
    """Tell whether a request may still be completed, now or later."""
    return recovery.state == "waiting" and now_ms < recovery.lapses_at_ms


# --- called by governance


def freeze_for_vote(context: Context, account: bytes, proposal: bytes, closes_at_ms: int) -> None:
    """Freeze an account while its recovery is voted on, where this is its organization's second request: no longer than
    14 days, and once for each request that is remembered."""
    known = RECOVERIES.get(context.view, account)
    now_ms = context.block_time_ms
    if known is None or now_ms >= known.forgotten_at_ms or known.vote is not None or is_waiting(known, now_ms):
        return
    record = _account(context, account)
    until_ms = min(closes_at_ms, now_ms + FREEZE_MS_MAX)
    voted = msgspec.structs.replace(known, vote=proposal, forgotten_at_ms=now_ms + REQUESTS_APART_MS)
    _remember(context, account, record, voted, known)
    _freeze(context, account, record, until_ms)
    context.emit(events.AccountFrozen(account, proposal, until_ms))


def end_vote(context: Context, account: bytes, proposal: bytes) -> None:
    """End the freeze that the proposal has brought about, if it has. Never raises."""
    known = RECOVERIES.get(context.view, account)
    if known is not None and known.vote == proposal:
        _freeze(context, account, _account(context, account), 0)


def recover_by_vote(context: Context, account: bytes, owner_key: bytes) -> None:
    """Replace all keys of an account at once; a request that waits is thereby settled. Governance has checked that
    `owner_key` is a key.

    Raises:
        OperationError: `organizations.validator_key`.
    """
    record = _account(context, account)
    _recover(context, account, record, owner_key)
    known = RECOVERIES.get(context.view, account)
    if known is not None:
        _store(context, account, record, msgspec.structs.replace(known, state="completed"))


def _own_account(context: Context, account: bytes) -> Account:
    """Return the record of an account for whose organization the sender speaks."""
    sender = speaker(context)
    record = ACCOUNTS.get(context.view, account)
    if record is None:
        raise OperationError("organizations.unknown_account", "no such account on this network")
    if record.organization != sender.organization:
        raise OperationError("organizations.another_organization", f"{record.organization} vouches for the account")
    return record


def _account(context: Context, account: bytes) -> Account:
    record = ACCOUNTS.get(context.view, account)
    assert record is not None
    return record


def _waiting(context: Context, account: bytes) -> Recovery:
    known = RECOVERIES.get(context.view, account)
    if known is None or not is_waiting(known, context.block_time_ms):
        raise OperationError("organizations.no_recovery", "no recovery of the account waits")
    return known


def _recover(context: Context, account: bytes, record: Account, owner_key: bytes) -> None:
    check_no_validators(context, owner_key)
    thawed = msgspec.structs.replace(record, frozen_until_ms=0)
    write_keys(context, account, thawed, (AccountKey(owner_key, "owner"),), enforced=False)
    context.emit(events.AccountRecovered(account, owner_key))


def _freeze(context: Context, account: bytes, record: Account, until_ms: int) -> None:
    changed = msgspec.structs.replace(record, frozen_until_ms=until_ms)
    quota.store(context, record.organization, ACCOUNTS, changed, account, enforced=False)


def _remember(context: Context, account: bytes, record: Account, recovery: Recovery, before: Recovery | None) -> None:
    """Store a request with the deadline that forgets it. No full quota keeps an account from being saved."""
    if before is not None:
        quota.cancel(context, record.organization, before.forgotten_at_ms, RECOVERY_FORGOTTEN, account)
    quota.schedule(context, record.organization, recovery.forgotten_at_ms, RECOVERY_FORGOTTEN, account, enforced=False)
    _store(context, account, record, recovery)


def _store(context: Context, account: bytes, record: Account, recovery: Recovery) -> None:
    quota.store(context, record.organization, RECOVERIES, recovery, account, enforced=False)
