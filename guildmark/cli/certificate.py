"""`guildmark certificate`: proof of ownership as one file."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session


@click.group()
def certificate() -> None:
    """Export ownership certificates, and verify them offline."""


@certificate.command("export")
@click.argument("asset")
@click.option("--output", "-o", "output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@with_session(nodes=True)
def export(session: Session, asset: str, output: Path) -> None:
    """Write the ownership certificate of ASSET into one file."""
    from guildmark.certificates import verify_certificate

    with session.client() as client:
        data = client.certificates.export(asset)
        verified = verify_certificate(data, client.network_id())
    output.write_bytes(data)
    emit(
        {"file": str(output), "size_bytes": len(data), "network_id": verified.network_id, "height": verified.height},
        json=session.json,
    )


@certificate.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--genesis-hash", help="The network id, 64 hex digits.")
@click.option("--genesis", "genesis_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--trust", metavar="HEIGHT:HASH", help="A block that you know from elsewhere.")
@with_session()
def verify(
    session: Session, file: Path, genesis_hash: str | None, genesis_file: Path | None, trust: str | None
) -> None:
    """Verify a certificate with nothing but the hash of the network's genesis. Ends with 7 when it does not hold."""
    from guildmark.certificates import verify_certificate_file

    known = _genesis_hash(session, genesis_hash, genesis_file)
    emit(verify_certificate_file(file, known, trust=_trust(trust)), json=session.json)


def _genesis_hash(session: Session, text: str | None, file: Path | None) -> bytes | str:
    if text:
        if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
            raise click.UsageError(f"--genesis-hash: not 64 hex digits: {text[:80]!r}")
        return text
    path = file or (session.network / "genesis.json" if session.network else None)
    if path is None:
        raise click.UsageError("give --genesis-hash, --genesis FILE or --network DIR")
    from guildmark.errors import VerificationFailed
    from ledger.errors import InvalidGenesis
    from ledger.genesis import load, network_id

    try:
        return network_id(load(path))
    except InvalidGenesis as error:
        raise VerificationFailed(error.code, error.message) from error


def _trust(text: str | None) -> tuple[int, bytes] | None:
    if text is None:
        return None
    height, _, block_hash = text.partition(":")
    try:
        raw = bytes.fromhex(block_hash)
    except ValueError:
        raw = b""
    if not (height.isascii() and height.isdigit()) or len(raw) != 32:
        raise click.UsageError(f"--trust: write HEIGHT:HASH, not {text!r}")
    return int(height), raw
