"""One log out of many: the nodes' lines in order of their time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

LINE_BYTES_MAX: Final = 64 * 1024
"""A longer line is cut."""
_TIME_KEYS: Final = ("timestamp", "time", "ts")


def merged_lines(files: Sequence[tuple[str, Path]]) -> Iterator[str]:
    """Yield the lines of (node name, log file) in order of time, each with the node's name before it.

    Lines without a time (tracebacks, for instance) stay behind the line that they follow.
    """
    for _, _, _, line in heapq.merge(*(_stamped(order, name, path) for order, (name, path) in enumerate(files))):
        yield line


def write_merged(files: Sequence[tuple[str, Path]], target: Path) -> Path:
    """Write the merged log to `target` and return it."""
    with target.open("w", encoding="utf-8") as file:
        for line in merged_lines(files):
            file.write(line + "\n")
    return target


def _stamped(order: int, name: str, path: Path) -> Iterator[tuple[str, int, int, str]]:
    stamp = ""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX), b"")):
                stamp = max(stamp, _time_of(raw))
                yield stamp, order, number, f"{name} | {raw.decode('utf-8', 'replace').rstrip()}"
    except FileNotFoundError:
        return


def _time_of(line: bytes) -> str:
    """The line's time in its own text form (ISO 8601, which sorts as text); empty when it has none."""
    if not line.startswith(b"{"):
        return ""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return next((str(fields[key]) for key in _TIME_KEYS if key in fields), "")
