"""`guildmark certificate`: what the register says, as one file that anyone can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import rich_click as click

from guildmark.cli.numbers import Whole
from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session

if TYPE_CHECKING:
    from guildmark.sync import Certificates
    from ledger.certificates.format import Certificate

_IDS: Final = {"asset": 1, "version": 2, "license": 1, "grant": 1, "account": 1, "absence": 0}
"""How many ids each kind takes."""
_ABSENT: Final = ("artifact", "tensors", "asset", "license", "grant")


@click.group()
def certificate() -> None:
    """Export certificates, and verify them offline."""


@certificate.command("export")
@click.argument("subject", nargs=-1, required=True, metavar="[KIND] [ID] [NUMBER]")
@click.option(
    "--output",
    "-o",
    "output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.",
)
@click.option("--since", type=Whole(0), help="Start from this block, which the verifier must know.")
@click.option("--height", type=Whole(0), help="Of the state after this block; the newest when not given.")
@click.option("--artifact", metavar="CID", help="With absence: no asset has this artifact.")
@click.option("--tensors", metavar="DIGEST", help="With absence: no model has these tensors.")
@click.option("--asset", metavar="ID", help="With absence: there is no such asset.")
@click.option("--license", metavar="ID", help="With absence: there is no such open offer.")
@click.option("--grant", metavar="ID", help="With absence: there is no such license.")
@with_session(nodes=True)
def export(
    session: Session,
    subject: tuple[str, ...],
    output: Path,
    since: int | None,
    height: int | None,
    **absent: str | None,
) -> None:
    """Write a certificate into one file.

    KIND is asset (when not given), version ID NUMBER, license, grant, account, or absence, which takes one of the
    options below in place of an ID.
    """
    from guildmark.certificates import read_certificate

    kind, ids = (subject[0], subject[1:]) if subject[0] in _IDS else ("asset", subject)
    named = {what: value for what, value in absent.items() if value is not None}
    if len(ids) != _IDS[kind]:
        if subject[0] not in _IDS and len(subject) > 1:
            raise click.UsageError(f"{ids[0][:80]!r} is no kind of certificate; there are {', '.join(_IDS)}")
        takes = {"absence": "one of the options", "version": "an ID and a NUMBER"}.get(kind, "one ID")
        raise click.UsageError(f"{kind} takes {takes}")
    if len(named) != (kind == "absence"):
        raise click.UsageError(f"absence, and nothing else, takes one of --{', --'.join(_ABSENT)}")
    with session.client() as client:
        account = session.resolve(ids[0]) if kind == "account" else ""
        data = _fetch(client.certificates, kind, (account,) if account else ids, named, since=since, height=height)
        network_id = client.network_id().hex()
    header = read_certificate(data).header
    output.write_bytes(data)
    emit(
        {"file": str(output), "size_bytes": len(data), "network_id": network_id, "height": header.height},
        json=session.json,
    )


def _fetch(
    certificates: Certificates, kind: str, ids: tuple[str, ...], absent: dict[str, str], **at: int | None
) -> bytes:
    if kind == "absence":
        ((what, identifier),) = absent.items()
        return certificates.export_absence(what, identifier, **at)
    if kind == "version":
        if not (ids[1].isascii() and ids[1].isdigit() and 1 <= int(ids[1]) < 2**32):
            raise click.UsageError(f"not the number of a version: {ids[1][:80]!r}")
        return certificates.export_version(ids[0], int(ids[1]), **at)
    if kind == "license":
        return certificates.export_license(ids[0], **at)
    if kind == "grant":
        return certificates.export_grant(ids[0], **at)
    if kind == "account":
        return certificates.export_account(ids[0], **at)
    return certificates.export(ids[0], **at)


@certificate.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--genesis-hash", help="The network id, 64 hex digits.")
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="In place of the hash: a genesis file that you trust.",
)
@click.option("--trust", metavar="HEIGHT:HASH", help="A block that you know from elsewhere.")
@with_session()
def verify(
    session: Session, file: Path, genesis_hash: str | None, genesis_file: Path | None, trust: str | None
) -> None:
    """Verify a certificate with nothing but the hash of the network's genesis. Ends with 7 when it does not hold."""
    from guildmark.certificates import verify_certificate_file

    known = _genesis_hash(session, genesis_hash, genesis_file)
    emit(verify_certificate_file(file, known, trust=_trust(trust)), json=session.json, dates=True)


@certificate.command("show")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@with_session()
def show(session: Session, file: Path) -> None:
    """Show what a file claims, believing nothing: no signature or proof is checked."""
    from guildmark.certificates import read_certificate, read_certificate_file

    data = read_certificate_file(file)
    said = {"checked": False, "size_bytes": len(data), **claims(read_certificate(data))}
    emit(said, json=session.json, dates=True)


def claims(opened: Certificate) -> dict[str, object]:
    """Return what an opened certificate says of itself."""
    from ledger.block import block_hash
    from ledger.certificates.format import GenesisStart
    from ledger.certificates.subjects import AbsenceSubject
    from primitives.digest import tagged_hash

    start, header = opened.start, opened.header
    known: dict[str, object] = (
        {"start": "genesis", "genesis_hash": tagged_hash("genesis", start.genesis).hex()}
        if isinstance(start, GenesisStart)
        else {"start": f"{start.header.height}:{block_hash(start.header).hex()}"}
    )
    subject = opened.subject
    cid: dict[str, object] = {}
    if isinstance(subject, AbsenceSubject) and subject.what == "artifact":
        cid["id"] = subject.id.decode("utf-8", "replace")
    return {
        "subject": subject.__struct_config__.tag,
        **{name: getattr(subject, name) for name in subject.__struct_fields__},
        **cid,
        **known,
        "network_id": header.network_id,
        "height": header.height,
        "block_hash": block_hash(header),
        "block_time_ms": header.timestamp_ms,
        "epoch": header.epoch,
        "handoffs": len(opened.handoffs),
        "trail": len(opened.trail),
        "signatures": len(opened.finality.signatures),
        "records": [
            {"key": record.key, "bytes": None if record.value is None else len(record.value)}
            for record in opened.records
        ],
    }


def _genesis_hash(session: Session, text: str | None, file: Path | None) -> bytes | str:
    if text:
        text = text.replace(" ", "")  # `network verify` shows it in groups
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
