"""docs/walk-through.md and docs/walk-through-trust.md do what they say, with the output that they show.

`python -m tests.cluster.test_walk_through walk-through-trust` rewrites the output in that document from a run; read the
difference.
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
DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"


def transcript(directory: Path) -> Transcript:
    """A directory without settings of the caller's, where `guildmark` and `python` are this interpreter's."""
    commands = directory / "bin"
    commands.mkdir()
    COMMANDS.start()
    forked = f'exec "{sys.executable}" -S -E "{forked_guildmark.__file__}" "{COMMANDS.path}" "$@"'
    for name, line in (("guildmark", forked), ("python", f'exec "{sys.executable}" "$@"')):
        command = commands / name
        command.write_text(f"#!/bin/sh\n{line}\n")
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
    follow("walk-through", made)


@pytest.mark.cluster
@pytest.mark.tensorflow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("tensorflow")
def test_the_walk_through_of_trust_is_what_happens(made: Transcript) -> None:
    """A bounty, a contribution, votes, two evaluations of a real model, a payment and a score."""
    follow("walk-through-trust", made)


def follow(name: str, shell: Transcript) -> None:
    document = (DOCUMENTS / f"{name}.md").read_text(encoding="utf-8")
    found = [step for block in BLOCK.findall(document) for step in steps(block)]
    assert len(found) > 20
    for step in found:
        printed = shell.run(step)
        assert shell.matches(step, printed), f"$ {step.command}\n{printed}\n--- the document shows\n{step.expected}"


def test_a_transcript_binds_ids_and_nothing_else(tmp_path: Path) -> None:
    shell = Transcript(tmp_path, dict(os.environ))
    one, two = "a" * 64, "b" * 64
    (step,) = steps(f"$ echo\nasset  {one}\nheight  5\npaid  7\n")
    assert shell.matches(step, f"asset  {two}\nheight  6\npaid  7")
    assert not shell.matches(step, f"asset  {two}\nheight  6\npaid  8")
    assert not shell.matches(step, f"asset  {one}\nheight  6\npaid  7"), "it stands for another id now"
    (again,) = steps(f"$ echo {one}\n{one}\n")
    assert shell.run(again) == two


def test_what_decays_may_differ_by_what_it_decays_in_an_hour(tmp_path: Path) -> None:
    shell = Transcript(tmp_path, dict(os.environ))
    (step,) = steps(
        "$ echo\nscore_ppm  830630\nrating 900000: weight 4000000 -> decayed 3999994; now 3999994 for, 0 against\n"
    )
    assert shell.matches(step, step.expected.replace(" -> decayed 3999994", "")), "not yet"
    later = "score_ppm  830628\nrating 900000: weight 4000000 -> decayed 3999990; now 3999990 for, 0 against"
    assert shell.matches(step, later)
    assert not shell.matches(step, later.replace("weight 4000000", "weight 4000001"))
    assert not shell.matches(step, later.replace("now 3999990", "now 3990000"))
    assert not shell.matches(step, later.replace("0 against", "5 against"))


if __name__ == "__main__":
    document = DOCUMENTS / f"{sys.argv[1] if len(sys.argv) > 1 else 'walk-through'}.md"
    with tempfile.TemporaryDirectory() as directory:
        shell = transcript(Path(directory))
        document.write_text(rewritten(document.read_text(encoding="utf-8"), shell), encoding="utf-8")
