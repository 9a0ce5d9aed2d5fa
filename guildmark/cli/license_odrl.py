"""`guildmark license odrl`: terms as W3C ODRL policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli.output import emit, indented
from guildmark.cli.session import Session, with_session


@click.group("odrl")
def odrl() -> None:
    """Write terms as W3C ODRL policies (JSON-LD), and read them from such."""


@odrl.command("export")
@click.argument("terms_file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--offer", help="Export an offer of the network, as an ODRL Offer.")
@click.option("--grant", help="Export a grant of the network, as an ODRL Agreement.")
@click.option("--asset", help="With TERMS_FILE: the asset's id, or an IRI.")
@click.option("--assigner", help="With TERMS_FILE: who gives the license: gm1..., or an IRI.")
@click.option("--assignee", help="With TERMS_FILE: who gets it; the policy is then an Agreement.")
@click.option("--uid", help="With TERMS_FILE: the policy's IRI; named by its terms by default.")
@with_session(nodes=True)
def export(session: Session, terms_file: Path | None, offer: str | None, grant: str | None, **parties: Any) -> None:
    """Print the terms in TERMS_FILE (TOML or JSON), of an offer, or of a grant as an ODRL policy."""
    from guildmark.licenses import read_terms
    from guildmark.odrl import to_odrl

    if [terms_file, offer, grant].count(None) != 2:
        raise click.UsageError("give one of TERMS_FILE, --offer and --grant")
    asset, assigner = parties.pop("asset"), parties.pop("assigner")
    if terms_file is None:
        if asset or assigner or any(parties.values()):
            raise click.UsageError("an offer or grant says its asset and parties itself")
        with session.client() as client:
            policy = client.licenses.export_odrl(offer=offer, grant=grant)
    else:
        if asset is None or assigner is None:
            raise click.UsageError("a policy names its target and who assigns it: give --asset and --assigner")
        policy = to_odrl(read_terms(terms_file), asset=asset, assigner=assigner, **parties)
    emit(policy, json=session.json, text=indented(policy))


@odrl.command("import")
@click.argument("policy", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the terms here instead of printing them: JSON where the name ends in .json, else TOML.",
)
@with_session(network=False)
def import_(session: Session, policy: Path, output: Path | None) -> None:
    """Read the ODRL policy in the file POLICY and print its terms, for `guildmark license offer --terms`.

    What does not map to terms is refused with its place in the document; nothing is passed over.
    """
    from guildmark.licenses import write_terms
    from guildmark.odrl import read_odrl
    from guildmark.odrl.reading import DOCUMENT_BYTES_MAX

    with policy.open("rb") as file:
        made = read_odrl(file.read(DOCUMENT_BYTES_MAX + 1))
    if output is None:
        emit(made, json=session.json, text=write_terms(made).rstrip("\n"))
        return
    output.write_text(write_terms(made, json=output.suffix == ".json"), encoding="utf-8")
    emit({"terms": str(output)}, json=session.json)
