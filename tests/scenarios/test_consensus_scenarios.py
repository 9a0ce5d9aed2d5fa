"""Readable stories of the protocol: each file in `consensus/` is a script and what replicas do when it is played.

`pytest tests/scenarios --rewrite` writes what they do now; the diff is what a review looks at.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from story import play

STORIES = Path(__file__).with_name("consensus")
FILES = sorted(STORIES.glob("*.txt"))
LABEL = re.compile(r"# [SLRG]\d+(, [SLRG]\d+)*: \S")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_story_goes_as_told(path: Path, request: pytest.FixtureRequest) -> None:
    told = path.read_text()
    happened = play(told)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(happened)
        return
    assert happened == told, "the replicas act differently now: run with --rewrite and review the diff"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_story_names_its_cases_and_fits_a_page(path: Path) -> None:
    text = path.read_text()
    assert LABEL.match(text)
    assert len(text.splitlines()) <= 200


def test_a_story_is_played_twice_alike() -> None:
    text = (STORIES / "s01_a_primary_shows_two_proposals.txt").read_text()
    assert play(text) == play(text)


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="cannot perform 'dance replicas=1'"):
        play("# S1: nobody dances.\n\ncluster replicas=4\ndance replicas=1\n")
