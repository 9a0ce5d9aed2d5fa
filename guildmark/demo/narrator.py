"""How the demo speaks: numbered chapters, progress bars, tables and checks that really checked something.

The story goes to stderr, so that `--json` leaves stdout to the facts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table


class StepFailed(Exception):
    """Something that the story promises did not hold."""


def percent(ppm: int) -> str:
    """Parts per million as people read them, to the hundredth of a percent."""
    return f"{ppm / 10_000:.2f} %"


class Bar:
    """One running progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        self._progress.advance(self._task, amount)
        if note is not None:
            self._progress.update(self._task, note=note)

    def reach(self, completed: float, note: str | None = None) -> None:
        self._progress.update(self._task, completed=completed)
        if note is not None:
            self._progress.update(self._task, note=note)


class Narrator:
    """Prints the story and gathers its facts."""

    def __init__(self, chapters: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.facts: dict[str, Any] = {}
        self._chapters = chapters
        self._chapter = 0
        self._started = time.monotonic()

    def chapter(self, title: str) -> None:
        """Begin the next chapter."""
        self._chapter += 1
        elapsed = time.monotonic() - self._started
        self.console.print()
        self.console.rule(f"[bold]{self._chapter}/{self._chapters}  {title}[/]  [dim]{elapsed:.0f} s[/]", align="left")

    def say(self, text: str) -> None:
        self.console.print(Padding(text, (0, 0, 0, 2)))

    def check(self, holds: bool, text: str) -> None:
        """Print what was checked. Raises StepFailed when it does not hold."""
        if not holds:
            raise StepFailed(text)
        mark = Table.grid(padding=(0, 1, 0, 0))
        mark.add_row("  [green]✓[/]", text)
        self.console.print(mark)

    def fact(self, **facts: Any) -> None:
        """Keep values for the summary and for `--json`."""
        self.facts.update(facts)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left", title_style="dim", pad_edge=False, box=None)
        for column in columns:
            table.add_column(column, style="cyan" if column == columns[0] else "", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(Padding(table, (0, 0, 0, 4)))

    @contextmanager
    def bar(self, title: str, total: float) -> Iterator[Bar]:
        """Show a progress bar while the block runs."""
        with Progress(
            TextColumn("  "),
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
        ) as progress:
            task = progress.add_task(title, total=total, note="")
            yield Bar(progress, task)

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started
