"""Who is turned away before anything is known of him but an address: certificates, plain text, floods."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from p2p_kit import LOOPS, WAIT_S, Members, eventually, run
from p2p_raw import RawPeer

from p2p.errors import Reason
from p2p.identity import Identity, client_context, make_identity
from p2p.options import LinkOptions
from p2p.peers import PeerEntry

both_loops = pytest.mark.parametrize("loop_name", sorted(LOOPS))


def certificate_for(key: Ed25519PrivateKey, name: str, *, until: datetime) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(datetime(2000, 1, 1, tzinfo=UTC)).not_valid_after(until)
    return builder.sign(key, None).public_bytes(Encoding.DER)


def expired_identity() -> Identity:
    made = make_identity()
    key = load_pem_private_key(made.key_pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    return Identity(made.key_pem, certificate_for(key, made.node_id, until=datetime(2020, 1, 1, tzinfo=UTC)))


def issued_by(member: Identity) -> Identity:
    """A new key with a certificate signed by a member's key in the member's name, as if it were an authority."""
    issuer = load_pem_private_key(member.key_pem, None)
    assert isinstance(issuer, Ed25519PrivateKey)
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member.node_id)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(8).not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
    certificate = builder.not_valid_after(datetime(2100, 1, 1, tzinfo=UTC)).sign(issuer, None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(pem, certificate.public_bytes(Encoding.DER))


def plain_context(members: Members) -> ssl.SSLContext:
    """A client that trusts the network and shows no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=members.entries[0].certificate_der)
    return context


def context_of(members: Members, who: str) -> ssl.SSLContext:
    anchors = [members.entries[0].certificate_der]
    match who:
        case "unknown key":
            return client_context(make_identity(), anchors)
        case "expired":
            return client_context(members.identities[1], anchors)
        case "issued by a member":
            return client_context(issued_by(members.identities[2]), anchors)
        case "TLS 1.2 only":
            context = client_context(members.identities[2], anchors)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            return context
        case "no certificate":
            return plain_context(members)
    raise AssertionError(who)


REFUSED = {
    "unknown key": Reason.CERTIFICATE_REFUSED,
    "expired": Reason.CERTIFICATE_EXPIRED,
    "issued by a member": Reason.CERTIFICATE_REFUSED,
    "TLS 1.2 only": Reason.HANDSHAKE_FAILED,
    "no certificate": Reason.NO_CERTIFICATE,
}


@both_loops
@pytest.mark.parametrize("who", sorted(REFUSED))
def test_tls_lets_in_registered_certificates_only(who: str, loop_name: str) -> None:
    """N5: refused during the handshake, counted by reason; the handler never hears of it."""

    async def story() -> None:
        async with Members(3) as members:
            members.identities[1] = expired_identity()
            members.entries[1] = PeerEntry(members.identities[1].node_id, members.identities[1].certificate_der, "")
            network = await members.start(0)
            async with asyncio.timeout(WAIT_S):
                try:
                    reader, writer = await asyncio.open_connection(
                        "127.0.0.1", members.port(0), ssl=context_of(members, who), server_hostname=""
                    )
                    # TLS 1.3: the client believes that it is connected until it reads.
                    try:
                        assert await reader.read() == b""
                    finally:
                        writer.transport.abort()
                except (ssl.SSLError, ConnectionError):
                    pass
            await eventually(lambda: network.statistics().refusals == {REFUSED[who]: 1})
            assert members.recorders[0].connections == 0

    run(loop_name, story())


