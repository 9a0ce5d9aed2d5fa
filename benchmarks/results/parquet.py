"""Raw events beside a result, in Parquet: requests, transactions, blocks, processes. Times are microseconds from the
beginning of the measured part, so that what came before it is negative."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import polars
from numpy.typing import NDArray

from benchmarks.running.evidence import Evidence
from benchmarks.running.judging import Judgement

TABLES = ("requests", "transactions", "blocks", "processes")


def write_tables(directory: Path, judgement: Judgement) -> list[Path]:
    """Write every table; return the files."""
    evidence = judgement.evidence
    made = {
        "requests": _requests(evidence),
        "transactions": _transactions(judgement),
        "blocks": _blocks(evidence),
        "processes": _processes(evidence),
    }
    paths = []
    for name in TABLES:
        path = directory / f"{name}.parquet"
        made[name].write_parquet(path)
        paths.append(path)
    return paths


def _requests(evidence: Evidence) -> polars.DataFrame:
    requests = evidence.requests
    return polars.DataFrame(
        {
            "intended_us": _since(requests.due_ns, evidence.start_ns),
            "sent_us": _since(requests.sent_ns, evidence.start_ns),
            "answered_us": _since(requests.answered_ns, evidence.start_ns),
            "validator": requests.node,
        }
    )


def _transactions(judgement: Judgement) -> polars.DataFrame:
    evidence = judgement.evidence
    heights = judgement.chain.height_of
    height = numpy.where(judgement.row >= 0, heights[judgement.row] if len(heights) else 0, -1)
    return polars.DataFrame(
        {
            "intended_us": _since(judgement.due_ns, evidence.start_ns),
            "committed_us": _since(judgement.committed_ns, evidence.start_ns),
            "validator": judgement.node,
            "fate": evidence.requests.fate,
            "height": polars.Series(height, dtype=polars.Int64).replace(-1, None),
            "operations": evidence.requests.operations,
        }
    )


def _blocks(evidence: Evidence) -> polars.DataFrame:
    rows: list[dict[str, Any]] = []
    for node, events in evidence.node_events.items():
        certified = events.certified_at()
        for height, block in sorted(events.blocks.items()):
            rows.append(
                {
                    "validator": node,
                    "height": height,
                    "proposer": block["proposer"],
                    "transactions": sum(block["batches"]),
                    "batches": len(block["batches"]),
                    "bytes": block["bytes"],
                    "proposed_us": _one(events.proposed.get(height), evidence.start_ns),
                    "decided_us": _one(block["decided"], evidence.start_ns),
                    "executed_us": _one(block["executed"], evidence.start_ns),
                    "certified_us": _one(certified.get(height), evidence.start_ns),
                }
            )
    return polars.DataFrame(rows, infer_schema_length=None)


def _processes(evidence: Evidence) -> polars.DataFrame:
    rows = [
        {
            "process": name,
            "at_us": _one(sample.at_ns, evidence.start_ns),
            "cpu_us": int(sample.cpu_s * 1e6),
            "rss_bytes": sample.rss_bytes,
        }
        for name, samples in evidence.samples.items()
        for sample in samples
    ]
    return polars.DataFrame(rows, infer_schema_length=None)


def _since(times_ns: NDArray[numpy.int64], start_ns: int) -> polars.Series:
    """Microseconds since the start; null where nothing happened (0)."""
    values = polars.Series((times_ns - start_ns) // 1_000)
    return values.scatter(numpy.flatnonzero(times_ns == 0), None)


def _one(at_ns: int | None, start_ns: int) -> int | None:
    return None if at_ns is None else (at_ns - start_ns) // 1_000
