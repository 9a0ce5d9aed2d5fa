"""Registering and withdrawing observers, and what becomes of one that is let in as a validator."""

from __future__ import annotations

from ledger import epochs
from ledger.errors import OperationError
from ledger.modules.fields import MARKER
from ledger.modules.module import Context
from ledger.modules.observers import events
from ledger.modules.observers.operations import Register, Withdraw, registration_bytes
from ledger.modules.observers.records import (
    OBSERVERS,
    OBSERVERS_PER_ORGANIZATION_MAX,
    ORGANIZATION_OBSERVERS,
    Observer,
)
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import speaker
from ledger.modules.organizations.records import organization_part
from ledger.node_names import certified_key
from ledger.state.view import Readable
from primitives.identifiers import node_id
from primitives.keys import verify


def register(context: Context, operation: Register) -> None:
    """Enter a node, or give one of the organization's own another certificate or address."""
    organization = speaker(context).organization
    _check_node(context, organization, operation)
    known = OBSERVERS.get(context.view, _part(operation.node_id))
    if known is None:
        _check_room(context, organization)
        if operation.node_id in _validating(context.view):
            raise OperationError("observers.node_taken", "the node is a validator, or one on the way")
    elif known.organization != organization:
        raise OperationError("observers.node_taken", f"the node is an observer of {known.organization}")
    record = Observer(
        organization=organization,
        tls_certificate=operation.tls_certificate,
        address=operation.address,
        registered_at_ms=context.block_time_ms if known is None else known.registered_at_ms,
    )
    node, member = _part(operation.node_id), organization_part(organization)
    quota.store(context, organization, OBSERVERS, record, node)
    quota.store(context, organization, ORGANIZATION_OBSERVERS, MARKER, member, node)
    context.emit(events.Registered(operation.node_id, organization, operation.address))


def withdraw(context: Context, operation: Withdraw) -> None:
    """Take a node out."""
    organization = speaker(context).organization
    known = OBSERVERS.get(context.view, _part(operation.node_id))
    if known is None:
        raise OperationError("observers.unknown_observer", "no observer has this node id")
    if known.organization != organization:
        raise OperationError("observers.another_organization", f"the observer is one of {known.organization}")
    _remove(context, operation.node_id, known)


def observer(view: Readable, node: str) -> Observer | None:
    """Return the record of an observer, or None."""
    return OBSERVERS.get(view, _part(node))


def promote(context: Context, node: str) -> None:
    """End the registration of a node that was let in as a validator; one that is no observer is no error."""
    known = OBSERVERS.get(context.view, _part(node))
    if known is not None:
        _remove(context, node, known)


def _check_node(context: Context, organization: str, operation: Register) -> None:
    """Check that certificate and proof are of the node that is named."""
    key = certified_key(operation.tls_certificate)
    if key is None:
        raise OperationError("observers.tls_certificate", "the TLS certificate holds no Ed25519 key, or several")
    if (name := node_id(key)) != operation.node_id:
        raise OperationError("observers.node_id", f"the TLS certificate is that of the node {name}")
    signed = registration_bytes(context.network_id, organization, operation.tls_certificate, operation.address)
    if not verify(key, signed, operation.proof):
        raise OperationError("observers.proof", f"the node's key has not signed this registration by {organization}")


def _check_room(context: Context, organization: str) -> None:
    held = sum(1 for _ in ORGANIZATION_OBSERVERS.items(context.view, organization_part(organization)))
    if held >= OBSERVERS_PER_ORGANIZATION_MAX:
        raise OperationError(
            "observers.too_many", f"an organization has at most {OBSERVERS_PER_ORGANIZATION_MAX} observers"
        )


def _validating(view: Readable) -> set[str]:
    """Return the node ids of the validator set, and of those who were let in and are not in it yet."""
    changes = epochs.pending_changes(view).values()
    records = [*epochs.current_set(view).validators, *(one.record for one in changes if one.record is not None)]
    return {record.node_id for record in records}


def _remove(context: Context, node: str, known: Observer) -> None:
    quota.remove(context, known.organization, OBSERVERS, _part(node))
    member = organization_part(known.organization)
    quota.remove(context, known.organization, ORGANIZATION_OBSERVERS, member, _part(node))
    context.emit(events.Withdrawn(node, known.organization))


def _part(node: str) -> bytes:
    return node.encode("utf-8")
