"""What a node's TLS certificate is: the self-signed certificate of an Ed25519 key that bears the node's name.

Links refuse any other when they meet it, and the ceremony that founds a network before anybody depends on it.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from primitives.identifiers import InvalidIdentifier, NodeId, node_id

CERTIFICATE_BYTES_MAX: Final = 4 * 1024
"""Ours have about 350 bytes."""


def node_id_of_certificate(certificate_der: bytes) -> NodeId:
    """Name the node that holds the certificate's key.

    Raises:
        InvalidIdentifier: not a self-signed certificate of an Ed25519 key with the node id as its only subject.
    """
    if len(certificate_der) > CERTIFICATE_BYTES_MAX:
        raise InvalidIdentifier(f"a certificate of {len(certificate_der)} bytes")
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidIdentifier("not the certificate of an Ed25519 key")
        certificate.verify_directly_issued_by(certificate)
        subject = [(attribute.oid, attribute.value) for attribute in certificate.subject]
    except InvalidIdentifier:
        raise
    except (
        ValueError,
        TypeError,
        InvalidSignature,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise InvalidIdentifier(f"not a self-signed certificate: {type(error).__name__}: {error}") from error
    name = node_id(key.public_bytes_raw())
    if subject != [(NameOID.COMMON_NAME, name)]:
        raise InvalidIdentifier(f"the subject of a certificate must be CN={name}")
    return name
