"""The commands over results: what they print, what they end with, and what they leave alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bench_kit import result

from benchmarks.results.schema import Configuration, write
from benchmarks.sweeps.job import Outcome
from benchmarks.sweeps.specification import cells, read_specification
from benchmarks.sweeps.store import Store
from guildmark.cli import main

SPECIFICATION = """
seeds = [1, 2]
[base]
duration_s = 5
[parameters]
rate = [500, 1000]
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def swept(*failing: int) -> Path:
    """A sweep that is done, its cells with these numbers failed."""
    path = Path("rates.toml")
    path.write_text(SPECIFICATION)
    store = Store(Path("rates"))
    for number, cell in enumerate(cells(read_specification(path))):
        made = write(result(cell.configuration, rate=float(cell.configuration.rate), seed=cell.configuration.seed))
        bad = Outcome(cell.name, None, "run.died", "the process ended with signal 9")
        store.keep(cell, bad if number in failing else Outcome(cell.name, made))
    return path


def run(*arguments: str | Path) -> int:
    return main.run(["bench", *map(str, arguments)])


def test_a_sweep_shows_every_cell_and_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    path = swept(2)
    assert run("sweep", path) == 1
    shown = capsys.readouterr()
    assert shown.out.count("done") == 3
    assert "failed: the process ended with signal 9 [run.died]" in shown.out
    assert run("sweep", path, "--json") == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done"]
    assert rows[0]["parameters"] == {"rate": 500}
    assert rows[2]["reason"].endswith("[run.died]")
    assert run("sweep", swept()) == 0


def test_real_runs_side_by_side_must_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    path = swept()
    assert run("sweep", path, "--workers", "2") == 1
    assert "disturb each other" in capsys.readouterr().err
    assert run("sweep", path, "--workers", "2", "--side-by-side") == 0


def test_plots_of_a_sweep_are_made_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    swept(2)
    assert run("plot", "rates", "--out", "pictures") == 0
    assert "pictures/throughput-latency-real.{png,pdf,svg,csv}" in capsys.readouterr().out
    assert {path.suffix for path in Path("pictures").glob("throughput-latency-real.*")} == {
        ".png",
        ".pdf",
        ".svg",
        ".csv",
    }
    assert run("plot", "rates", "--out", "pictures", "--validate") == 1
    assert "n = 4 and 7" in capsys.readouterr().err


def side(name: str, cpu: float) -> Path:
    for seed in range(6):
        made = result(
            msgspec.convert({"duration_s": 5.0, "rate": 1_000, "seed": seed}, Configuration),
            cpu_us=cpu + seed,
            seed=seed,
        )
        Path(name).mkdir(exist_ok=True)
        Path(name, f"{seed}.json").write_bytes(write(made))
    return Path(name)


def test_a_comparison_of_directories_says_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = side("a", 150), side("b", 100)
    assert run("compare", a, b) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "B is lower" in line]
    assert line.startswith("CPU per transaction and node (us)")
    assert out.count("no difference") == 5
    assert run("compare", a, b, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["different"] is True
    assert document["runs"] == {"a": 6, "b": 6}
    assert run("compare", a, Path("b", "0.json")) == 1
    assert "two TOML files, or two directories" in capsys.readouterr().err


def test_a_result_is_run_again_and_held_against_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    side("a", 150)
    monkeypatch.setattr("benchmarks.running.run", lambda asked, *_: result(asked, cpu_us=155, seed=asked.seed))
    assert run("reproduce", Path("a", "0.json"), "--out", "again") == 0
    out = capsys.readouterr().out
    assert "CPU per transaction and node (checks)" in out
    assert "DOES NOT AGREE" not in out
    assert Path("again", "0.json").is_file()
    monkeypatch.setattr("benchmarks.running.run", lambda asked, *_: result(asked, cpu_us=250, seed=asked.seed))
    assert run("reproduce", "a", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 6
    assert not any(each["agrees"] for each in found)


def test_without_the_extra_it_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = swept()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for arguments in (("sweep", path), ("plot", "rates", "--out", "p"), ("compare", path, path), ("reproduce", path)):
        assert run(*arguments) == 2
        assert "pip install 'guildmark[bench]'" in capsys.readouterr().err


def test_help_of_the_commands_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom guildmark.cli import main\n"
        "for name in ('sweep', 'plot', 'compare', 'reproduce'):\n    main.run(['bench', name, '--help'])\n"
        "heavy = {'numpy', 'matplotlib', 'polars', 'ray', 'hdrh', 'benchmarks'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
