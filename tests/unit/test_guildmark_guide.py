"""The operator's guide names commands, options, settings and metrics that exist."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guildmark.cli import main
from ledger.parameters import Parameters
from node.configuration import Configuration

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = sorted(
    {
        *re.findall(r"(?m)^\$ (guildmark (?:.*\\\n)*.*)$", GUIDE),
        *re.findall(r"`(guildmark [a-z][^`]*)`", GUIDE),
        *re.findall(r"(?m)^ExecStart=\S*/(guildmark .*)$", GUIDE),
    }
)


def test_the_guide_shows_commands() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_guide_exists_with_its_options(line: str) -> None:
    words = shlex.split(line.replace("\\\n", " "), comments=True)[1:]
    command: Any = main.root
    while words and getattr(command, "get_command", None) is not None:
        command = command.get_command(None, words.pop(0))
        assert command is not None, line
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def test_every_metric_of_the_guide_is_served() -> None:
    source = "".join(
        path.read_text().replace("from __future__ import annotations", "")
        for path in sorted((ROOT / "node").glob("*.py"))
    )
    counters = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            values = [getattr(value, "value", None) for value in (*node.args, *node.keywords)]
            words = [getattr(value, "value", value) for value in values]
            counters |= {node.args[0].value} if "counter" in words else set()
    assert "guildmark_scrub_passes" in counters
    named = set(re.findall(r"guildmark_[a-z0-9_]+", GUIDE))
    assert {name for name in named if f'"{name.removesuffix("_total")}"' not in source} == set()
    assert named & counters == set(), "counters are served with _total behind their names"


def test_every_setting_and_parameter_of_the_guide_exists() -> None:
    settings = {
        f"{table.name}.{field.name}"
        for table in msgspec.structs.fields(Configuration)
        for field in msgspec.structs.fields(table.type)
    }
    assert set(re.findall(r"`((?:consensus|p2p|api|artifacts|batching)\.[a-z_]+)`", GUIDE)) <= settings
    parameters = {field.name for field in msgspec.structs.fields(Parameters)}
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)*_(?:ms|bps))(?: = \d+)?`", GUIDE)) <= parameters


def test_every_link_of_the_guide_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^## (.*)$", GUIDE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= anchors
