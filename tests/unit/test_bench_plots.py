"""Charts: what is put together, what is kept apart, and files that are the same every time."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import msgspec
import pytest
from bench_kit import MACHINE, result

from benchmarks.errors import BenchError
from benchmarks.plots.charts import Chart, charts, merged
from benchmarks.plots.drawing import _mark_places, draw
from benchmarks.plots.plotting import plot
from benchmarks.plots.validation import deviations, validation
from benchmarks.results.reading import Stored
from benchmarks.results.schema import Configuration, Mark, Result, write


def configuration(**fields: object) -> Configuration:
    return msgspec.convert({"duration_s": 5.0, "rate": 1_000, **fields}, Configuration)


def stored(*results: Result) -> list[Stored]:
    return [Stored(Path(f"r{number}.json"), each) for number, each in enumerate(results)]


def swept(kind: str = "real", **fields: object) -> list[Result]:
    """Two sizes, two rates, two seeds."""
    return [
        result(
            configuration(kind=kind, validators=n, rate=rate, seed=seed, **fields),
            rate=rate,
            p50_us=rate * n * (1 + seed / 10),
            seed=seed,
        )
        for n in (4, 7)
        for rate in (500, 1_000)
        for seed in (1, 2)
    ]


def by_name(made: tuple[Chart, ...]) -> dict[str, Chart]:
    return {chart.name: chart for chart in made}


def test_repeated_runs_are_one_point_with_their_range() -> None:
    chart = by_name(charts(stored(*swept())))["throughput-latency-real"]
    (panel,) = chart.panels
    assert [(line.group, line.style) for line in panel.lines] == [
        ("n = 4", "p50"),
        ("n = 4", "p99"),
        ("n = 7", "p50"),
        ("n = 7", "p99"),
    ]
    line = panel.lines[0]
    assert line.x == (500, 1_000)
    assert all(low < y < high for low, y, high in zip(line.y_low, line.y, line.y_high, strict=True))
    assert panel.x_label == "committed transactions per second"
    assert panel.y_label == "end-to-end latency (ms)"


def test_requests_that_are_filled_as_the_rate_allows_belong_to_one_curve() -> None:
    made = [
        result(configuration(rate=rate, batch_submit=batch), rate=1_500 if rate == "saturate" else rate)
        for rate, batch in ((100, 5), (1_000, 50), ("saturate", 100))
    ]
    chart = by_name(charts(stored(*made)))["throughput-latency-real"]
    assert [line.x for line in chart.panels[0].lines] == [(100, 1_000, 1_500)] * 2
    assert "20 requests a second, or of 100 transactions" in chart.caption
    chosen = [result(configuration(rate=rate, batch_submit=1), rate=rate) for rate in (100, 1_000)]
    chart = by_name(charts(stored(*made, *chosen)))["throughput-latency-real"]
    assert {line.group for line in chart.panels[0].lines} == {"1 transaction a request"}


def test_latency_against_n_has_a_line_a_rate() -> None:
    chart = by_name(charts(stored(*swept())))["latency-against-n-real"]
    (panel,) = chart.panels
    assert {line.group for line in panel.lines} == {"500 tx/s offered", "1,000 tx/s offered"}
    assert panel.x_ticks == (4, 7)


def test_real_and_simulated_results_are_never_in_one_chart() -> None:
    made = charts(stored(*swept(), *swept("simulated")))
    assert {chart.name.rsplit("-", 1)[1] for chart in made if not chart.name.startswith("over")} == {
        "real",
        "simulated",
    }
    for chart in made:
        assert ("virtual time" in chart.title) == chart.name.endswith("simulated")
        assert ("Simulated; costs from calibration.json" in chart.caption) == chart.name.endswith("simulated")
    alone = by_name(charts(stored(*swept())))
    for name, chart in alone.items():
        assert by_name(made)[name] == chart


def test_payloads_and_transactions_are_not_in_one_chart() -> None:
    made = by_name(charts(stored(*swept(), *swept(workload="opaque"))))
    assert made["throughput-latency-payloads-real"].panels[0].x_label == "committed payloads per second"
    assert "512 B payload" in made["throughput-latency-payloads-real"].caption


def test_more_groups_than_colors_are_distributed_over_charts() -> None:
    many = [each for workload in ("transfers", "licenses") for each in swept(workload=workload)]
    made = by_name(charts(stored(*many)))
    assert {name for name in made if name.startswith("latency-cdf")} == {
        "latency-cdf-real-licenses",
        "latency-cdf-real-transfers",
    }
    plenty = [result(configuration(rate=rate), rate=rate) for rate in range(100, 1_000, 100)]
    assert {name for name in by_name(charts(stored(*plenty))) if "cdf" in name} == {
        "latency-cdf-real-1",
        "latency-cdf-real-2",
    }


def test_histograms_of_repeated_runs_are_added_up() -> None:
    one, other = result(configuration(), p50_us=1_000), result(configuration(), p50_us=9_000)
    values, shares = merged([one, other])
    assert shares[-1] == 1
    middle = next(share for value, share in zip(values, shares, strict=True) if value > 3)
    assert middle == pytest.approx(0.5, abs=0.01)
    body, tail = next(chart for chart in charts(stored(one, other)) if "cdf" in chart.name).panels
    assert body.lines[0].x == values
    assert min(tail.lines[0].y) > 0
    assert tail.log_y


def test_over_time_has_gaps_where_nothing_was_committed_and_marks_where_something_was_done() -> None:
    marks = (Mark(2.0, "kill node 1"),)
    made = result(configuration(faults="2:kill:1"), marks=marks)
    series = [msgspec.structs.replace(s, committed=0, p50=0, p99=0) if s.second == 2 else s for s in made.series]
    made = msgspec.structs.replace(made, series=tuple(series))
    chart = next(chart for chart in charts(stored(made)) if chart.name == "over-time-r0-real")
    throughput, latency = chart.panels
    assert throughput.lines[0].y[2] == 0
    assert math.isnan(latency.lines[0].y[2])
    assert chart.marks == marks
    assert "faults 2:kill:1" in chart.caption


def test_of_many_results_only_those_with_faults_get_a_chart_over_time() -> None:
    marked = result(configuration(faults="2:kill:1"), marks=(Mark(2.0, "kill node 1"),))
    made = by_name(charts(stored(*swept(), marked)))
    assert [name for name in made if name.startswith("over-time")] == ["over-time-r8-real"]


def test_results_of_one_name_do_not_overwrite_each_other() -> None:
    one, other = result(configuration()), result(configuration(rate=500))
    for paths, names in (
        (("a/result.json", "b/result.json"), {"over-time-a-result-real", "over-time-b-result-real"}),
        (("x/a/r.json", "y/a/r.json"), {"over-time-1-a-r-real", "over-time-2-a-r-real"}),
    ):
        made = charts([Stored(Path(path), each) for path, each in zip(paths, (one, other), strict=True)])
        assert {chart.name for chart in made if chart.stacked} == names


def test_a_saturated_runs_latency_is_explained() -> None:
    made = [result(configuration(rate=rate), rate=1_500) for rate in (1_000, "saturate")]
    assert "under way, divided by the throughput" in by_name(charts(stored(*made)))["throughput-latency-real"].caption
    assert "under way" not in by_name(charts(stored(*swept())))["throughput-latency-real"].caption


def test_marks_close_to_each_other_do_not_cover_each_other() -> None:
    marks = tuple(Mark(at, "kill node 1") for at in (0.0, 0.2, 2.5, 5.0))
    chart = by_name(charts(stored(result(configuration(), marks=marks))))["over-time-r0-real"]
    assert list(_mark_places(chart)) == [0, 1, 0, 0]


def test_the_caption_says_what_all_have_in_common_and_what_they_ran_on() -> None:
    chart = by_name(charts(stored(*swept())))["throughput-latency-real"]
    for words in ("transfers", "100,000 accounts", "5 s after 5 s of warm-up", "seeds 1, 2; 8 runs", "AMD EPYC 9R14"):
        assert words in chart.caption
    assert "signature check takes 40.0 us, revision 0123456789ab" in chart.caption
    assert "n = 4" not in chart.caption
    other = result(configuration(rate=2_000), machine=msgspec.structs.replace(MACHINE, processor="other"))
    mixed = by_name(charts(stored(*swept(), other)))["throughput-latency-real"]
    assert "2 different machines" in mixed.caption


def test_an_axis_of_utilization_stands_only_where_it_is_one_factor() -> None:
    same = [result(configuration(rate=rate), rate=rate) for rate in (500, 1_000)]
    chart = by_name(charts(stored(*same)))["throughput-latency-real"]
    assert chart.top == pytest.approx(4 * 40 / 2e6)
    assert by_name(charts(stored(*swept())))["throughput-latency-real"].top == 0


def test_files_are_the_same_every_time_and_the_numbers_are_beside_them(tmp_path: Path) -> None:
    marked = charts(stored(result(configuration(), marks=(Mark(2.0, "kill node 1"),))))
    made = by_name(charts(stored(*swept())) + marked)
    for chart in (made["throughput-latency-real"], made["over-time-r0-real"]):
        first, second = draw(chart, tmp_path / "a"), draw(chart, tmp_path / "b")
        assert [path.suffix for path in first] == [".csv", ".png", ".pdf", ".svg"]
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    with (tmp_path / "a" / "throughput-latency-real.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    assert rows[0]["x_quantity"] == "committed transactions per second"
    assert (rows[0]["group"], rows[0]["line"], rows[0]["x"]) == ("n = 4", "p50", "500.0")
    assert float(rows[0]["y_low"]) < float(rows[0]["y"]) < float(rows[0]["y_high"])


def test_results_that_do_not_count_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(write(result(configuration())))
    (tmp_path / "bad.json").write_bytes(write(result(configuration(), errors=("it missed its rate",))))
    drawn = plot([tmp_path], tmp_path / "out")
    assert drawn.notes == (f"left out, does not count: {tmp_path / 'bad.json'}: it missed its rate",)
    assert {path.stem for path in drawn.files} == {"latency-cdf-real", "over-time-good-real"}
    with pytest.raises(BenchError, match="no result counts"):
        plot([tmp_path / "bad.json"], tmp_path / "out")
    with pytest.raises(BenchError, match="there is no result"):
        plot([tmp_path / "out"], tmp_path / "out")


def test_a_validation_states_the_error_and_needs_both_sizes() -> None:
    real = swept()
    simulated = [
        result(each.configuration, rate=1.1 * each.throughput.payloads_per_s, p50_us=each.end_to_end.p50)
        for each in swept("simulated")
    ]
    chart = validation([*real, *simulated])
    assert {d.validators for d in deviations([*real, *simulated])} == {4, 7}
    assert all(d.throughput == pytest.approx(0.1) for d in deviations([*real, *simulated]))
    assert "throughput +10\u00a0%" in chart.caption
    assert {line.style for panel in chart.panels for line in panel.lines} == {"measured", "simulated"}
    with pytest.raises(BenchError, match="no such pair at n = 7"):
        validation([each for each in [*real, *simulated] if each.configuration.validators == 4])
    with pytest.raises(BenchError, match="n = 4 and 7"):
        validation(real)
