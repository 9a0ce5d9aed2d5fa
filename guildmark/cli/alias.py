"""The name of an alias on the command line."""

from __future__ import annotations

import re
from typing import Final

import rich_click as click

_FORM: Final = re.compile(r"[a-z][a-z0-9._-]{0,31}")
"""As the ledger has it (`ledger.modules.fields.Alias`), which a command that only helps must not import."""


def read_alias(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Return the name. Raises a usage error that says how names look, where the operation would quote a pattern."""
    if _FORM.fullmatch(value) is None:
        raise click.UsageError(
            f"{value[:80]!r} is no alias: up to 32 of a-z, 0-9, '.', '_' and '-', the first of them a letter"
        )
    return value
