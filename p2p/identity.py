"""A node's TLS identity: a self-signed Ed25519 certificate, pinned by the network's registry.

The subject names the node, because two trust anchors with one subject break verification. The expiry lies at the end of
time (RFC 5280, section 4.1.2.5), because an expired certificate would turn a wrong clock into an outage. Membership is
what the registry says, never what a certificate says.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from p2p.errors import InvalidCertificate
from primitives import node_certificate
from primitives.identifiers import InvalidIdentifier, NodeId, node_id

CERTIFICATES_KNOWN_MAX: Final = 4_096
"""Certificates whose node is remembered, as a registry is read again with every change; the oldest is forgotten."""
_NOT_BEFORE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Identity(NamedTuple):
    """A node's TLS key and certificate."""

    key_pem: bytes
    """PKCS #8, not encrypted."""
    certificate_der: bytes

    @property
    def node_id(self) -> NodeId:
        """The name that the certificate gives its node."""
        return node_id_of_certificate(self.certificate_der)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as it is kept in a file."""
        return ssl.DER_cert_to_PEM_cert(self.certificate_der).encode("ascii")

    def __repr__(self) -> str:
        return f"Identity({self.node_id})"


def make_identity() -> Identity:
    """Make a new key and its certificate."""
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(node_id(key.public_key().public_bytes_raw())))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        # Not a CA: a member must not be able to issue further certificates in its own name.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, None)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(pem, certificate.public_bytes(Encoding.DER))


def load_identity(key_pem: bytes, certificate_pem: bytes) -> Identity:
    """Read an identity from the contents of its two files.

    Raises:
        InvalidCertificate: unreadable, no proper certificate of a node, or not this key's.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        # TLS itself reads the key; here it only has to be the certificate's.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load_chain(context, key_pem + b"\n" + certificate_pem)
    except (ValueError, OSError) as error:
        raise InvalidCertificate(f"no TLS key with its certificate: {error}") from error
    identity = Identity(key_pem, certificate.public_bytes(Encoding.DER))
    node_id_of_certificate(identity.certificate_der)
    return identity


@lru_cache(maxsize=CERTIFICATES_KNOWN_MAX)
def node_id_of_certificate(certificate_der: bytes) -> NodeId:
    """Name the node that holds the certificate's key.

    Raises:
        InvalidCertificate: not a self-signed certificate of an Ed25519 key with the node id as its only subject, or not
            one that TLS takes.
    """
    try:
        named = node_certificate.node_id_of_certificate(certificate_der)
        # Members register what they like, and two libraries read it: the other one is asked here, not where it counts.
        add_anchor(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate_der)
    except (InvalidIdentifier, ssl.SSLError) as error:
        raise InvalidCertificate(str(error)) from error
    return named


def server_context(identity: Identity, anchors: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of a listener that accepts only clients with one of the certificates `anchors` (DER)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # a session cannot be taken up again: every link proves its key anew
    return _pin(context, identity, anchors)


def client_context(identity: Identity, anchors: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of a dialer that accepts only servers with one of the certificates `anchors` (DER)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate is compared with the registry's instead
    return _pin(context, identity, anchors)


def _pin(context: ssl.SSLContext, identity: Identity, anchors: Iterable[bytes]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    _load_chain(context, identity.key_pem + b"\n" + identity.certificate_pem)
    for anchor in sorted(set(anchors)):
        add_anchor(context, anchor)
    return context


def add_anchor(context: ssl.SSLContext, certificate_der: bytes) -> None:
    """Let a context accept one more certificate. Nothing takes it out again."""
    context.load_verify_locations(cadata=certificate_der)


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    # The ssl module reads keys from files only; this one has no name and never touches a disk.
    descriptor = os.memfd_create("guildmark-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