@both_loops
def test_there_is_no_plain_text(loop_name: str) -> None:
    """N5: the first byte tells, and no TLS state is made for it."""

    async def story() -> None:
        async with Members(2) as members:
            network = await members.start(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", members.port(0))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(WAIT_S):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
            await eventually(lambda: network.statistics().refusals == {Reason.NOT_TLS: 1})

    run(loop_name, story())


@both_loops
def test_a_server_that_is_another_member_or_nobody_is_not_taken_for_the_peer(loop_name: str) -> None:
    """N6, dialing: the address of node 1 is answered by node 2, then by a stranger."""

    async def story() -> None:
        async with (
            Members(1) as stranger,
            Members(3, LinkOptions(redial_ms_min=10, redial_ms_max=50, later_dialer_delay_ms=0)) as members,
        ):
            await members.start(2)
            members.entries[1] = PeerEntry(
                members.identities[1].node_id, members.identities[1].certificate_der, members.networks[2].address
            )
            network = await members.start(0)
            await eventually(lambda: network.statistics().refusals[Reason.WRONG_NODE] > 0)
            assert not network.is_connected(members.entries[1].node_id)
            await stranger.start(0)
            members.entries[1] = PeerEntry(
                members.identities[1].node_id, members.identities[1].certificate_der, stranger.networks[0].address
            )
            network.update_registry(members.entries)
            await eventually(lambda: network.statistics().refusals[Reason.CERTIFICATE_REFUSED] > 0)
            assert not network.is_connected(members.entries[1].node_id)

    run(loop_name, story())


async def open_silently(port: int, count: int, source: str = "127.0.0.1") -> list[socket.socket]:
    connections = []
    for _ in range(count):
        connection = socket.socket()
        connection.setblocking(False)
        connection.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        connections.append(connection)
    return connections


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@both_loops
@pytest.mark.parametrize("first_bytes", [b"", b"\x16"], ids=["silent", "one byte of TLS"])
def test_silent_connections_are_capped_and_closed_while_members_get_in(loop_name: str, first_bytes: bytes) -> None:
    """N9 in small: caps for strangers, deadlines for all, and room kept for addresses of registered nodes."""

    async def story() -> None:
        options = LinkOptions(handshake_timeout_ms=300, unauthenticated_max=4, unauthenticated_per_address_max=8)
        async with Members(2, options) as members:
            network = await members.start(0)
            held = await open_silently(members.port(0), 20)
            for connection in held:
                with contextlib.suppress(OSError):  # closed already
                    connection.send(first_bytes)
            await eventually(lambda: network.statistics().refusals[Reason.TOO_MANY_CONNECTIONS] == 16)
            assert network.statistics().unauthenticated <= 4
            reason = Reason.HANDSHAKE_TIMEOUT if first_bytes else Reason.SILENT_CONNECT
            await eventually(lambda: network.statistics().refusals[reason] == 4)
            await eventually(lambda: network.statistics().unauthenticated == 0)
            for connection in held:
                connection.close()
            raw = await RawPeer.connect(members, 1)
            await raw.agree()
            await raw.close()
            await members.recorders[0].linked(0)
            # The address of a registered node is known now; strangers elsewhere could not fill its room.
            assert network.is_registered_address("127.0.0.1")

    run(loop_name, story())


def test_a_registered_address_has_room_when_strangers_fill_theirs() -> None:
    """N9: validator slots are reserved. 127.0.0.2 floods, the registered 127.0.0.1 gets in."""

    async def story() -> None:
        options = LinkOptions(unauthenticated_max=4, unauthenticated_per_address_max=8)
        async with Members(2, options) as members:
            members.entries[1] = PeerEntry(
                members.identities[1].node_id, members.identities[1].certificate_der, "127.0.0.1:9"
            )
            network = await members.start(0)
            held = await open_silently(members.port(0), 6, "127.0.0.2")
            await eventually(lambda: network.statistics().refusals[Reason.TOO_MANY_CONNECTIONS] == 2)
            raw = await RawPeer.connect(members, 1)
            await raw.agree()
            assert network.statistics().unauthenticated == 4
            await raw.close()
            for connection in held:
                connection.close()

    run("asyncio", story())


@both_loops
def test_hundreds_of_silent_connections_leave_memory_flat(loop_name: str) -> None:
    """N9: 300 at once, with caps far above; a TLS state each would take 75 MiB."""

    async def story() -> None:
        options = LinkOptions(unauthenticated_max=1_000, unauthenticated_per_address_max=1_000)
        async with Members(1, options) as members:
            network = await members.start(0)
            before = resident_bytes()
            held = await open_silently(members.port(0), 300)
            await eventually(lambda: network.statistics().unauthenticated == 300)
            assert resident_bytes() - before < 32 * 1024 * 1024
            for connection in held:
                connection.close()
            await eventually(lambda: network.statistics().unauthenticated == 0)

    run(loop_name, story())


def test_a_node_does_not_talk_to_its_own_reflection() -> None:
    """N7: its own certificate is no trust anchor of it, though it is registered."""

    async def story() -> None:
        async with Members(2) as members:
            network = await members.start(0)
            raw = await RawPeer.connect(members, 0)
            await raw.until_closed()
            await eventually(lambda: network.statistics().refusals == {Reason.CERTIFICATE_REFUSED: 1})
            await raw.close()

    run("asyncio", story())


def test_no_session_is_taken_up_again() -> None:
    """N7: every connection proves its key anew."""

    async def story() -> None:
        async with Members(2) as members:
            await members.start(0)
            raw = await RawPeer.connect(members, 1)
            await raw.agree()
            tls: ssl.SSLObject = raw.writer.get_extra_info("ssl_object")
            assert tls.version() == "TLSv1.3"
            assert tls.session is None or not tls.session.has_ticket
            await raw.close()

    run("asyncio", story())
