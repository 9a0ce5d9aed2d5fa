"""Reading what nodes wrote down of themselves (`node.measurement`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

NS_PER_US = 1_000


class NodeEvents(NamedTuple):
    """One node's file, by kind. Times are monotonic nanoseconds."""

    blocks: dict[int, dict[str, Any]]
    """Height -> the event of its execution."""
    certified: list[tuple[int, int]]
    """(time, height): everything up to that height."""
    proposed: dict[int, int]
    """Height -> when this node first sent the proposal."""
    seconds: list[dict[str, Any]]

    @property
    def dropped(self) -> int:
        return max((int(second["dropped"]) for second in self.seconds), default=0)

    def certified_at(self) -> dict[int, int]:
        """Height -> when this node knew that it is final."""
        found: dict[int, int] = {}
        above = 0
        for at_ns, height in self.certified:
            for passed in range(above + 1, height + 1) if above else (height,):
                found[passed] = at_ns
            above = max(above, height)
        return found


def read_events(path: Path) -> NodeEvents:
    """Read a file; a last line that was cut off by a kill is left out."""
    events = NodeEvents({}, [], {}, [])
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return events
    for line in lines:
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            continue
        kind = event["event"]
        if kind == "block":
            events.blocks[event["height"]] = event
        elif kind == "certified":
            events.certified.append((event["at"], event["height"]))
        elif kind == "proposed":
            events.proposed.setdefault(event["height"], event["at"])
        elif kind == "second":
            events.seconds.append(event)
    return events
