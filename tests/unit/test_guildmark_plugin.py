"""The pytest plugin at load: light, and honest about other projects' packages of the same names."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from guildmark.testing.shadows import OURS, Clash, find_clashes


def run_pytest(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def package(directory: Path, name: str) -> Path:
    (directory / name).mkdir()
    (directory / name / "__init__.py").write_text('"""Somebody else\'s."""\n')
    return directory / name


def write_test(directory: Path, body: str) -> None:
    (directory / "test_theirs.py").write_text(textwrap.dedent(body))


def test_a_project_without_clashes_hears_nothing(tmp_path: Path) -> None:
    write_test(tmp_path, "def test_one(): pass\n")
    run = run_pytest(tmp_path)
    assert run.returncode == 0, run.stdout
    assert "name clash" not in run.stdout


@pytest.mark.parametrize("name", ["node", "ledger", "primitives"])
def test_a_clash_is_named_with_both_paths_at_load(tmp_path: Path, name: str) -> None:
    theirs = package(tmp_path, name)
    write_test(tmp_path, f"def test_one():\n    import {name}\n    assert 'main' not in {name}.__path__\n")
    run = run_pytest(tmp_path)
    assert run.returncode == 0, run.stdout
    header = next(line for line in run.stdout.splitlines() if "name clash" in line)
    assert f"`{name}`" in header
    assert str(theirs) in header
    assert str(OURS) in header


def test_a_module_file_clashes_like_a_package(tmp_path: Path) -> None:
    (tmp_path / "consensus.py").write_text("x = 1\n")
    assert find_clashes(["consensus"], [str(tmp_path), str(OURS)]) == [
        Clash("consensus", tmp_path / "consensus.py", foreign_wins="consensus" not in sys.modules)
    ]


def test_folders_that_are_no_packages_do_not_clash(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    assert find_clashes(["node"], [str(tmp_path), str(OURS)]) == []


def test_who_stands_behind_us_is_hidden_and_named(tmp_path: Path) -> None:
    theirs = package(tmp_path, "ledger")
    assert find_clashes(["ledger"], [str(OURS), str(tmp_path)]) == [Clash("ledger", theirs, foreign_wins=False)]


def test_a_fixture_refuses_to_run_on_another_projects_ledger(tmp_path: Path) -> None:
    package(tmp_path, "ledger")
    write_test(tmp_path, "def test_one(guildmark_cluster): pass\n")
    run = run_pytest(tmp_path)
    assert run.returncode == 1, run.stdout
    assert "hides" in run.stdout
    assert "Traceback" not in run.stdout


def test_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    write_test(
        tmp_path,
        """
        import sys

        def test_nothing_heavy_is_loaded():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert "guildmark" in loaded
            assert loaded & {"aiohttp", "tensorflow", "keras", "numpy", "ledger", "artifacts", "cryptography"} == set()
        """,
    )
    run = run_pytest(tmp_path)
    assert run.returncode == 0, run.stdout


def test_the_fixtures_are_listed_with_their_documentation(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "--fixtures")
    for name in (
        "guildmark_cluster",
        "guildmark_client",
        "guildmark_account",
        "guildmark_cluster_factory",
        "guildmark_options",
    ):
        assert f"{name} " in run.stdout
    assert "no docstring available" not in run.stdout.split("guildmark_cluster")[1].split("-----")[0]
