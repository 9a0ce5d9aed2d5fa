"""Certificates that name nodes, the pace of redialing, and a log that nobody can fill."""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from p2p.dialing import Backoff, InvalidAddress, dial, split_address
from p2p.errors import InvalidCertificate, Reason
from p2p.identity import Identity, client_context, load_identity, make_identity, node_id_of_certificate
from p2p.options import LinkOptions
from p2p.refusals import ENTRIES_MAX, LINES_PER_PERIOD_MAX, REPEAT_AFTER_S, Refusals
from p2p.statistics import Statistics
from primitives.identifiers import node_id


def test_an_identity_names_its_node_and_outlives_any_clock() -> None:
    identity = make_identity()
    certificate = x509.load_der_x509_certificate(identity.certificate_der)
    key = certificate.public_key().public_bytes_raw()  # type: ignore[union-attr]
    assert identity.node_id == node_id(key) == node_id_of_certificate(identity.certificate_der)
    assert certificate.subject.rfc4514_string() == f"CN={identity.node_id}"
    assert certificate.not_valid_after_utc.year == 9999
    key_pem, certificate_der = identity
    assert (key_pem, certificate_der) == (identity.key_pem, identity.certificate_der)
    assert b"PRIVATE" not in repr(identity).encode()


def test_an_identity_is_read_from_its_files_and_only_with_its_own_key() -> None:
    identity, other = make_identity(), make_identity()
    assert load_identity(identity.key_pem, identity.certificate_pem) == identity
    wrong = [
        (other.key_pem, identity.certificate_pem),
        (b"", identity.certificate_pem),
        (identity.key_pem, b""),
        (identity.key_pem, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ]
    for key_pem, certificate_pem in wrong:
        with pytest.raises(InvalidCertificate):
            load_identity(key_pem, certificate_pem)


def make_certificate(key: Any, names: list[str], *, signer: Any = None, algorithm: Any = None) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
    return builder.sign(signer or key, algorithm).public_bytes(Encoding.DER)


def test_certificates_that_cannot_name_a_node_are_refused() -> None:
    key = Ed25519PrivateKey.generate()
    name = str(node_id(key.public_key().public_bytes_raw()))
    curve = ec.generate_private_key(ec.SECP256R1())
    assert node_id_of_certificate(make_certificate(key, [name])) == name
    refused = {
        "not DER": b"certificate",
        "empty": b"",
        "too long": bytes(5_000),
        "trailing bytes": make_certificate(key, [name]) + b"\0",
        "another subject": make_certificate(key, ["gmnode1other"]),
        "two names": make_certificate(key, [name, name]),
        "no name": make_certificate(key, []),
        "signed by another key": make_certificate(key, [name], signer=Ed25519PrivateKey.generate()),
        "another kind of key": make_certificate(curve, [name], algorithm=hashes.SHA256()),
    }
    for what, certificate in refused.items():
        with pytest.raises(InvalidCertificate):
            print(what, node_id_of_certificate(certificate))  # noqa: T201 (shown when it fails)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([tag, size] if size < 0x80 else [tag, 0x82, size >> 8, size & 0xFF]) + content


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_whatever_a_member_signs_names_a_node_or_is_refused() -> None:
    """N8: an organization registers certificates that it makes itself, and every node reads them. A version that is
    none was an error that nobody expected, at every node and at every start."""
    identity = make_identity()
    key = load_pem_private_key(identity.key_pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    signed = x509.load_der_x509_certificate(identity.certificate_der).tbs_certificate_bytes

    def certify(content: bytes) -> bytes:
        algorithm = bytes.fromhex("300506032b6570")
        return _element(0x30, content + algorithm + _element(0x03, b"\0" + key.sign(content)))

    assert node_id_of_certificate(certify(signed)) == identity.node_id
    version = signed.index(bytes.fromhex("a003020102")) + 4
    places = [(version, value) for value in range(256)]
    places += [(place, signed[place] ^ change) for place in range(len(signed)) for change in (0x01, 0x06, 0x80)]
    for place, value in places:
        changed = signed[:place] + bytes([value]) + signed[place + 1 :]
        with suppress(InvalidCertificate):
            assert node_id_of_certificate(certify(changed)) == identity.node_id


def test_pem_and_der_are_one_certificate() -> None:
    identity: Identity = make_identity()
    assert ssl.PEM_cert_to_DER_cert(identity.certificate_pem.decode()) == identity.certificate_der


@pytest.mark.parametrize(
    ("address", "expected"),
    [("a.example:80", ("a.example", 80)), ("[::1]:65535", ("::1", 65_535)), ("127.0.0.1:1", ("127.0.0.1", 1))],
)
def test_addresses_are_split(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "host:0", "host:65536", "host:１２", "host:-1", "h:" + "9" * 5_000]
)
def test_addresses_that_cannot_be_dialed_are_refused(address: str) -> None:
    with pytest.raises(InvalidAddress):
        split_address(address)


@pytest.mark.parametrize("host", ["a..b", ".", "x" * 64, "a\0b", "é" * 64])
def test_a_registered_host_that_can_be_none_is_unreachable_and_no_defect(host: str) -> None:
    """N8: the ledger takes any address of an observer, and its neighbors dial it."""

    async def attempt() -> None:
        context = client_context(make_identity(), [])
        await dial(asyncio.get_running_loop(), f"{host}:1", context, LinkOptions(), lambda: pytest.fail("no link"))

    with pytest.raises(OSError, match="no name of a host"):
        asyncio.run(attempt())


def test_redialing_slows_down_to_a_cap_with_jitter_and_starts_anew_after_success() -> None:
    options = LinkOptions(redial_ms_min=100, redial_ms_max=5_000)
    backoff = Backoff(options, random.Random(1))
    delays = [backoff.next_delay_s() for _ in range(200)]
    for attempt, delay in enumerate(delays):
        full = min(0.1 * 2 ** min(attempt, 20), 5.0)
        assert full / 2 <= delay <= full
    assert len(set(delays[10:])) > 100
    backoff.reset()
    assert backoff.next_delay_s() <= 0.1


def test_options_outside_their_range_are_refused() -> None:
    for change in ({"handshake_timeout_ms": 5_001}, {"unauthenticated_max": 0}, {"software_version": "v" * 65}):
        with pytest.raises(ValueError, match=next(iter(change))):
            LinkOptions(**change).checked()


class Lines:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})


