"""The node id that a TLS certificate gives its node, without reading X.509.

Execution must not depend on a certificate parser, whose accept set changes with its version. A node's certificate holds
one Ed25519 key, whose SubjectPublicKeyInfo (RFC 8410, section 4) is twelve fixed bytes and the key. Where these do not
occur exactly once there is no name. Whether the certificate is one that peers accept is theirs to judge (`p2p`): at
worst a candidate keeps itself out.
"""

from __future__ import annotations

from typing import Final

from primitives.identifiers import NodeId, node_id
from primitives.keys import PUBLIC_KEY_BYTES, PublicKey

KEY_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes, none unused }"""


def certified_key(certificate_der: bytes) -> PublicKey | None:
    """Return the key in `certificate_der`; None where it holds no Ed25519 key, or seems to hold two."""
    _, found, rest = certificate_der.partition(KEY_PREFIX)
    if not found or KEY_PREFIX in rest or len(rest) < PUBLIC_KEY_BYTES:
        return None
    return PublicKey(rest[:PUBLIC_KEY_BYTES])


def certified_node_id(certificate_der: bytes) -> NodeId | None:
    """Return the node id of the key in `certificate_der`; None as `certified_key`."""
    key = certified_key(certificate_der)
    return None if key is None else node_id(key)
