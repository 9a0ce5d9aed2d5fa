"""Charts as pictures. The same chart gives the same bytes: no dates, no random names in the files."""

from __future__ import annotations

import csv
import math
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from benchmarks.plots.charts import Chart, Line, Panel
from benchmarks.results.schema import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
"""Of Okabe and Ito: they can be told apart with any color vision, and differ in lightness when printed in gray."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
STYLES: Final[dict[str, Any]] = {"": "-", "p50": "-", "p99": "--", "measured": "-", "simulated": "--"}
HOLLOW: Final = ("p99", "simulated")
SETTINGS: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "guildmark",
    "pdf.fonttype": 42,
    "text.parse_math": False,
}
METADATA: Final[dict[str, dict[str, Any]]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}
WIDTH: Final = 6.5
"""Inches: the text width of a paper."""
PANEL_HEIGHT: Final = {False: 3.1, True: 1.75}
LINE_HEIGHT: Final = 0.165
CAPTION_COLUMNS: Final = 118
DPI: Final = 200
LOG_SPAN_MIN: Final = 8.0
"""Largest by smallest value from which on a logarithmic axis is worth its strangeness."""
MARK_COLUMNS: Final = 95
"""Characters of a mark's words that are as wide as a panel."""


def draw(chart: Chart, directory: Path) -> tuple[Path, ...]:
    """Write a chart as PNG, PDF and SVG and its numbers as CSV; return the files. Raises OSError."""
    import matplotlib as mpl

    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / f"{chart.name}.csv"]
    write_numbers(chart, files[0])
    with mpl.rc_context(SETTINGS):
        figure = _figure(chart)
        for kind, metadata in METADATA.items():
            path = directory / f"{chart.name}.{kind}"
            figure.savefig(path, format=kind, dpi=DPI, metadata=metadata)
            files.append(path)
    return tuple(files)


def write_numbers(chart: Chart, path: Path) -> None:
    """Write every point that is drawn. `low` and `high` are least and most of repeated runs."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["x_quantity", "y_quantity", "group", "line", "x", "y", "y_low", "y_high"])
        for panel in chart.panels:
            for line in panel.lines:
                for index, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
                    low = line.y_low[index] if line.y_low else ""
                    high = line.y_high[index] if line.y_high else ""
                    shown = "" if math.isnan(y) else y
                    table.writerow([panel.x_label, panel.y_label, line.group, line.style, x, shown, low, high])
        for mark in chart.marks:
            table.writerow([chart.panels[0].x_label, "done to the network", mark.text, "", mark.at_s, "", "", ""])


def _figure(chart: Chart) -> Figure:
    """Lay the picture out in inches from above: title, panels, legend, caption."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    caption = textwrap.wrap(
        re.sub(r"(\w) = (\w)", "\\1\u00a0=\u00a0\\2", chart.caption), CAPTION_COLUMNS, break_on_hyphens=False
    )
    entries = _entries(chart)
    columns = _legend_columns(entries)
    legend_rows = math.ceil(len(entries) / columns) if entries else 0
    rows = len(chart.panels) if chart.stacked else 1
    head = 0.38 + (0.42 if chart.top else 0.0) + (0.16 * _mark_rows(chart))
    body = rows * PANEL_HEIGHT[chart.stacked] + (rows - 1) * 0.2
    foot = 0.5 + legend_rows * 0.2 + 0.08 + len(caption) * LINE_HEIGHT + 0.08
    height = head + body + foot
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=0.115,
        right=0.975,
        top=1 - head / height,
        bottom=foot / height,
        wspace=0.3 if len(chart.panels) < 3 else 0.48,
        hspace=0.2 * rows / body,
    )
    shape = (rows, 1) if chart.stacked else (1, len(chart.panels))
    axes = figure.subplots(*shape, squeeze=False, sharex=chart.stacked).flatten()
    colors = {group: number for number, group in enumerate(_groups(chart))}
    for number, (panel, at) in enumerate(zip(chart.panels, axes, strict=True)):
        _panel(at, panel, colors, last=number == len(chart.panels) - 1 or not chart.stacked)
        for mark in chart.marks:
            at.axvline(mark.at_s, color="#555555", linewidth=0.9, linestyle=":", zorder=1)
    _name_marks(chart, axes[0])
    figure.align_ylabels(axes)
    if chart.top:
        _utilization_axis(axes[0], chart.top)
    figure.suptitle(chart.title, x=0.5, y=1 - 0.14 / height, va="top", fontsize=10.5)
    if entries:
        y = (foot - 0.46) / height
        figure.legend(*zip(*entries, strict=True), loc="upper center", bbox_to_anchor=(0.5, y), ncols=columns)
    figure.text(0.02, 0.07 / height, "\n".join(caption), va="bottom", fontsize=7, color="#444444", linespacing=1.35)
    return figure


