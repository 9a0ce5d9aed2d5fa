"""Configurations in words: what tells the lines of a chart apart goes into the legend, the rest into the caption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.results.schema import Configuration, Result
from benchmarks.sweeps.specification import BATCH_MAX, REQUESTS_PER_SECOND, default_batch_submit

TITLES: Final = {"real": "real processes", "simulated": "simulated, virtual time"}


def flat(configuration: Configuration) -> dict[str, Any]:
    """Return the configuration's fields, tables of node and genesis as dotted names."""
    fields: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in sorted(value.items()):
                add(f"{name}.{key}", inner)
        else:
            fields[name] = value

    for name, value in msgspec.structs.asdict(configuration).items():
        add(name, value)
    return fields


def varying(configurations: Iterable[Configuration], *, besides: Sequence[str]) -> tuple[str, ...]:
    """Name the fields in which they differ, but for those in `besides`."""
    every = [flat(configuration) for configuration in configurations]
    names = list(dict.fromkeys(name for fields in every for name in fields))
    return tuple(n for n in names if n not in besides and len({repr(fields.get(n)) for fields in every}) > 1)


def label(configuration: Configuration, names: Sequence[str]) -> str:
    """Say what a configuration has of these fields."""
    fields = flat(configuration)
    return ", ".join(_words(name, fields.get(name), configuration) for name in names)


def unit(configuration: Configuration) -> str:
    """What is counted: payloads where transactions are bundles of them."""
    return "payloads" if configuration.workload == "opaque" else "transactions"


def _words(name: str, value: Any, configuration: Configuration) -> str:
    if name == "rate":
        return "saturated" if value == "saturate" else f"{value:,.0f} {_short(configuration)}/s offered"
    if name == "batch_submit":
        counted = unit(configuration)
        return f"{value} {counted if value != 1 else counted.removesuffix('s')} a request"
    if name in SENTENCES:
        return SENTENCES[name](value)
    shown = "default" if value is None else value
    return f"{name.removeprefix('node.').removeprefix('genesis.')} = {shown}"


SENTENCES: Final[dict[str, Callable[[Any], str]]] = {
    "kind": str,
    "validators": lambda value: f"n = {value}",
    "workload": lambda value: Path(value).stem,
    "duration_s": lambda value: f"{value:g} s",
    "payload_bytes": lambda value: f"{value} B payload",
    "accounts": lambda value: f"{value:,} accounts",
    "outstanding": lambda value: f"{value:,} under way",
    "arrivals": lambda value: f"{'Poisson' if value == 'poisson' else value} arrivals",
    "faults": lambda value: f"faults {value}" if value else "no faults",
    "latency": lambda value: f"delays {Path(value).stem}" if value else "no added delay",
}


def _short(configuration: Configuration) -> str:
    return "payloads" if unit(configuration) == "payloads" else "tx"


def fills_requests_as_the_rate_allows(configuration: Configuration) -> bool:
    """Whether the size of requests follows from the rate, so that it is not a choice of its own."""
    return configuration.batch_submit == default_batch_submit(configuration.rate)


SHARED: Final = ("validators", "workload", "rate", "arrivals", "accounts", "batch_submit", "faults", "latency")
"""What a caption says of all results alike, unless it varies."""


def caption(results: Sequence[Result]) -> str:
    """Say what all these results have in common, and on what they were made."""
    configurations = [result.configuration for result in results]
    first = configurations[0]
    differs = set(varying(configurations, besides=()))
    names = [name for name in SHARED if name not in differs]
    if "rate" in names and first.rate == "saturate":
        names = [name if name != "arrivals" else "outstanding" for name in names]
    for name, wanted in (("faults", first.faults), ("latency", first.latency)):
        if not wanted and name in names:
            names.remove(name)
    names += [n for n in flat(first) if n.startswith(("node.", "genesis.")) and n not in differs]
    if unit(first) == "payloads":
        names.append("payload_bytes")
    parts = [label(first, names)]
    if "batch_submit" in differs and all(map(fills_requests_as_the_rate_allows, configurations)):
        parts.append(f"{REQUESTS_PER_SECOND} requests a second, or of {BATCH_MAX} {unit(first)}")
    if "duration_s" not in differs:
        parts.append(f"{first.duration_s:g} s after {first.warmup_s:g} s of warm-up")
    parts.append(_runs(results))
    said = "; ".join(part for part in parts if part) + ". " + _made_on(results)
    if any(configuration.rate == "saturate" for configuration in configurations):
        said += " Latency of a saturated run is what was under way, divided by the throughput."
    return said


def _runs(results: Sequence[Result]) -> str:
    seeds = sorted({result.configuration.seed for result in results})
    said = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds[:6]))}"
    if len(seeds) > 6:
        said = f"{len(seeds)} seeds"
    return said if len(results) == 1 else f"{said}; {len(results)} runs"


def _made_on(results: Sequence[Result]) -> str:
    if results[0].configuration.kind == "simulated":
        sources = sorted({Path(result.calibration).name or "nothing" for result in results})
        return f"Simulated; costs from {', '.join(sources)}; {_revisions(results)}."
    machines = {(r.machine.processor, r.machine.cores): r for r in results}
    if len(machines) > 1:
        return f"From {len(machines)} different machines: absolute times cannot be compared; {_revisions(results)}."
    machine = results[0].machine
    units = sorted(result.unit.us for result in results if result.unit)
    check = f"a signature check takes {units[len(units) // 2]:.1f} us, " if units else ""
    return (
        f"{machine.processor}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}; "
        f"{check}{_revisions(results)}."
    )


def _revisions(results: Sequence[Result]) -> str:
    found = sorted({result.machine.revision or "unknown" for result in results})
    return ("revision " if len(found) == 1 else "revisions ") + ", ".join(shorten(text) for text in found)


def shorten(revision: str) -> str:
    """Shorten a commit's hash and keep that there were changes."""
    head, plus, rest = revision.partition("+")
    return head[:12] + plus + rest
