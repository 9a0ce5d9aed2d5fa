"""Running the node's own program for work on a data directory, and showing how far it is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.errors import ClusterError

WORDS_MAX: Final = 2_000
"""Characters of what the program says on standard error."""

Show = Callable[[int, int | None], None]
"""(done, of how many; None where nobody knows)"""


def run_node_program(arguments: list[str], show: Show | None) -> dict[str, Any]:
    """Run the program; return the last document that it says.

    Raises:
        ClusterError: `node.directory`, with its words.
    """
    last: dict[str, Any] | None = None
    with subprocess.Popen(
        node_command(*arguments),
        env=node_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            said = json.loads(line)
            if said.get("event") != "progress":
                last = said
            elif show is not None:
                show(said["done"], said["total"])
        words = process.stderr.read()
    if last is None:
        raise ClusterError("node.directory", words.strip()[-WORDS_MAX:].removeprefix("error: "))
    return last


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Show | None]:
    """A bar on standard error; none where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