def _panel(axes: Axes, panel: Panel, colors: dict[str, int], *, last: bool) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for line in panel.lines:
        _line(axes, line, colors[line.group], panel)
    log_y = panel.log_y and _span(panel) >= LOG_SPAN_MIN
    if panel.log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    plain = FuncFormatter(lambda value, _: f"{value:,.10g}")
    for axis, log in ((axes.xaxis, panel.log_x), (axes.yaxis, log_y)):
        axis.set_major_formatter(plain)
        if log:
            _log_ticks(axis)
    if panel.x_ticks:
        axes.set_xticks(panel.x_ticks)
        axes.xaxis.set_minor_formatter(NullFormatter())
    if not log_y:
        axes.set_ylim(bottom=0)
    if panel.x_end:
        axes.set_xlim(0, panel.x_end)
    elif not panel.log_x and not panel.x_ticks:
        axes.set_xlim(left=0)
    axes.set_ylabel(panel.y_label)
    if last:
        axes.set_xlabel(panel.x_label)
    axes.set_axisbelow(True)


def _span(panel: Panel) -> float:
    """Largest by smallest y."""
    drawn = [y for line in panel.lines for y in line.y if y > 0]
    return max(drawn) / min(drawn) if drawn else 1.0


def _log_ticks(axis: Any) -> None:
    """Name 1, 2 and 5 of each decade where there are few decades, and only powers of ten where there are many."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if low > 0 else 1.0
    subs = (1.0, 2.0, 5.0) if decades <= 2.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_minor_formatter(NullFormatter())


def _line(axes: Axes, line: Line, number: int, panel: Panel) -> None:
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    style = STYLES.get(line.style, "-.")
    if panel.steps:
        axes.step(line.x, line.y, where="post", color=color, linestyle=style)
        return
    few = len(line.x) <= 20
    axes.plot(
        line.x,
        line.y,
        color=color,
        linestyle=style,
        marker=marker if few else "",
        markerfacecolor="white" if line.style in HOLLOW else color,
    )
    if line.y_low:
        below = [y - low for y, low in zip(line.y, line.y_low, strict=True)]
        above = [high - y for y, high in zip(line.y, line.y_high, strict=True)]
        axes.errorbar(
            line.x, line.y, yerr=[below, above], fmt="none", ecolor=color, elinewidth=0.9, capsize=2.5, zorder=1.5
        )


def _groups(chart: Chart) -> list[str]:
    return list(dict.fromkeys(line.group for panel in chart.panels for line in panel.lines))


def _entries(chart: Chart) -> list[tuple[Any, str]]:
    """The legend: a color and marker a group, and a gray stroke a style."""
    from matplotlib.lines import Line2D

    steps = all(panel.steps for panel in chart.panels)
    entries: list[tuple[Any, str]] = []
    groups = _groups(chart)
    for number, group in enumerate(groups):
        if group:
            marker = "" if steps else MARKERS[number % len(MARKERS)]
            entries.append((Line2D([], [], color=COLORS[number % len(COLORS)], marker=marker), group))
    styles = dict.fromkeys(line.style for panel in chart.panels for line in panel.lines if line.style)
    color = "#444444" if len(groups) > 1 else COLORS[0]
    entries += [(Line2D([], [], color=color, linestyle=STYLES.get(style, "-.")), style) for style in styles]
    return entries


def _legend_columns(entries: list[tuple[Any, str]]) -> int:
    """As many as fit beside each other."""
    longest = max((len(text) for _, text in entries), default=1)
    return max(1, min(len(entries), int(WIDTH / (0.5 + 0.078 * longest))))


def _mark_rows(chart: Chart) -> int:
    return max(_mark_places(chart), default=-1) + 1


def _mark_places(chart: Chart) -> Iterator[int]:
    """The row of each mark's words above the panel, so that neighbors do not cover each other."""
    span = chart.panels[0].x_end or 1.0
    ends: list[float] = []
    for mark in chart.marks:
        words = len(mark.text) * span / MARK_COLUMNS
        start = {"left": mark.at_s, "center": mark.at_s - words / 2, "right": mark.at_s - words}[_side(chart, mark)]
        row = next((row for row, end in enumerate(ends) if end <= start), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = start + words + span / 60
        yield row


def _side(chart: Chart, mark: Mark) -> Literal["left", "center", "right"]:
    """How a mark's words stand to it: inside of the picture also at its edges."""
    share = mark.at_s / (chart.panels[0].x_end or 1.0)
    return "left" if share < 0.08 else "right" if share > 0.92 else "center"


def _name_marks(chart: Chart, axes: Axes) -> None:
    for mark, row in zip(chart.marks, _mark_places(chart), strict=True):
        axes.annotate(
            mark.text,
            (mark.at_s, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + 11.5 * row),
            textcoords="offset points",
            ha=_side(chart, mark),
            fontsize=7.5,
            color="#333333",
        )


def _utilization_axis(axes: Axes, factor: float) -> None:
    def utilization(x: Any) -> Any:
        return x * factor

    def throughput(x: Any) -> Any:
        return x / factor

    top = axes.secondary_xaxis("top", functions=(utilization, throughput))
    top.set_xlabel("utilization: share of all processors that signature checks alone take")
    top.spines["top"].set_visible(True)
