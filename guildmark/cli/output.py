"""What commands print: results on standard output, as JSON or for people; everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import rich_click as click

EPOCH_MS_MIN: Final = 10**12
"""The year 2001 in milliseconds, as spans of time never are."""
EPOCH_MS_END: Final = 10**14


def plain(value: Any) -> Any:
    """Turn Structs, bytes (to hex) and tuples into what JSON has."""
    import msgspec

    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def encode(value: Any) -> str:
    """One line of JSON."""
    import msgspec

    return msgspec.json.encode(plain(value)).decode("utf-8")


def indented(value: Any) -> str:
    """JSON for people: two spaces a level."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode("utf-8")


def emit(result: Any, *, json: bool, text: str | None = None, dates: bool = False) -> None:
    """Print a result: as JSON, as `text`, or as lines of names and values; with `dates` times are said as such too."""
    if json:
        click.echo(encode(result))
    elif text is not None:
        click.echo(text)
    else:
        shown = plain(result)
        click.echo("\n".join(_lines(_dated(shown) if dates else shown, "")))


def emit_table(
    rows: Sequence[Any],
    columns: Sequence[str],
    *,
    json: bool,
    shown: Callable[[Any], Mapping[str, Any]] | None = None,
) -> None:
    """Print a list of records: as JSON, or the named columns, for people of what `shown` makes of each record."""
    if json:
        click.echo(encode(rows))
        return
    for line in table(rows if shown is None else [shown(row) for row in rows], columns):
        click.echo(line)


def table(rows: Sequence[Any], columns: Sequence[str]) -> Iterator[str]:
    """The lines of a table with a head: the named columns of the records."""
    cells = [[_scalar(plain(row).get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[i]) for line in cells)]) for i, column in enumerate(columns)]
    for line in [list(columns), *cells]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def minute(time_ms: int) -> str:
    """A block time as people read it in a table."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def note(text: str) -> None:
    """Say something that is not the result."""
    click.echo(text, err=True)


@contextmanager
def progress(title: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar of bytes on standard error; none where that is no terminal or `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    with Progress(TextColumn(title), BarColumn(), DownloadColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def blocks_progress(title: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """The same of blocks: how many there are here, and in all."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("blocks"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        width = max((len(key) for key in value), default=0)
        for key, item in value.items():
            if isinstance(item, dict | list) and item:
                yield f"{indent}{key}:"
                yield from _lines(item, indent + "  ")
            else:
                yield f"{indent}{key.ljust(width)}  {_scalar(item)}"
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                yield f"{indent}-"
                yield from _lines(item, indent + "  ")
            else:
                yield f"{indent}- {_scalar(item)}"
    else:
        yield f"{indent}{_scalar(value)}"


def _dated(values: dict[str, Any]) -> dict[str, Any]:
    """Put the date behind every time that has a name like `block_time_ms`, in records within the record too."""
    return {name: _with_date(name, value) for name, value in values.items()}


def _with_date(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _dated(value)
    if isinstance(value, list):
        return [_with_date("", item) for item in value]
    if name.endswith("_ms") and isinstance(value, int) and EPOCH_MS_MIN <= value < EPOCH_MS_END:
        return f"{value} ({datetime.fromtimestamp(value / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC)"
    return value  # of spans too: they are too short to be a time


def _scalar(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
