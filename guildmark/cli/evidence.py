"""What proves something, named on the command line: a CID, or the file itself, whose CID is computed."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from guildmark.cli.output import note


def read_evidence(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the CID of the file `value`, or `value` itself where it is a CID. Nothing is uploaded.

    Raises a usage error where it is neither: most are a path with a typo, or the words themselves.
    """
    if value is None:
        return None
    if not Path(value).is_file():
        return _cid(value)
    from guildmark.artifact_transfer import LocalArtifact

    artifact = LocalArtifact(Path(value))
    try:
        note(f"{value} has the CID {artifact.cid}: keep the file, only its CID goes on the chain")
        return artifact.cid
    finally:
        artifact.close()


def _cid(text: str) -> str:
    from artifacts.cid import parse
    from artifacts.errors import InvalidCid

    try:
        parse(text)
    except InvalidCid as error:
        raise click.UsageError(
            f"{text[:80]!r} is neither a file nor a CID; write what you want to say into a file, and name that"
        ) from error
    return text
