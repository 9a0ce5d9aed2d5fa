"""`guildmark network`: making networks, those of development here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli import ceremony, decisions
from guildmark.cli.numbers import PRICE, Whole
from guildmark.cli.output import emit, note
from guildmark.cli.session import DEFAULT_NETWORK, Session, pairs, with_session


@click.group()
def network() -> None:
    """Make networks: `assemble` and `verify` for those of several members, `init` for development. `parameters` shows
    one's rules."""


network.add_command(ceremony.assemble)
network.add_command(ceremony.verify)
network.add_command(decisions.parameters)


def creation_options(function: Any) -> Any:
    """The options that say what a new network is like."""
    for option in reversed(
        [
            click.option("--validators", type=Whole(1, 64), default=4, show_default=True),
            click.option("--name", default="development", show_default=True, help="The network's name."),
            click.option("--organization", "organizations", multiple=True, metavar="ID=NAME", help="May be repeated."),
            click.option(
                "--open-account",
                "plans",
                multiple=True,
                metavar="NAME=ORGANIZATION:CREDITS",
                help="An account of the genesis with its credits in minor units; may be repeated.",
            ),
            click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A chain parameter."),
            click.option(
                "--setting", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="A setting of every node.toml."
            ),
        ]
    ):
        function = option(function)
    return function


@network.command("init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_NETWORK)
@creation_options
@with_session(network=False, wallet=True)
def init(session: Session, directory: Path, **options: Any) -> None:
    """Make a development network in DIRECTORY: all keys on this machine.

    The wallet is encrypted with the passphrase of the environment or `--passphrase-file`. Without one a passphrase is
    made up and left beside the keys.
    """
    emit(create(session, directory, **options), json=session.json)


def create(
    session: Session,
    directory: Path,
    *,
    validators: int,
    name: str,
    organizations: tuple[str, ...],
    plans: tuple[str, ...],
    parameters: tuple[str, ...],
    settings: tuple[str, ...],
) -> dict[str, Any]:
    """Make the network and return what a person needs to know of it."""
    from guildmark.cluster.local import LocalCluster
    from guildmark.wallet import PASSPHRASE_FILE_NAME, passphrase_from_environment

    passphrase = session.passphrase() if session.given_passphrase_file else passphrase_from_environment()
    cluster = LocalCluster.create(
        directory,
        validators=validators,
        organizations=list(pairs(organizations, "--organization").items()) or None,
        accounts=_plans(plans),
        genesis={"name": name, **{key: _value(key, text) for key, text in pairs(parameters, "--parameter").items()}},
        node=node_settings(settings),
        passphrase=passphrase,
    )
    note(f"Development network: every key lies on this machine, those of the nodes unencrypted, below {directory}.")
    if passphrase is None:
        note(f"The wallet's passphrase was made up and lies in {directory / 'wallet' / PASSPHRASE_FILE_NAME}.")
    return {
        "directory": str(directory),
        "name": name,
        "network_id": cluster.network_id.hex(),
        "validators": validators,
        "accounts": {key: cluster.account(key).text for key in cluster.accounts},
        "urls": cluster.urls,
    }


def _plans(texts: tuple[str, ...]) -> list[Any] | None:
    from guildmark.cluster.network import AccountPlan

    plans = []
    for name, rest in pairs(texts, "--open-account").items():
        organization, _, credit_text = rest.partition(":")
        plans.append(AccountPlan(name, organization, PRICE.read(f"--open-account {name}", credit_text or "0")))
    return plans or None


def node_settings(texts: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Read `table.key=value` options as tables of node.toml. Raises a usage error."""
    tables: dict[str, dict[str, Any]] = {}
    for where, text in pairs(texts, "--setting").items():
        table, separator, key = where.partition(".")
        if not separator:
            raise click.UsageError(f"--setting: write table.key=value, not {where!r}")
        flag = {"true": True, "false": False}.get(text)
        number = int(text) if text.isascii() and text.isdigit() else None
        tables.setdefault(table, {})[key] = flag if flag is not None else number if number is not None else text
    return tables


def _value(what: str, text: str) -> int | bool:
    return text == "true" if text in ("true", "false") else Whole(0).read(what, text)
