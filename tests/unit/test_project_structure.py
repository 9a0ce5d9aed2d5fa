"""The rules of the house, as tests: arrows between rooms, sizes, one place for quorums and signatures."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["primitives", "consensus", "ledger", "artifacts", "p2p", "node", "guildmark", "simulation", "benchmarks"]
FILE_LINES_MAX = 600
TEST_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
METHODS_MAX = 26
ARGUMENTS_MAX = 11
"""Ten and `self`."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def trees(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sources(*folders):
        yield path.relative_to(ROOT), ast.parse(path.read_text(), str(path))


def test_the_arrows_between_rooms_hold() -> None:
    run = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        check=False,
    )
    assert run.returncode == 0, run.stdout


def test_files_stay_readable() -> None:
    long = [f"{p.relative_to(ROOT)}: {len(p.read_text().splitlines())}" for p in sources(*ROOMS)]
    assert [row for row in long if int(row.rsplit(" ", 1)[1]) > FILE_LINES_MAX] == []
    tests = [f"{p.relative_to(ROOT)}: {len(p.read_text().splitlines())}" for p in sources("tests")]
    assert [row for row in tests if int(row.rsplit(" ", 1)[1]) > TEST_LINES_MAX] == []


def test_functions_and_classes_stay_small() -> None:
    too_large = []
    for path, tree in trees(*ROOMS):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                arguments = len(node.args.args) + len(node.args.kwonlyargs)
                if lines > FUNCTION_LINES_MAX:
                    too_large.append(f"{path}:{node.lineno} {node.name} has {lines} lines")
                if node.name == "__init__" and arguments > ARGUMENTS_MAX:
                    too_large.append(f"{path}:{node.lineno} a constructor has {arguments} arguments")
            elif isinstance(node, ast.ClassDef):
                methods = sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)
                if methods > METHODS_MAX:
                    too_large.append(f"{path}:{node.lineno} {node.name} has {methods} methods")
    assert too_large == []


def test_every_module_says_what_lives_in_it() -> None:
    assert [str(path) for path, tree in trees(*ROOMS) if tree.body and not ast.get_docstring(tree)] == []


def test_signatures_are_checked_in_one_place() -> None:
    """A8: a second library's verdict could differ, and split the chain."""
    # The simulator puts stand-ins before the same library, for keys of its own.
    allowed = {Path("primitives/keys.py"), Path("simulation/signatures.py")}
    found = {path for path, tree in trees(*ROOMS) if "nacl" in imported(tree)}
    assert found == allowed


def test_quorum_arithmetic_is_in_one_place() -> None:
    """S14: `2 * f + 1` is wrong for n = 5, 6, 8."""
    pattern = re.compile(r"2 \* f\b|// 3\b")
    found = {str(p.relative_to(ROOT)) for p in sources("consensus", "ledger", "node") if pattern.search(p.read_text())}
    assert found == set()


def test_deterministic_rooms_use_no_floats_and_no_clock() -> None:
    """M7, X1: nothing that may differ between machines enters a state root."""
    offenders = []
    for path, tree in trees("consensus", "ledger"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                offenders.append(f"{path}:{node.lineno} float {node.value}")
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not isinstance(node.left, ast.Name):
                offenders.append(f"{path}:{node.lineno} true division")
        offenders += [f"{path} imports {name}" for name in imported(tree) & {"random", "time", "datetime", "secrets"}]
    allowed = {"ledger/transaction.py imports secrets", "ledger/genesis.py imports secrets"}
    assert [row for row in offenders if row not in allowed] == []


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_asyncio_tasks_are_born_in_the_node_and_the_sdk_only() -> None:
    births = re.compile(r"create_task\(|ensure_future\(|TaskGroup\(")
    rooms = ["primitives", "consensus", "ledger", "artifacts", "p2p", "simulation"]
    assert [str(path.relative_to(ROOT)) for path in sources(*rooms) if births.search(path.read_text())] == []


def test_the_wheel_lists_its_packages_and_no_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(packages) == sorted(ROOMS)
    assert [name for name in ROOMS if not (ROOT / name / "py.typed").is_file()] == []  # "Typing :: Typed"


@pytest.mark.parametrize("name", ["all.txt", "dev.txt"])
def test_constraints_pin_versions_with_hashes_and_name_no_index(name: str) -> None:
    text = (ROOT / "constraints" / name).read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    assert [b.splitlines()[0] for b in blocks if "==" not in b or "--hash=sha256:" not in b] == []
