"""What Prometheus sees of a node. Values are read when somebody scrapes; labels come from closed sets.

One registry a node, never the library's global one: several nodes may live in one process in tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LATENESS_PERIOD_S: Final = 0.1
_LATENESS_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT"})


class Reading(msgspec.Struct, frozen=True):
    """One metric as it stands now."""

    name: str
    help: str
    value: float | Mapping[str, float]
    """A number, or label value -> number."""
    label: str = ""
    """The label's name where `value` is a mapping."""
    kind: Literal["gauge", "counter"] = "gauge"


class _Readings(Collector):
    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for reading in self._read():
            make = CounterMetricFamily if reading.kind == "counter" else GaugeMetricFamily
            if isinstance(reading.value, Mapping):
                family = make(reading.name, reading.help, labels=[reading.label])
                for label, value in sorted(reading.value.items()):
                    family.add_metric([label], value)
            else:
                family = make(reading.name, reading.help, value=reading.value)
            yield family


class NodeMetrics:
    """The registry of one node."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "guildmark_http_requests",
            "Requests answered, by method, route and status",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._lateness = Histogram(
            "guildmark_loop_lateness_seconds",
            "How late the event loop ran a timer",
            buckets=_LATENESS_BUCKETS,
            registry=self._registry,
        )
        self._timer: asyncio.TimerHandle | None = None

    def add(self, read: Callable[[], Iterable[Reading]]) -> None:
        """Show what `read` returns at each scrape. It runs on the loop and must not block."""
        self._registry.register(_Readings(read))

    def on_request(self, method: str, route: str, status: int) -> None:
        """Count an answered request. `route` is a path of the route table, never of a client."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()

    def exposition(self) -> bytes:
        return generate_latest(self._registry)

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure the loop's lateness from now on."""
        due = loop.time() + LATENESS_PERIOD_S

        def fire() -> None:
            self._lateness.observe(max(0.0, loop.time() - due))
            self.watch_loop(loop)

        self._timer = loop.call_at(due, fire)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
