"""How an organization lets its own nodes follow the chain, and takes them out again."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from ledger.modules.fields import CertificateBytes, NodeIdText, Operation
from primitives.codec import encode
from primitives.digest import domain
from primitives.keys import SIGNATURE_BYTES

ObserverAddress: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"\A([^\s:]+(:[^\s:]+)*:[0-9]{1,5})?\Z", max_length=260)
]
"""host:port where other nodes reach it; empty for a node that dials and is never dialed."""
Proof: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]
_DOMAIN: Final = domain("observer-registration")


class Register(Operation, frozen=True, tag="observers.register"):
    """Let a node of the sender's organization connect to the network. Sent again for a node that the organization has
    registered, it replaces certificate and address. By an account that speaks for the organization."""

    node_id: NodeIdText
    """That of the certificate's key; no validator's, no candidate's, and no other organization's observer."""
    tls_certificate: CertificateBytes
    address: ObserverAddress
    proof: Proof
    """The certificate's key signs `registration_bytes`: nobody registers a node that is another's."""


class Withdraw(Operation, frozen=True, tag="observers.withdraw"):
    """Let a node of the sender's organization connect no more. By an account that speaks for the organization."""

    node_id: NodeIdText


def registration_bytes(network_id: bytes, organization: str, tls_certificate: bytes, address: str) -> bytes:
    """Return what the node's key signs: domain "observer-registration", then these four in canonical encoding."""
    return _DOMAIN + encode([network_id, organization, tls_certificate, address])
