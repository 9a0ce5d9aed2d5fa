"""`--prepare` and `--prepared`: what several owners do together is shown, consented to, and sent as it was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.output import emit

if TYPE_CHECKING:
    from ledger.operations import Operation

PREPARE = click.option("--prepare", is_flag=True, help="Send nothing: show the operation, for the owners' consent.")
PREPARED = click.option("--prepared", metavar="OPERATION", help="Send what --prepare has shown, after all consents.")


def consent_options(function: Any) -> Any:
    """Add both."""
    return PREPARE(PREPARED(function))


def read_prepared(text: str, what: str, *kinds: type[Operation]) -> Any:
    """Read an operation of one of these kinds that `--prepare` has shown. Raises a usage error where it is not
    `what`."""
    from guildmark.transfers import read_operation

    operation = read_operation(text)
    if not isinstance(operation, kinds):
        raise click.UsageError(f"--prepared: this is another operation than {what}")
    return operation


def emit_prepared(operation: Operation, *, json: bool) -> None:
    """Show what the owners are to consent to."""
    from guildmark.transfers import show_operation, write_operation

    emit({"prepared": write_operation(operation), **show_operation(operation)}, json=json)
