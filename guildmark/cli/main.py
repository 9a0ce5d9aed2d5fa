"""The command `guildmark`: command groups are imported when used, and it ends with a documented exit code."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Final, NoReturn

import rich_click as click

from guildmark.errors import GuildmarkError, Interrupted

EXIT_CODES: Final = {
    0: "ok",
    1: "failed, or refused by the network",
    2: "wrong usage",
    3: "not found",
    4: "denied",
    5: "no node could be reached",
    6: "outcome unknown: sent, and no node has said in time what became of it",
    7: "verification failed",
    130: "interrupted",
}
INTERRUPTED: Final = 130

COMMANDS: Final = {
    "network": "guildmark.cli.network:network",
    "cluster": "guildmark.cli.cluster:cluster",
    "node": "guildmark.cli.node:node",
    "key": "guildmark.cli.key:key",
    "account": "guildmark.cli.account:account",
    "model": "guildmark.cli.asset:model",
    "asset": "guildmark.cli.asset:asset",
    "license": "guildmark.cli.license:license_group",
    "transfer": "guildmark.cli.transfer:transfer",
    "market": "guildmark.cli.market:market",
    "attestation": "guildmark.cli.attestation:attestation",
    "accreditation": "guildmark.cli.accreditation:accreditation",
    "contribution": "guildmark.cli.contribution:contribution",
    "bounty": "guildmark.cli.contribution:bounty",
    "dispute": "guildmark.cli.dispute:dispute",
    "reputation": "guildmark.cli.reputation:reputation",
    "charter": "guildmark.cli.charter:charter",
    "certificate": "guildmark.cli.certificate:certificate",
    "organization": "guildmark.cli.organization:organization",
    "governance": "guildmark.cli.governance:governance",
    "validators": "guildmark.cli.governance:validators",
    "observer": "guildmark.cli.observer:observer",
    "transaction": "guildmark.cli.transaction:transaction",
    "query": "guildmark.cli.status:query",
    "status": "guildmark.cli.status:status",
    "demo": "guildmark.cli.demo:demo",
    "simulate": "guildmark.cli.simulate:simulate",
    "bench": "guildmark.cli.bench:bench",
}


class LazyGroup(click.RichGroup):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, name = where.split(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def _epilog() -> str:
    return "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."


@click.group(cls=LazyGroup, epilog=_epilog(), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option("0.1.0", prog_name="guildmark")
def root() -> None:
    """Register, license and hand over AI models and other digital works on a consortium's network.

    Results go to standard output, everything else to standard error. Every command takes `--json`.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        result: Any = root.main(args=arguments, prog_name="guildmark", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        if "--json" in arguments:
            _show_error(arguments, "usage", error.format_message(), None)
        else:
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        _show_interruption(arguments, error)
        return INTERRUPTED
    except GuildmarkError as error:
        _show_error(arguments, error.code, error.message, getattr(error, "transaction_id", None))
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; there is nobody to tell
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _show_error(arguments, "os.error", f"{where}{error.strerror or error}", None)
        return 1


def _show_interruption(arguments: list[str], error: BaseException) -> None:
    """Say what is still on its way: Ctrl-C takes nothing back that was sent."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Interrupted):
        cause = cause.__context__  # click makes an Abort of it, and a second Ctrl-C may have come while we closed
    if cause is None:
        if "--json" in arguments:
            _show_error(arguments, "interrupted", "interrupted", None)
        else:
            click.echo("interrupted", err=True)
        return
    for identifier in cause.transaction_ids:
        ask = f"`guildmark transaction show {identifier} --wait 60` says what became of it"
        message = f"interrupted, but transaction {identifier} is on its way and may still be committed; {ask}"
        _show_error(arguments, "interrupted", message, identifier)


def _show_error(arguments: list[str], code: str, message: str, transaction_id: str | None) -> None:
    if "--json" in arguments:
        from guildmark.cli.output import encode

        shown = {"code": code, "message": message, "transaction": transaction_id}
        click.echo(encode({"error": {key: value for key, value in shown.items() if value}}), err=True)
        return
    click.echo(f"error: {message} [{code}]", err=True)
    if transaction_id:
        click.echo(f"transaction: {transaction_id}", err=True)


if __name__ == "__main__":
    main()
