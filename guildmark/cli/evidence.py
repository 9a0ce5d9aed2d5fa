"""What proves something, named on the command line: a CID, or the file itself, whose CID is computed."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from guildmark.cli.output import note


def read_evidence(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the CID of the file `value`, or `value` itself where there is no such file. Nothing is uploaded."""
    if value is None or not Path(value).is_file():
        return value
    from guildmark.artifact_transfer import LocalArtifact

    artifact = LocalArtifact(Path(value))
    try:
        note(f"{value} has the CID {artifact.cid}: keep the file, only its CID goes on the chain")
        return artifact.cid
    finally:
        artifact.close()
