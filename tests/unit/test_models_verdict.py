"""What is said about a claim, by which program: the same for every honest evaluator."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guildmark.cli.main import run
from guildmark.cli.provenance import read_provenance
from guildmark.cli.things import split_version
from guildmark.errors import InvalidArgument
from guildmark.models import program
from guildmark.models.evaluate import Settings
from guildmark.models.metrics import METRICS, Measured
from guildmark.models.provenance import provenance
from guildmark.models.verdict import Claim, judge
from ledger.modules.assets.operations import TOLERANCE_PPM_MAX, Metric, Provenance

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("value", "least", "greatest", "verdict"),
    [
        (970_000, 970_000, 970_000, "reproduced"),
        (965_000, 965_000, 965_000, "reproduced"),
        (975_000, 974_000, 975_000, "reproduced"),
        (964_999, 964_999, 964_999, "contradicted"),
        (975_001, 975_001, 990_000, "contradicted"),
        (965_000, 964_999, 965_000, "undecided"),
        (970_000, 960_000, 980_000, "undecided"),
    ],
)
def test_a_verdict_is_given_where_the_whole_interval_gives_it(
    value: int, least: int, greatest: int, verdict: str
) -> None:
    """M7: the same result everywhere, or within the claim's tolerance, or none is stated."""
    assert judge(Measured(value, least, greatest), Claim(970_000, 5_000)) == verdict


def test_without_a_claim_the_bounds_are_as_near_as_the_evaluator_allows() -> None:
    """M7."""
    assert judge(Measured(5, 5, 5), None) == "no claim"
    assert judge(Measured(5, 4, 5), None) == "undecided"
    assert judge(Measured(5, 4, 5), None, spread_max_ppm=1) == "no claim"


PPM = st.integers(0, 1_000_000)


@given(PPM, PPM, PPM, PPM, PPM)
def test_whoever_lies_within_the_bounds_comes_to_the_same_verdict(
    a: int, b: int, c: int, claimed: int, tol: int
) -> None:
    """M7: what the network counts by is |value - claim| <= tolerance, of whichever value in the interval."""
    least, value, greatest = sorted((a, b, c))
    verdict = judge(Measured(value, least, greatest), Claim(claimed, tol))
    within = {abs(other - claimed) <= tol for other in (least, value, greatest)}
    if verdict == "reproduced":
        assert within == {True}
    elif verdict == "contradicted":
        assert within == {False}
    else:
        assert within == {True, False} or least < claimed < greatest


def test_the_program_is_named_by_all_that_decides_its_integers() -> None:
    """A module that the child comes to use is in the digest, or listed here as one that decides nothing."""
    aside = {
        "artifacts/errors.py",
        "guildmark/errors.py",
        "guildmark/models/errors.py",
        "primitives/codec.py",
        "primitives/digest.py",
    }
    pending, seen = ["guildmark/models/evaluation_child.py"], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                path = node.module.replace(".", "/") + ".py"
                if (ROOT / path).is_file():
                    pending.append(path)
    reached = {name for name in seen if not name.startswith("primitives/")} | (aside & seen)
    assert reached - aside == set(program.SOURCES)


def test_the_digests_change_with_what_they_stand_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(program.sources())
    name = "guildmark/models/metrics.py"
    assert found[name] == hashlib.sha256((ROOT / name).read_bytes()).digest()
    before = program.code_digest()
    monkeypatch.setattr(program, "sources", lambda: tuple((found | {name: bytes(32)}).items()))
    assert program.code_digest() != before
    default = program.environment(Settings())
    assert list(default) == sorted(default)
    assert default == program.environment(Settings())
    for other in (Settings(threads=2), Settings(onednn=True), Settings(batch=8)):
        assert program.environment_digest(program.environment(other)) != program.environment_digest(default)


def test_the_command_explains_itself_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "evaluate", "--explain", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["metrics"] == list(METRICS)
    assert told["code"] == program.code_digest().hex()
    assert set(told["sources"]) == set(program.SOURCES)
    assert told["environment"] == program.environment_digest(told["environment_facts"]).hex()


def test_the_command_wants_a_model_and_a_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "evaluate", "ab" * 32]) == 2
    assert "--dataset" in capsys.readouterr().err


def test_a_version_is_a_number_or_an_alias() -> None:
    assert [split_version(text) for text in ("ab", "ab:3", "ab:stable", "ab:")] == [
        ("ab", None),
        ("ab", 3),
        ("ab", "stable"),
        ("ab", None),
    ]


def provenance_by(*metrics: str, measured_on: str | None = None, tolerance: str | None = None) -> Provenance:
    return read_provenance((), (), (), metrics, measured_on, tolerance, "")


def test_a_claim_names_what_it_was_measured_on_and_how_exactly_it_holds() -> None:
    found = provenance_by("accuracy=0.97", "f1-macro=0.9", measured_on=f"{'ab' * 32}:3", tolerance="0.0005")
    on = bytes.fromhex("ab" * 32)
    assert found.metrics == (Metric("accuracy", 970_000, 500, on, 3), Metric("f1-macro", 900_000, 500, on, 3))
    assert provenance_by("loss=1.25").metrics == (Metric("loss", 1_250_000),)
    built = provenance(metrics_ppm={"accuracy": 970_000}, tolerance_ppm=500, measured_on=("ab" * 32, 3))
    assert built.metrics == found.metrics[:1]


def test_a_tolerance_is_a_tenth_at_most() -> None:
    assert provenance_by("accuracy=0.9", tolerance="0.1").metrics == (Metric("accuracy", 900_000, TOLERANCE_PPM_MAX),)
    assert provenance(metrics_ppm={"accuracy": 1}, tolerance_ppm=TOLERANCE_PPM_MAX).metrics
    for wrong in (TOLERANCE_PPM_MAX + 1, -1):
        with pytest.raises(InvalidArgument, match="accuracy: a tolerance is from 0 to 100000 ppm") as caught:
            provenance(metrics_ppm={"accuracy": 1}, tolerance_ppm=wrong)
        assert caught.value.code == "argument.tolerance"


@pytest.mark.parametrize(
    "wrong",
    [
        {"measured_on": "ab" * 32},
        {"measured_on": f"{'ab' * 32}:0"},
        {"measured_on": f"{'ab' * 32}:latest"},
        {"tolerance": "much"},
        {"tolerance": "0.100001"},
        {"tolerance": "-0.1"},
    ],
)
def test_a_claim_that_nobody_could_measure_again_is_wrong_usage(wrong: dict[str, str]) -> None:
    with pytest.raises(click.UsageError):
        provenance_by("accuracy=0.97", **wrong)
