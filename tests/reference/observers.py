"""Observers: node id -> organization, certificate, address, and since when."""

from __future__ import annotations

from typing import Any

from ledger.modules.observers import operations as ops
from primitives.identifiers import node_id
from primitives.keys import verify
from tests.reference.organizations import speaker
from tests.reference.state import Call, need

OBSERVERS_MAX = 16
ED25519 = bytes.fromhex("302a300506032b6570032100")
"""How a certificate announces the 32 bytes of its key."""


def key_in(certificate: bytes) -> bytes:
    """The one key of a certificate; nothing where there is none, or more than one."""
    parts = certificate.split(ED25519)
    return parts[1][:32] if len(parts) == 2 and len(parts[1]) >= 32 else b""


def register(call: Call, operation: ops.Register) -> None:
    organization, state = speaker(call)["organization"], call.state
    key = key_in(operation.tls_certificate)
    need(key, "observers.tls_certificate")
    need(node_id(key) == operation.node_id, "observers.node_id")
    signed = ops.registration_bytes(state.network, organization, operation.tls_certificate, operation.address)
    need(verify(key, signed, operation.proof), "observers.proof")
    known = state.observers.get(operation.node_id)
    if known is None:
        own = [row for row in state.observers.values() if row["organization"] == organization]
        need(len(own) < OBSERVERS_MAX, "observers.too_many")
        need(operation.node_id not in state.nodes, "observers.node_taken")
    else:
        need(known["organization"] == organization, "observers.node_taken")
    state.observers[operation.node_id] = {
        "organization": organization,
        "certificate": operation.tls_certificate,
        "address": operation.address,
        "since": call.now if known is None else known["since"],
    }


def withdraw(call: Call, operation: ops.Withdraw) -> None:
    organization = speaker(call)["organization"]
    known: dict[str, Any] | None = call.state.observers.get(operation.node_id)
    need(known is not None, "observers.unknown_observer")
    need(known is not None and known["organization"] == organization, "observers.another_organization")
    del call.state.observers[operation.node_id]


OPERATIONS = {ops.Register: register, ops.Withdraw: withdraw}
