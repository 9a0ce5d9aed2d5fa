"""What can be wrong on a link, each with a reason that is counted and logged.

P2pError
├── InvalidCertificate   a certificate that cannot name a node
├── LinkRefused          a peer broke the protocol, or may not be here; carries a `Reason`
└── MessageTooLarge      our own side offered a payload above the channel's maximum
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a link ended or a connection was turned away. The values are label values of a metric and appear in logs."""

    # Before the peer is known.
    TOO_MANY_CONNECTIONS = "too-many-connections"
    NOT_TLS = "not-tls"
    SILENT_CONNECT = "silent-connect"
    HANDSHAKE_FAILED = "handshake-failed"
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_REFUSED = "certificate-refused"
    NO_CERTIFICATE = "no-certificate"
    UNKNOWN_NODE = "unknown-node"
    WRONG_NODE = "wrong-node"
    UNREACHABLE = "unreachable"
    # The hello.
    HELLO_TIMEOUT = "hello-timeout"
    HELLO_MALFORMED = "hello-malformed"
    HELLO_UNEXPECTED = "hello-unexpected"
    OTHER_NETWORK = "other-network"
    OTHER_PROTOCOL = "other-protocol"
    IDENTITY_MISMATCH = "identity-mismatch"
    DUPLICATE_LINK = "duplicate-link"
    NO_ROOM = "no-room"
    # Frames.
    FRAME_EMPTY = "frame-empty"
    FRAME_TOO_LARGE = "frame-too-large"
    FRAME_CHANNEL_UNKNOWN = "frame-channel-unknown"
    FRAME_OUT_OF_ORDER = "frame-out-of-order"
    FRAME_TOO_SLOW = "frame-too-slow"
    CONTROL_MALFORMED = "control-malformed"
    # A link that was up.
    SILENT_PEER = "silent-peer"
    NOT_READING = "not-reading"
    QUEUE_FULL = "queue-full"
    CONNECTION_LOST = "connection-lost"
    CLOSED_BY_PEER = "closed-by-peer"
    REMOVED_FROM_REGISTRY = "removed-from-registry"
    NOT_WANTED = "not-wanted"
    MISBEHAVED = "misbehaved"
    STOPPING = "stopping"


ORDINARY = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.DUPLICATE_LINK,
        Reason.NO_ROOM,
        Reason.CONNECTION_LOST,
        Reason.CLOSED_BY_PEER,
        Reason.REMOVED_FROM_REGISTRY,
        Reason.NOT_WANTED,
        Reason.STOPPING,
    }
)
"""Reasons that blame nobody: counted as closures, never as refusals."""


class P2pError(Exception):
    """Root of this room's errors."""


class InvalidCertificate(P2pError):
    """The bytes are not a certificate that names a node as `p2p.identity` does."""


class LinkRefused(P2pError):
    """A peer is turned away; `detail` may quote what it sent, shortened, and never a secret."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class MessageTooLarge(P2pError):
    """The payload is larger than its channel carries; the sender must cut it."""
