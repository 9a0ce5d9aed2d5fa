"""Stories that are told to a confined child."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from guildmark.models.errors import ConfinedRunFailed
from guildmark.models.sandbox import Limits, Outcome, run_module

MIB = 1 << 20


def run(directory: Path, code: str, **options: object) -> Outcome:
    """Run `code` as a module that lies in the child's own directory."""
    (directory / "story.py").write_text(dedent(code))
    limits = Limits(**({"wall_ms": 20_000} | options))  # type: ignore[arg-type]
    return run_module("story", ["one"], directory=directory, limits=limits, environment={"PYTHONPATH": str(directory)})


def run_in_scratch(directory: Path, code: str, **options: object) -> Outcome:
    """Run `code` as a module that lies elsewhere, with a directory of which nothing is wanted."""
    told, own = directory / "told", directory / "own"
    told.mkdir(exist_ok=True)
    own.mkdir(exist_ok=True)
    (told / "story.py").write_text(dedent(code))
    limits = Limits(**({"wall_ms": 20_000} | options))  # type: ignore[arg-type]
    place = {"PYTHONPATH": str(told)}
    return run_module("story", [], directory=own, scratch=True, readable=[told], limits=limits, environment=place)


def running_with(marker: str) -> list[int]:
    """The processes whose command lines hold `marker`."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if marker in " ".join(p.info["cmdline"] or [])]


def stopped(outcome: Outcome, reason: str) -> None:
    """Assert that the child was stopped for this, and under which code."""
    assert (outcome.stopped, outcome.returncode) == (reason, None), outcome.stderr
    with pytest.raises(ConfinedRunFailed) as caught:
        outcome.check()
    assert caught.value.code == f"confined.{reason}"
