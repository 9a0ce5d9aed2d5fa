"""From a proposed change of the validator set to one that waits for the epoch's end."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger import deadlines, epochs
from ledger.errors import OperationError
from ledger.genesis import validator_account_id
from ledger.membership import Limit, PendingChange, refusal
from ledger.modules.governance import events
from ledger.modules.governance.founding import check_founding, check_point, found, require_member
from ledger.modules.governance.operations import AddValidator, RekeyValidator, RemoveValidator
from ledger.modules.governance.records import PROPOSALS, ValidatorChange
from ledger.modules.module import Context
from ledger.modules.observers.handlers import observer, promote
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import others_have
from ledger.modules.organizations.handlers import open_validator_account
from ledger.node_names import certified_node_id
from ledger.validators import ValidatorRecord

_CODES: Final = {
    Limit.TOO_FEW: "governance.too_few_validators",
    Limit.TOO_MANY: "governance.too_many_validators",
    Limit.POWER: "governance.power",
    Limit.NODE_TAKEN: "governance.node_taken",
    Limit.KEY_TAKEN: "governance.key_taken",
    Limit.UNKNOWN_NODE: "governance.unknown_validator",
    Limit.NODE_PENDING: "governance.change_pending",
    Limit.PENDING_FULL: "governance.too_many_changes",
}


def require_admissible(context: Context, proposal: bytes, change: ValidatorChange) -> None:
    """Check that an approval of `change` could bring it into effect as things stand.

    Raises:
        OperationError: `governance.*`, the limit that it would break.
    """
    if _candidacy(context, change) is None:
        _admissible(context, proposal, change)


def admit(context: Context, proposal: bytes, change: ValidatorChange) -> int:
    """Let an approved change wait for the epoch's end, or withdraw a candidate at once. Return that end, 0 where it is
    not known yet.

    Raises:
        OperationError: as `require_admissible`.
    """
    candidacy = _candidacy(context, change)
    if candidacy is not None:
        _withdraw(context, candidacy)
        return epochs.current_epoch(context.view).end
    pending = _admissible(context, proposal, change)
    if isinstance(change, AddValidator) and change.founding is not None:
        found(context, change.organization, change.founding)
    if pending.record is not None:
        promote(context, pending.record.node_id)
        open_validator_account(context, pending.record.organization, pending.record.signing_key)
    epochs.add_pending(context.view, pending)
    if pending.ready:
        return epochs.schedule_end(context.view, context.height, context.parameters.window)
    return epochs.current_epoch(context.view).end


def _admissible(context: Context, proposal: bytes, change: ValidatorChange) -> PendingChange:
    """Return the change as it would wait for the epoch's end."""
    pending = _resolve(context, proposal, change)
    others = epochs.pending_changes(context.view)
    if isinstance(change, AddValidator):
        _check_organization(context, change)
    limit = refusal(
        epochs.current_set(context.view).validators,
        [others[order] for order in sorted(others)],
        pending,
        development=epochs.is_development(context.view),
    )
    if limit is not None:
        raise OperationError(_CODES[limit], limit.value)
    return pending


def on_change_expired(context: Context, subject: bytes) -> None:
    """An approved change that could not take effect in time lapses; the new validator's account stays, and can do
    nothing."""
    for order, change in epochs.pending_changes(context.view).items():
        if change.proposal == subject:
            _lapse(context, order, change)


def _lapse(context: Context, order: int, change: PendingChange) -> None:
    epochs.remove_pending(context.view, order)
    proposal = PROPOSALS.get(context.view, change.proposal)
    assert proposal is not None
    lapsed = msgspec.structs.replace(proposal, state="lapsed")
    quota.store(context, proposal.organization, PROPOSALS, lapsed, change.proposal, enforced=False)
    context.emit(events.ChangeLapsed(change.proposal))


def _candidacy(context: Context, change: ValidatorChange) -> int | None:
    """Return the order of the addition that `change` withdraws: it removes a node that is not in the set yet."""
    if not isinstance(change, RemoveValidator):
        return None
    pending = epochs.pending_changes(context.view)
    return next((o for o, c in sorted(pending.items()) if c.kind == "add" and c.node_id == change.node_id), None)


def _withdraw(context: Context, order: int) -> None:
    change = epochs.pending_changes(context.view)[order]
    deadlines.cancel(context.view, change.expires_at_ms, epochs.CHANGE_EXPIRY, change.proposal)
    _lapse(context, order, change)


def _resolve(context: Context, proposal: bytes, change: ValidatorChange) -> PendingChange:
    return PendingChange(
        kind="add" if isinstance(change, AddValidator) else "rekey" if isinstance(change, RekeyValidator) else "remove",
        node_id=change.node_id,
        record=None if isinstance(change, RemoveValidator) else _record(context, change),
        proposal=proposal,
        expires_at_ms=context.block_time_ms + context.parameters.admission_lifetime_ms,
        ready=isinstance(change, RemoveValidator),
    )


def _record(context: Context, change: AddValidator | RekeyValidator) -> ValidatorRecord:
    name = certified_node_id(change.tls_certificate)
    if name is None:
        raise OperationError("governance.tls_certificate", "the TLS certificate holds no Ed25519 key, or several")
    if isinstance(change, AddValidator):
        organization = change.organization
        if name != change.node_id:
            raise OperationError("governance.node_id", f"the TLS certificate is that of the node {name}")
    else:
        present = _member(context, change.node_id)
        organization = present.organization
        if name == change.node_id and change.tls_certificate != present.tls_certificate:
            # Links know one certificate of a node: the new one would cut it off before it is ready for it.
            raise OperationError("governance.tls_certificate", "another certificate needs another TLS key")
    following = observer(context.view, name)
    if following is not None and following.organization != organization:
        raise OperationError("governance.node_taken", f"the node is an observer of {following.organization}")
    account = validator_account_id(context.network_id, organization, change.signing_key)
    _check_key(context, change.signing_key, account)
    return ValidatorRecord(
        organization=organization,
        account=account,
        node_id=name,
        signing_key=change.signing_key,
        tls_certificate=change.tls_certificate,
        address=change.address,
        incarnation=0,
    )


def _check_organization(context: Context, change: AddValidator) -> None:
    """Check the organization of a new validator: it is here, or it comes with the validator."""
    if change.founding is None:
        require_member(context.view, change.organization)
        return
    check_founding(context, change.organization, change.founding)
    if any(founder.key == change.signing_key for founder in change.founding.accounts):
        raise OperationError("governance.key_of_account", "the signing key belongs to an account: use separate keys")


def _member(context: Context, node_id: str) -> ValidatorRecord:
    for member in epochs.current_set(context.view).validators:
        if member.node_id == node_id:
            return member
    raise OperationError(_CODES[Limit.UNKNOWN_NODE], Limit.UNKNOWN_NODE.value)


def _check_key(context: Context, key: bytes, account: bytes) -> None:
    check_point(key)
    if others_have(context.view, key, account):
        raise OperationError("governance.key_of_account", "the signing key belongs to an account: use separate keys")
