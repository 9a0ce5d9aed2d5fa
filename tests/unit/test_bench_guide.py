"""The researcher's guide says what is so: its files are read, its options exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import rich_click as click

from benchmarks.reproduction.reproducing import TOLERANCES
from benchmarks.sweeps.specification import cells, configure, read_specification
from benchmarks.workloads.choosing import workload
from guildmark.cli.bench import bench
from node.configuration import parse

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "benchmarking.md").read_text()
TOML = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
SWEEPS = [text for text in TOML if "[parameters]" in text]
WORKLOADS = [text for text in TOML if "[weights]" in text]
SIDES = [text for text in TOML if text not in SWEEPS and text not in WORKLOADS]
COMMANDS = [
    line.removeprefix("$ guildmark bench ").split()
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ guildmark bench ")
]


def test_the_sweep_of_the_guide_is_ten_runs(tmp_path: Path) -> None:
    path = tmp_path / "load.toml"
    (text,) = SWEEPS
    path.write_text(text)
    assert len(cells(read_specification(path))) == 10
    assert "here ten" in GUIDE


@pytest.mark.parametrize("text", SIDES)
def test_the_sides_of_a_comparison_in_the_guide_are_configurations(text: str, tmp_path: Path) -> None:
    document = tomllib.loads(text)
    document.pop("program", None)
    made = configure(document, {})
    workload(made.workload)
    lines = [
        f"[{table}]\n" + "\n".join(f"{key} = {value}" for key, value in values.items())
        for table, values in made.node.items()
    ]
    parse("\n".join(lines).encode(), tmp_path / "node.toml")


@pytest.mark.parametrize("text", WORKLOADS)
def test_the_mixtures_of_the_guide_are_workloads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert workload(str(path)).name == "mine"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_of_the_guide_have_the_options_that_it_uses(words: list[str]) -> None:
    command = bench.commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert isinstance(command, click.Command)
    assert {word for word in words[1:] if word.startswith("--")} <= known


def test_tolerances_of_the_guide_are_those_that_are_applied() -> None:
    applied = {figure.key: tolerance for figure, tolerance in TOLERANCES}
    assert "utilization and CPU by signature check (within 15 %),\nbytes (15 %) and messages (30 %)" in GUIDE
    assert [applied[key] for key in ("utilization", "cpu_checks", "bytes", "messages")] == [0.15, 0.15, 0.15, 0.30]


def test_files_that_the_guide_points_to_exist() -> None:
    for target in re.findall(r"\]\((\.\./[^)#]+|[a-z-]+\.md)\)", GUIDE):
        assert (ROOT / "docs" / target).resolve().exists(), target