def test_a_refusal_is_counted_always_and_logged_once_in_a_while() -> None:
    """N4: no storm of lines, from one peer or from many."""
    now = 0.0
    lines, statistics = Lines(), Statistics()
    refusals = Refusals(statistics, lines, lambda: now)
    for _ in range(1_000):
        refusals.note("gmnode1a", Reason.FRAME_EMPTY, "d" * 500)
    assert statistics.refusals == {Reason.FRAME_EMPTY: 1_000}
    assert [(line["event"], line["peer"], line["reason"]) for line in lines.lines] == [
        ("peer_refused", "gmnode1a", "frame-empty")
    ]
    assert len(lines.lines[0]["detail"]) == 160
    now += REPEAT_AFTER_S
    refusals.note("gmnode1a", Reason.FRAME_EMPTY)
    assert lines.lines[-1]["suppressed"] == 999
    for number in range(3 * ENTRIES_MAX):
        refusals.note(f"10.0.{number >> 8}.{number & 255}", Reason.NOT_TLS)
    assert len(lines.lines) <= 1 + LINES_PER_PERIOD_MAX
    assert len(refusals._last) <= ENTRIES_MAX
    assert statistics.refusals[Reason.NOT_TLS] == 3 * ENTRIES_MAX
    assert statistics.log_lines_suppressed > 3 * ENTRIES_MAX


def test_endings_that_blame_nobody_are_no_refusals() -> None:
    lines, statistics = Lines(), Statistics()
    Refusals(statistics, lines, lambda: 0.0).note("gmnode1a", Reason.STOPPING)
    assert statistics.refusals == {}
    assert lines.lines[0]["event"] == "link_ended"
