"""docs/walk-through.md does what it says, with the output it shows.

`python -m tests.cluster.test_walk_through` rewrites the output in the document from a run; read the difference.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import forked_guildmark
from tests.cluster.forked_guildmark import ForkedGuildmark
from tests.cluster.transcript import BLOCK, Transcript, rewritten, steps

COMMANDS = ForkedGuildmark()
atexit.register(COMMANDS.close)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "walk-through.md"


def transcript(directory: Path) -> Transcript:
    """A directory without settings of the caller's, where `guildmark` is this interpreter's."""
    commands = directory / "bin"
    commands.mkdir()
    command = commands / "guildmark"
    COMMANDS.start()
    script = f'exec "{sys.executable}" -S -E "{forked_guildmark.__file__}" "{COMMANDS.path}" "$@"'
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    work = directory / "work"
    work.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUILDMARK_")}
    return Transcript(work, kept | {"PATH": f"{commands}:{kept['PATH']}", "COLUMNS": "120", "NO_COLOR": "1"})


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Transcript]:
    shell = transcript(tmp_path)
    yield shell
    if (shell.directory / "guildmark-network").is_dir():
        from tests.cluster.transcript import Step

        shell.run(Step("guildmark cluster down", ""))


@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_the_walk_through_is_what_happens(made: Transcript) -> None:
    """E3. Three generations are paid, to the unit, as the document shows it."""
    found = [step for block in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")) for step in steps(block)]
    assert len(found) > 20
    for step in found:
        printed = made.run(step)
        assert made.matches(step, printed), f"$ {step.command}\n{printed}\n--- the document shows\n{step.expected}"


def test_a_transcript_binds_ids_and_nothing_else(tmp_path: Path) -> None:
    shell = Transcript(tmp_path, dict(os.environ))
    one, two = "a" * 64, "b" * 64
    (step,) = steps(f"$ echo\nasset  {one}\nheight  5\npaid  7\n")
    assert shell.matches(step, f"asset  {two}\nheight  6\npaid  7")
    assert not shell.matches(step, f"asset  {two}\nheight  6\npaid  8")
    assert not shell.matches(step, f"asset  {one}\nheight  6\npaid  7"), "it stands for another id now"
    (again,) = steps(f"$ echo {one}\n{one}\n")
    assert shell.run(again) == two


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        shell = transcript(Path(directory))
        DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8"), shell), encoding="utf-8")
