"""Measuring a real network: `run` starts one, offers it a load, checks what came of it, and says what it cost."""

from __future__ import annotations

from benchmarks.running.run import run

__all__ = ["run"]
