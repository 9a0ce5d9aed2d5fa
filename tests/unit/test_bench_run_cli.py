"""`guildmark bench run`: what the options become, and what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench_kit import result as made_result

import benchmarks.running
from benchmarks.results.schema import Configuration, Result, read
from guildmark.cli.main import run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """(configuration, directory) of what would have been run."""
    found: list[Any] = []

    def instead(configuration: Configuration, directory: Path, progress: Callable[[str], None]) -> Result:
        progress("doing nothing")
        found.append((configuration, directory))
        errors = ("it failed",) if configuration.seed == 13 else ()
        return msgspec.structs.replace(made_result(configuration), errors=errors)

    monkeypatch.setattr(benchmarks.running, "run", instead)
    return found


def test_options_become_the_configuration_and_the_result_goes_where_it_should(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out.json"
    options = ["--rate", "400", "--validators", "7", "--node", "consensus.turn_ms=900", "--genesis", "fee_bps=0"]
    assert run(["bench", "run", *options, "--faults", "1:kill:0", "--json", str(out)]) == 0
    configuration, directory = asked[0]
    assert (configuration.rate, configuration.validators, configuration.batch_submit) == (400.0, 7, 20)
    assert configuration.node == {"consensus": {"turn_ms": 900}}
    assert configuration.genesis == {"fee_bps": 0}
    assert directory == tmp_path / "deep" / "out"
    assert read(out.read_bytes()).configuration == configuration
    assert "SUMMARY  valid" in capsys.readouterr().out


def test_saturation_is_the_default_and_leaves_nothing_behind(asked: list[Any]) -> None:
    assert run(["bench", "run"]) == 0
    assert run(["bench", "run", "--workload", "opaque"]) == 0
    (signed, directory), (opaque, _) = asked
    assert (signed.rate, signed.batch_submit, signed.outstanding, signed.accounts) == ("saturate", 100, 16_000, 100_000)
    assert opaque.outstanding == 40_000
    assert not directory.exists()


def test_a_result_that_does_not_count_ends_with_1_and_says_why(
    asked: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "run", "--seed", "13", "--json", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert "NOT VALID" in said
    assert "error: it failed" in said
    assert asked[0][1] == tmp_path / "out-events"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--rate", "0"], "usage"),
        (["--rate", "fast"], "usage"),
        (["--node", "turn_ms=900"], "bench.node"),
        (["--attach", "http://127.0.0.1:1"], "bench.attach"),
        (["--attach", "http://127.0.0.1:1", "--faults", "1:kill:0"], "bench.attach"),
    ],
)
def test_what_makes_no_sense_is_refused(
    asked: list[Any], options: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "run", *options, "--json", str(tmp_path / "out")]) == 2
    assert f'"code":"{code}"' in capsys.readouterr().err
    assert asked == []
