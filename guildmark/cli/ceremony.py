"""`guildmark network assemble` and `verify`: founding a network whose members keep their keys to themselves."""

from __future__ import annotations

import secrets
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.output import emit, note, table
from guildmark.cli.session import Session, pairs, with_session
from guildmark.errors import ClusterError, VerificationFailed

if TYPE_CHECKING:
    from ledger.genesis import Genesis
    from ledger.member_descriptor import MemberDescriptor

_FILE = click.Path(path_type=Path, dir_okay=False)
_MEMBERS = click.argument("members", nargs=-1, required=True, type=_FILE, metavar="MEMBER.toml...")


@click.command("assemble")
@_MEMBERS
@click.option("--name", required=True, help="The network's name.")
@click.option("--parameters", type=_FILE, help="TOML file of the chain parameters that are not the defaults.")
@click.option(
    "--credits",
    "credits",
    multiple=True,
    metavar="ORGANIZATION=AMOUNT",
    help="Minor units for the organization's first account; may be repeated.",
)
@click.option("--development", is_flag=True, help="Allow fewer than 4 validators, several of one member, moving time.")
@click.option("--output", type=_FILE, default=Path("genesis.json"), show_default=True)
@with_session(network=False)
def assemble(
    session: Session,
    members: tuple[Path, ...],
    name: str,
    parameters: Path | None,
    credits: tuple[str, ...],
    development: bool,
    output: Path,
) -> None:
    """Make the genesis file of a network from the descriptors of all its validators.

    One member does this and sends the file to the others. Each of them then runs `guildmark network verify` with the
    descriptors that the members gave it directly, and all compare the network id that it prints.
    """
    from ledger import genesis_assembly
    from ledger.errors import InvalidGenesis

    decisions = genesis_assembly.Decisions(
        name=name,
        salt=secrets.token_bytes(32),
        created_at_ms=time.time_ns() // 1_000_000,
        development=development,
        parameters=_parameters(parameters),
        credits={key: _amount(key, text) for key, text in pairs(credits, "--credits").items()},
    )
    described = _load(members)
    try:
        genesis = genesis_assembly.assemble(described, decisions)
        genesis_assembly.write_new(genesis, output)
    except InvalidGenesis as error:
        raise ClusterError(error.code, error.message) from error
    _show(genesis, {"genesis": str(output), **_summary(genesis)}, json=session.json)
    note(f"Send {output} to every member. `guildmark network verify` tells each whether it is what they described.")


@click.command("verify")
@click.argument("genesis_file", type=_FILE, metavar="GENESIS")
@_MEMBERS
@with_session(network=False)
def verify(session: Session, genesis_file: Path, members: tuple[Path, ...]) -> None:
    """Check that a genesis file holds exactly the validators and accounts of these descriptors.

    Name them all: your own, and those of the others as each gave it to you. Then compare the network id with the other
    members by a way that the sender of the file does not control, such as the telephone. Ends with 7 on a difference.
    """
    from ledger import genesis as genesis_files
    from ledger import genesis_assembly
    from ledger.errors import InvalidGenesis

    described = _load(members)
    try:
        genesis = genesis_files.load(genesis_file)
    except InvalidGenesis as error:
        where = "" if error.message.startswith(f"{genesis_file}: ") else f"{genesis_file}: "
        raise VerificationFailed(error.code, f"{where}{error.message}") from error
    try:
        found = genesis_assembly.differences(genesis, described)
    except InvalidGenesis as error:
        raise VerificationFailed(error.code, error.message) from error
    if found:
        reasons = "".join(f"\n  - {sentence}" for sentence in found)
        raise VerificationFailed(
            "network.differs", f"{genesis_file} is not the genesis of these {len(described)} descriptors:{reasons}"
        )
    _show(genesis, _summary(genesis), json=session.json)
    note("The file holds exactly these members. Name, credits and parameters above are for you to judge.")


def _load(paths: tuple[Path, ...]) -> list[MemberDescriptor]:
    from ledger import member_descriptor

    try:
        return [member_descriptor.load(path) for path in paths]
    except member_descriptor.InvalidDescriptor as error:
        raise VerificationFailed(error.code, error.message) from error


def _parameters(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--parameters: {path}: not valid TOML: {error}") from error


def _amount(organization: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise click.UsageError(f"--credits {organization}: not a whole number: {text!r}")
    return int(text)


def _summary(genesis: Genesis) -> dict[str, Any]:
    from ledger.genesis import network_id, organization_account
    from ledger.genesis_assembly import changed_parameters
    from primitives.identifiers import account_to_text

    network = network_id(genesis)
    return {
        "name": genesis.name,
        "network_id": network.hex(),
        "development": genesis.development,
        "validators": [
            {"organization": entry.organization, "address": entry.address, "node_id": entry.node_id}
            for entry in genesis.validators
        ],
        "accounts": [
            {
                "organization": entry.organization,
                "name": entry.name,
                "credits": entry.credits,
                "account": account_to_text(organization_account(network, entry)),
                "key": entry.key,
            }
            for entry in genesis.accounts
        ],
        "parameters": changed_parameters(genesis),
    }


def _show(genesis: Genesis, summary: dict[str, Any], *, json: bool) -> None:
    """Print what people must compare and judge, the network id in groups that can be read aloud."""
    identifier = summary["network_id"]
    groups = [identifier[start : start + 8] for start in range(0, len(identifier), 8)]
    lines = [f"network     {genesis.name}{' (development)' if genesis.development else ''}"]
    lines += [f"network id  {' '.join(groups[:4])}", f"            {' '.join(groups[4:])}", ""]
    lines += ["validators:", *table(summary["validators"], ("organization", "address", "node_id"))]
    if summary["accounts"]:
        lines += ["", "accounts:", *table(summary["accounts"], ("organization", "name", "credits", "account"))]
    if summary["parameters"]:
        lines += ["", "parameters that are not the defaults:"]
        lines += [f"  {name} = {value}" for name, value in summary["parameters"].items()]
    emit(summary, json=json, text="\n".join(lines))
