"""The generator's process as its starter sees it."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.errors import BenchError
from guildmark.cluster.interpreter import ROOT, node_environment

STOP_TIMEOUT_S: Final = 5.0


class Generator:
    """Started at once; its words come in order."""

    def __init__(self, directory: Path) -> None:
        self._log_path = directory / "generator.log"
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "benchmarks.generator", str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=directory,
                env={**node_environment(), "PYTHONPATH": str(ROOT)},
            )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, name="generator-words", daemon=True).start()

    @property
    def process_id(self) -> int:
        return self._process.pid

    def wait(
        self, event: str, timeout_s: float, on_other: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Return the next word of this kind; others go to `on_other`.

        Raises:
            BenchError: `generator.ended`, `generator.timeout` (no word at all for so long).
        """
        while True:
            try:
                said = self._lines.get(timeout=timeout_s)
            except queue.Empty:
                raise BenchError(
                    "generator.timeout", f"the generator did not say {event!r} in {timeout_s:.0f} s{self._tail()}"
                ) from None
            if said is None:
                raise BenchError("generator.ended", f"the generator has ended before {event!r}{self._tail()}")
            if said["event"] == event:
                return said
            if on_other is not None:
                on_other(said)

    def go(self) -> None:
        """Give the word for the next step."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"go\n")
            self._process.stdin.flush()
        except OSError as error:
            raise BenchError("generator.ended", f"the generator has ended{self._tail()}") from error

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._lines.put(msgspec.json.decode(line, type=dict[str, Any]))
        except (ValueError, msgspec.MsgspecError):
            pass  # closed, or no longer a generator's word
        self._lines.put(None)

    def _tail(self) -> str:
        text = self._log_path.read_text(encoding="utf-8", errors="replace").strip()
        return f": {text.splitlines()[-1]}" if text else ""
