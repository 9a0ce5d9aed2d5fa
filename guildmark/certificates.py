"""Certificates: fetched from a node, verified by nobody's leave.

Verification is pure code over the file's bytes. All that must be known is the hash of the network's genesis, which is
the network id.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from guildmark.assets import asset_bytes
from guildmark.errors import InvalidArgument, VerificationFailed
from guildmark.transport import path

if TYPE_CHECKING:
    from guildmark.client import AsyncClient
    from ledger.certificates.format import Certificate
    from ledger.certificates.subjects import Subject
    from ledger.certificates.subjects.asset import VerifiedAsset
    from ledger.certificates.verified import Verified

CERTIFICATE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A larger file is refused unread: genesis, record, proof and header are far smaller."""
_ABSENCE_PATHS: Final = {
    "artifact": "artifacts",
    "tensors": "tensors",
    "asset": "assets",
    "license": "licenses",
    "grant": "grants",
}


class AsyncCertificates:
    """Getting certificates from nodes, at the certified head or after the block `height`. Each is verified before it is
    returned; `since` makes a file that starts from the block of that height, which its verifier must know, and not from
    the genesis."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def export(self, asset: str | bytes, *, since: int | None = None, height: int | None = None) -> bytes:
        """Fetch the certificate of an asset's ownership at the certified head.

        Raises:
            NotFound: no such asset. VerificationFailed: the node's file does not hold.
        """
        from ledger.certificates.subjects import AssetSubject

        subject = AssetSubject(asset_bytes(asset))
        return await self._fetch((since, height), subject)

    async def export_version(
        self, asset: str | bytes, version: int, *, since: int | None = None, height: int | None = None
    ) -> bytes:
        """Fetch the certificate of one version of an asset. Raises as `export`."""
        from ledger.certificates.subjects import VersionSubject

        subject = VersionSubject(asset_bytes(asset), version)
        return await self._fetch((since, height), subject)

    async def export_license(self, offer: str | bytes, *, since: int | None = None, height: int | None = None) -> bytes:
        """Fetch the certificate of an open license offer and its terms. Raises as `export`."""
        from ledger.certificates.subjects import LicenseSubject

        subject = LicenseSubject(asset_bytes(offer))
        return await self._fetch((since, height), subject)

    async def export_grant(self, grant: str | bytes, *, since: int | None = None, height: int | None = None) -> bytes:
        """Fetch the certificate of a license that somebody holds. Raises as `export`."""
        from ledger.certificates.subjects import GrantSubject

        subject = GrantSubject(asset_bytes(grant))
        return await self._fetch((since, height), subject)

    async def export_account(
        self, account: str | bytes, *, since: int | None = None, height: int | None = None
    ) -> bytes:
        """Fetch the certificate of an account (gm1... or 32 bytes) and its balance. Raises as `export`."""
        from ledger.certificates.subjects import AccountSubject
        from primitives.identifiers import InvalidIdentifier, account_from_text

        try:
            raw = account_from_text(account) if isinstance(account, str) else account
        except InvalidIdentifier as error:
            raise InvalidArgument("argument.account", str(error)) from error
        return await self._fetch((since, height), AccountSubject(raw))

    async def export_absence(
        self, what: str, identifier: str | bytes, *, since: int | None = None, height: int | None = None
    ) -> bytes:
        """Fetch the certificate that no `what` (artifact, tensors, asset, license, grant) of this id is registered.

        Raises:
            Refused: `certificate.present`, it is. VerificationFailed: the node's file does not hold.
        """
        from ledger.certificates.subjects.absence import WHATS, AbsenceSubject

        if what not in WHATS:
            raise InvalidArgument("argument.absence", f"absence of {what!r}: one of {', '.join(WHATS)}")
        if what == "artifact":
            text = identifier if isinstance(identifier, str) else identifier.decode("ascii", "replace")
            subject = AbsenceSubject("artifact", text.encode())
            return await self._fetch((since, height), subject)
        raw = asset_bytes(identifier)
        return await self._fetch((since, height), AbsenceSubject(what, raw))

    async def _fetch(self, asked: tuple[int | None, int | None], subject: Subject) -> bytes:
        from ledger.certificates.format import BlockStart

        since, height = asked
        query = {"since": since, "height": height}
        data = (await self._client.transport.request("GET", certificate_path(subject), query=query)).body
        known: tuple[int, bytes] | None = None
        file = read_certificate(data)
        if since is not None and isinstance(file.start, BlockStart):
            from ledger.block import block_hash

            # Whether this is the block that the verifier knows is for the verifier to say.
            known = (file.start.header.height, block_hash(file.start.header))
        verify_certificate(data, await self._client.network_id(), trust=known)
        other_height = height is not None and file.header.height != height
        if file.subject != subject or other_height or (since is not None and known is None):
            raise VerificationFailed("certificate.subject", "the node certifies something else")
        return data


def certificate_path(subject: Subject) -> str:
    """Return where nodes serve the certificate of a subject."""
    from ledger.certificates.subjects import (
        AccountSubject,
        AssetSubject,
        GrantSubject,
        LicenseSubject,
        VersionSubject,
    )

    match subject:
        case AssetSubject(asset=asset):
            parts: tuple[str, ...] = ("assets", asset.hex())
        case VersionSubject(asset=asset, version=version):
            parts = ("assets", asset.hex(), "versions", str(version))
        case LicenseSubject(offer=offer):
            parts = ("licenses", offer.hex())
        case GrantSubject(grant=grant):
            parts = ("grants", grant.hex())
        case AccountSubject(account=account):
            parts = ("accounts", account.hex())
        case _:
            shown = subject.id.decode("ascii", "replace") if subject.what == "artifact" else subject.id.hex()
            parts = ("absence", _ABSENCE_PATHS[subject.what], shown)
    return path("certificates", *parts)


def verify_certificate(data: bytes, genesis_hash: bytes | str, *, trust: tuple[int, bytes] | None = None) -> Verified:
    """Verify a certificate of any kind offline; return what it proves, a subclass of `Verified` for each kind.

    `genesis_hash` is the network id (32 bytes or hex). `trust` pins a block (height, hash) that is known from
    elsewhere, and through which the certificate must lead: keys of long gone members could otherwise have been stolen
    and sign another past.

    Raises:
        VerificationFailed: with what does not hold.
    """
    from ledger.certificates.verification import verify
    from ledger.errors import InvalidGenesis, InvalidProof

    try:
        return verify(data, _hash(genesis_hash), trust)
    except (InvalidProof, InvalidGenesis) as error:
        raise VerificationFailed(error.code, error.message) from error


def verify_ownership(
    data: bytes, genesis_hash: bytes | str, *, trust: tuple[int, bytes] | None = None
) -> VerifiedAsset:
    """As `verify_certificate`, of an asset's certificate; one of another kind is refused (`certificate.subject`)."""
    from ledger.certificates.subjects.asset import VerifiedAsset

    verified = verify_certificate(data, genesis_hash, trust=trust)
    if not isinstance(verified, VerifiedAsset):
        raise VerificationFailed("certificate.subject", f"the certificate proves another subject: {verified.proves}")
    return verified


def verify_certificate_file(
    file: Path | str, genesis_hash: bytes | str, *, trust: tuple[int, bytes] | None = None
) -> Verified:
    """As `verify_certificate`, of a file. Raises OSError too."""
    return verify_certificate(read_certificate_file(file), genesis_hash, trust=trust)


def read_certificate(data: bytes) -> Certificate:
    """Return what a file holds, believing nothing of it.

    Raises:
        VerificationFailed: it is no certificate.
    """
    from ledger.certificates.verification import read
    from ledger.errors import InvalidProof

    try:
        return read(data)
    except InvalidProof as error:
        raise VerificationFailed(error.code, error.message) from error


def read_certificate_file(file: Path | str) -> bytes:
    """Return the bytes of a file. Raises OSError, and VerificationFailed for one that is too large."""
    with Path(file).open("rb") as stream:
        data = stream.read(CERTIFICATE_BYTES_MAX + 1)
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise VerificationFailed("certificate.size", f"{file} has more than {CERTIFICATE_BYTES_MAX} bytes")
    return data


def _hash(value: bytes | str) -> bytes:
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else value
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise VerificationFailed("certificate.genesis_hash", "a genesis hash has 64 hex digits")
    return raw
