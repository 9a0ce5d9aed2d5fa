"""Every case in the table of tests/README.md has a test that names it, and no test names a case that is not there.

A case is named by the label that begins a test's docstring (`S3: ...`, `S1, L8.`) or a story's first line. A range
(`S1-S12`) says what a random test samples, and stands for no test of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TABLE_ROW = re.compile(r"\| ([A-Z]\d+) \| ([^|]+) \| ([^|]+) \|")
LABEL = r"[A-Z]\d+(?:-[A-Z]\d+)?"
LABELS = re.compile(rf"(?:# )?({LABEL}(?:, {LABEL})*)(?=[.:,;\s]|$)")
CLOSED = {"S": 18, "L": 14, "R": 8, "D": 8, "E": 6}
"""Letters whose every number the table has, and how many."""
ALSO = {
    "A6",
    "A7",
    "G1",
    "G2",
    "G3",
    "G4",
    "G5",
    "M1",
    "M2",
    "M3",
    "M4",
    "M5",
    "M6",
    "M7",
    "N8",
    "P1",
    "P2",
    "P3",
    "X1",
    "X2",
}


def labels(text: str | None) -> list[str]:
    """Read the labels that begin a docstring or a story, ranges included."""
    found = LABELS.match(text or "")
    return found.group(1).split(", ") if found else []


def test_docstrings(path: Path) -> Iterator[str | None]:
    """Yield the docstrings of a file's test functions."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield ast.get_docstring(node)


test_docstrings.__test__ = False  # type: ignore[attr-defined]  # a helper, whatever its name


@cache
def named() -> dict[str, set[str]]:
    """Return label -> the files that name it, relative to `tests/`."""
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for docstring in test_docstrings(path):
            for label in labels(docstring):
                found.setdefault(label, set()).add(str(path.relative_to(TESTS)))
    for path in sorted((TESTS / "scenarios").rglob("*.txt")):
        for label in labels(path.read_text().partition("\n")[0]):
            found.setdefault(label, set()).add(str(path.relative_to(TESTS)))
    return found


@cache
def table() -> dict[str, tuple[str, list[str]]]:
    """Return case -> what it is, and where the table says that it is tested."""
    rows: dict[str, tuple[str, list[str]]] = {}
    for case, meaning, where in TABLE_ROW.findall((TESTS / "README.md").read_text()):
        assert case not in rows, f"{case} is in the table twice"
        rows[case] = (meaning, re.findall(r"`([^`]+)`", where))
    return rows


def test_the_table_has_every_case() -> None:
    expected = {f"{letter}{number}" for letter, last in CLOSED.items() for number in range(1, last + 1)} | ALSO
    assert set(table()) == expected


@pytest.mark.parametrize("case", list(table()))
def test_a_case_has_a_test_that_names_it(case: str) -> None:
    assert case in named(), f"no test begins its docstring with {case}: {table()[case][0]}"


def test_the_table_tells_where_a_case_is_tested() -> None:
    wrong = [
        f"{case}: {place} names it nowhere"
        for case, (_, places) in table().items()
        for place in places
        if not any(file.endswith(place) for file in named().get(case, ()))
    ]
    assert wrong == []
    assert [case for case, (_, places) in table().items() if not places] == []


def test_no_test_names_a_case_that_does_not_exist() -> None:
    unknown = {
        label: sorted(files)
        for label, files in named().items()
        for end in label.split("-")
        if end[0] in CLOSED and end not in table()
    }
    assert unknown == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S3: the primary omits it.", ["S3"]),
        ("S1, L8.", ["S1", "L8"]),
        ("R8", ["R8"]),
        ("S1-S12, L10, sampled: equivocation", ["S1-S12", "L10"]),
        ("# S5, L1: a story", ["S5", "L1"]),
        ("After S3 nothing is lost.", []),
        ("S3x is no label", []),
        (None, []),
    ],
)
def test_a_label_stands_at_the_beginning(text: str | None, expected: list[str]) -> None:
    assert labels(text) == expected
