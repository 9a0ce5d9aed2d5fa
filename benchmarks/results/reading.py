"""Results from files and directories, as plots, comparisons and repetitions take them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.schema import FORMAT, Result, read


class Stored(msgspec.Struct, frozen=True):
    path: Path
    result: Result


class _Shape(msgspec.Struct):
    """What tells a result from other JSON files that lie beside it."""

    format: int
    configuration: dict[str, object]
    throughput: dict[str, object]


def read_file(path: Path) -> Result:
    """Read one result. Raises BenchError (`results.missing`, `results.unreadable`, `results.format`)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BenchError("results.missing", f"{path}: {error.strerror}") from error
    try:
        result = read(data)
    except msgspec.MsgspecError as error:
        raise BenchError("results.unreadable", f"{path} is not a result: {error}") from error
    if result.format != FORMAT:
        raise BenchError("results.format", f"{path} has format {result.format}; this program reads {FORMAT}")
    return result


def read_all(paths: Iterable[Path]) -> tuple[Stored, ...]:
    """Read results from files, and from all result files directly in directories, in the order of names.

    Other JSON files in a directory are passed over; a file that is named must be a result. Raises BenchError, also
    when there is no result at all (`results.none`).
    """
    named = tuple(paths)
    found: dict[Path, Result] = {}
    for path in named:
        if path.is_dir():
            found.update((file, read_file(file)) for file in sorted(path.glob("*.json")) if _is_result(file))
        else:
            found[path] = read_file(path)
    if not found:
        raise BenchError("results.none", f"there is no result in {', '.join(map(str, named)) or 'nothing'}")
    return tuple(Stored(path, result) for path, result in found.items())


def _is_result(path: Path) -> bool:
    try:
        msgspec.json.decode(path.read_bytes(), type=_Shape)
    except msgspec.MsgspecError:
        return False
    return True
