"""How commands are told a vote: one of two options, and never both."""

from __future__ import annotations

from collections.abc import Callable

import rich_click as click

from guildmark.cli.session import F


def vote_option(name: str, help_text: str) -> Callable[[F], F]:
    """`--NAME/--refuse`: the command gets `name` as a bool. Without one of them, or with both, it is a usage error."""

    def read(ctx: click.Context, _: click.Parameter, said: tuple[bool, ...]) -> bool:
        if len(set(said)) != 1:
            both = ", not both" if said else ""
            raise click.UsageError(f"say --{name} or --refuse{both}", ctx)
        return said[0]

    return click.option(f"--{name}/--refuse", name, multiple=True, callback=read, help=help_text)
