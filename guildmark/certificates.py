"""Ownership certificates: fetched from a node, verified by nobody's leave.

Verification is pure code over the file's bytes. All that must be known is the hash of the network's genesis, which is
the network id.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from guildmark.assets import asset_bytes
from guildmark.errors import VerificationFailed
from guildmark.transport import path

if TYPE_CHECKING:
    from guildmark.client import AsyncClient
    from ledger.ownership_certificate import VerifiedOwnership

CERTIFICATE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A larger file is refused unread: genesis, record, proof and header are far smaller."""


class AsyncCertificates:
    """Getting certificates from nodes."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def export(self, asset: str | bytes) -> bytes:
        """Fetch the ownership certificate of an asset at the certified head, and verify it.

        Raises:
            NotFound: no such asset. VerificationFailed: the node's file does not hold.
        """
        where = path("certificates", "assets", asset_bytes(asset).hex())
        data = (await self._client.transport.request("GET", where)).body
        verified = verify_certificate(data, await self._client.network_id())
        if verified.asset != asset_bytes(asset).hex():
            raise VerificationFailed("certificate.other_asset", f"the file certifies asset {verified.asset}")
        return data


def verify_certificate(
    data: bytes, genesis_hash: bytes | str, *, trust: tuple[int, bytes] | None = None
) -> VerifiedOwnership:
    """Verify an ownership certificate offline. `genesis_hash` is the network id (32 bytes or hex).

    `trust` pins a block (height, hash) that is known from elsewhere: keys of long gone members could otherwise have
    been stolen and sign another past.

    Raises:
        VerificationFailed: with what does not hold.
    """
    from ledger.errors import InvalidGenesis, InvalidProof
    from ledger.ownership_certificate import verify

    try:
        return verify(data, _hash(genesis_hash), trust)
    except (InvalidProof, InvalidGenesis) as error:
        raise VerificationFailed(error.code, error.message) from error


def verify_certificate_file(
    file: Path | str, genesis_hash: bytes | str, *, trust: tuple[int, bytes] | None = None
) -> VerifiedOwnership:
    """As `verify_certificate`, of a file. Raises OSError too."""
    with Path(file).open("rb") as stream:
        data = stream.read(CERTIFICATE_BYTES_MAX + 1)
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise VerificationFailed("certificate.size", f"{file} has more than {CERTIFICATE_BYTES_MAX} bytes")
    return verify_certificate(data, genesis_hash, trust=trust)


def _hash(value: bytes | str) -> bytes:
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else value
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise VerificationFailed("certificate.genesis_hash", "a genesis hash has 64 hex digits")
    return raw
