"""How long messages take: profiles of networks, and the measured latencies between a cloud provider's regions.

A profile says what a link does when nothing is wrong with it; faults come on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from consensus.pbft.configuration import Configuration as EngineConfiguration

ProfileName: TypeAlias = Literal["hostile", "lan", "wan"]
PROFILES: Final[tuple[str, ...]] = get_args(ProfileName)

WAN_ORDER: Final = (3, 2, 8, 9, 7, 4, 0, 6, 5, 1)
"""Which region the validators take one after the other: far apart at first, so that four are on four continents."""
SAME_REGION_MS: Final = 1
JITTER_PARTS: Final = 10
"""A message takes up to a tenth longer than its link's least."""


class Regions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data file."""

    source: str
    measure: str
    regions: tuple[str, ...]
    round_trip_ms: tuple[tuple[int, ...], ...]


class LinkDelay(msgspec.Struct, frozen=True):
    """A link's delays are uniform between the two, so messages overtake each other."""

    least_ms: int
    most_ms: int


class LatencyMatrix(msgspec.Struct, frozen=True):
    """One-way delays of all links."""

    rows: tuple[tuple[LinkDelay, ...], ...]
    places: tuple[str, ...]
    """Where each node is, for the reader."""

    def delay(self, sender: int, receiver: int) -> LinkDelay:
        return self.rows[sender][receiver]


@lru_cache(maxsize=1)
def measured_regions() -> Regions:
    """Read the measured latencies."""
    return msgspec.json.decode(files("simulation").joinpath("data/regions.json").read_bytes(), type=Regions)


def from_round_trips(round_trip_ms: Sequence[Sequence[int]], places: Sequence[str]) -> LatencyMatrix:
    """Make a matrix of links from round-trip times of pairs of nodes, row from, column to."""
    rows = []
    for row in round_trip_ms:
        least = [max(SAME_REGION_MS, (value + 1) // 2) for value in row]
        rows.append(tuple(LinkDelay(ms, ms + max(1, ms // JITTER_PARTS)) for ms in least))
    return LatencyMatrix(tuple(rows), tuple(places))


def wide_area(n: int) -> LatencyMatrix:
    """`n` nodes in the measured regions, one region after the other; beyond ten they share regions."""
    data = measured_regions()
    at = [WAN_ORDER[index % len(WAN_ORDER)] for index in range(n)]
    return from_round_trips([[data.round_trip_ms[a][b] for b in at] for a in at], [data.regions[a] for a in at])


def local_area(n: int) -> LatencyMatrix:
    """`n` nodes in one data center. Time has a grain of 1 ms here, which is also the least delay."""
    return LatencyMatrix(((LinkDelay(1, 1),) * n,) * n, ("here",) * n)


def latencies(profile: ProfileName, n: int) -> LatencyMatrix | None:
    """Return the links of a profile; None where the run's faults say how long messages take."""
    return {"hostile": None, "lan": local_area(n), "wan": wide_area(n)}[profile]


def timeouts(profile: ProfileName) -> EngineConfiguration:
    """Return the timeouts that suit a profile: T is several times what a decision takes there."""
    if profile == "wan":
        return EngineConfiguration(suspicion_timeout_ms=2_000, suspicion_timeout_cap_ms=8_000, turn_ms=10_000)
    return EngineConfiguration(suspicion_timeout_ms=500, suspicion_timeout_cap_ms=4_000, turn_ms=3_000)
