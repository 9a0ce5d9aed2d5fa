"""A sweep's directory: which cells are done, and what became of each.

`NAME.json` is a cell's result, `NAME.failed.json` the reason why there is none, `NAME/` what the run wrote beside. A
result appears under its name only when it is whole, so what was interrupted has no file and is done again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.reading import read_file
from benchmarks.results.schema import Result
from benchmarks.sweeps.job import Outcome
from benchmarks.sweeps.specification import Cell


class Failure(msgspec.Struct, frozen=True):
    code: str
    message: str


class Row(msgspec.Struct, frozen=True):
    """A cell and what became of it."""

    cell: Cell
    result: Result | None = None
    failure: Failure | None = None

    @property
    def state(self) -> str:
        if self.result is not None:
            return "done" if self.result.valid else "invalid"
        return "failed" if self.failure is not None else "open"

    @property
    def reason(self) -> str:
        """Why this cell does not count; empty when it does."""
        if self.failure is not None:
            return f"{self.failure.message} [{self.failure.code}]"
        if self.result is not None:
            return "; ".join(self.result.errors)
        return ""


class Store:
    def __init__(self, directory: Path) -> None:
        """Make the directory if there is none. Raises OSError."""
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def working_directory(self, cell: Cell) -> Path:
        return self.directory / cell.name

    def row(self, cell: Cell) -> Row:
        """Say what is known of a cell. Raises BenchError when its file is not its result (`sweep.foreign`)."""
        path = self._result(cell)
        if path.exists():
            result = read_file(path)
            if result.configuration != cell.configuration:
                raise BenchError("sweep.foreign", f"{path} has another configuration than the cell of this name")
            return Row(cell, result=result)
        path = self._failure(cell)
        if path.exists():
            try:
                return Row(cell, failure=msgspec.json.decode(path.read_bytes(), type=Failure))
            except msgspec.MsgspecError as error:
                raise BenchError("sweep.foreign", f"{path} cannot be read: {error}") from error
        return Row(cell)

    def forget(self, cell: Cell) -> None:
        """Remove what an earlier attempt left."""
        self._result(cell).unlink(missing_ok=True)
        self._failure(cell).unlink(missing_ok=True)
        shutil.rmtree(self.working_directory(cell), ignore_errors=True)

    def keep(self, cell: Cell, outcome: Outcome) -> Row:
        """Store what became of a cell, and return it."""
        if outcome.result is None:
            failure = Failure(outcome.code, outcome.message)
            _write(self._failure(cell), msgspec.json.encode(failure) + b"\n")
        else:
            _write(self._result(cell), outcome.result)
        return self.row(cell)

    def _result(self, cell: Cell) -> Path:
        return self.directory / f"{cell.name}.json"

    def _failure(self, cell: Cell) -> Path:
        return self.directory / f"{cell.name}.failed.json"


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
