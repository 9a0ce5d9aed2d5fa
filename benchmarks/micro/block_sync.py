"""How fast a node catches up, beside what its network does live at most.

    python -m benchmarks.micro.block_sync [SECONDS] [ACCOUNTS] [--mode thread|process]

In one run: four validators are saturated with transfers for SECONDS (20), then one of them loses its ledger and fetches
all blocks from the three others, which are idle, first with every signature verified, then with sync.signatures =
"certified". The blocks that opened the ACCOUNTS (10,000), by transactions of a hundred operations each, are fetched
too, and not counted. Ratios are what counts: four validators and the load's generator share this machine's cores while
the network is measured, and the one that catches up has what three idle ones leave.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.measurement.verify_unit import measure_unit
from benchmarks.results.schema import Configuration, Throughput
from benchmarks.running.judging import Judgement
from benchmarks.running.load import Load
from benchmarks.running.preparing import prepare
from benchmarks.workloads.accounts import SALT, Identity
from guildmark.cluster.local import LocalCluster

LAGGARD: Final = 3
POLL_S: Final = 0.05
TIMEOUT_S: Final = 600.0


class CatchingUp(msgspec.Struct, frozen=True):
    """What one way from nothing to the head took."""

    signatures: str
    seconds: float
    blocks: int
    transactions: int
    """Those of the load, and what they took."""
    processor_s: float
    """Of the node and its processes."""


def saturate(
    cluster: LocalCluster, configuration: Configuration, directory: Path, unit_us: float
) -> tuple[Throughput, int]:
    """Offer more than the network commits; return what it committed, and the height before that."""
    sponsors = []
    for organization in cluster.genesis.organizations:
        account = cluster.account(organization.id)
        sponsors.append(Identity(account.id, account.key, organization.id))
    plan = prepare(configuration, cluster, sponsors, SALT, unit_us, _progress)
    prepared = cluster.wait_same_head()["height"]
    load = Load(cluster, plan, directory, _progress, {})
    return Judgement(load.run(None, dict)).throughput(None, 0), int(prepared)


def catch_up(cluster: LocalCluster, signatures: str, prepared: int) -> CatchingUp:
    """Let a validator lose its ledger and fetch it again. What comes after the block `prepared` counts."""
    process = cluster.nodes[LAGGARD]
    process.terminate()
    process.wait_ended(time.monotonic() + 30)
    for lost in ("chain", "search"):
        shutil.rmtree(process.directory / lost, ignore_errors=True)
    settings = process.directory / "node.toml"
    kept = settings.read_text().partition("\n[sync]")[0]
    settings.write_text(f'{kept}\n[sync]\nsignatures = "{signatures}"\n')
    cluster.restart(LAGGARD, wait_ready=False)
    begun: tuple[float, float, int, int] | None = None
    head = max(status["certified_height"] for index in range(LAGGARD) if (status := cluster.status(index)))
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        now, status = time.monotonic(), cluster.status(LAGGARD)
        if status is None:
            continue
        assert status["sync"]["signatures"] == signatures
        sync: dict[str, Any] = status["sync"]
        reached = (now, _processor_s(cluster.nodes[LAGGARD].running()), sync["blocks"], sync["transactions"])
        if begun is None and status["height"] >= prepared:
            begun = reached
        if status["certified_height"] >= head:
            assert begun is not None
            seconds, used_s, blocks, transactions = (
                after - before for before, after in zip(begun, reached, strict=True)
            )
            return CatchingUp(signatures, seconds, int(blocks), int(transactions), used_s)
        time.sleep(POLL_S)
    raise SystemExit(f"not caught up after {TIMEOUT_S:.0f} s: {status}")


def main() -> None:
    arguments = sys.argv[1:]
    mode = arguments[arguments.index("--mode") + 1] if "--mode" in arguments else "thread"
    numbers = [int(argument) for argument in arguments if argument.isdigit()]
    seconds, accounts = (*numbers, *(20, 10_000)[len(numbers) :])
    node: dict[str, dict[str, int | float | str | bool]] = {"executor": {"mode": mode}}
    configuration = Configuration(duration_s=seconds, warmup_s=5, accounts=accounts, node=node)
    unit_us, _ = measure_unit()
    with (
        tempfile.TemporaryDirectory(prefix="guildmark-benchmark-") as directory,
        LocalCluster.create(f"{directory}/network", genesis={"name": "benchmark"}, node=node) as cluster,
    ):
        cluster.start()
        live, prepared = saturate(cluster, configuration, Path(directory), unit_us)
        ways = [catch_up(cluster, signatures, prepared) for signatures in ("verify", "certified")]
    unit_us = min(unit_us, measure_unit()[0])  # other programs may have run beside either
    print(f"one signature check: {unit_us:.1f} us; executor: {mode}")
    print(f"{'live, four validators saturated':44} {live.transactions_per_s:8.0f} tx/s")
    for way in ways:
        rate = way.transactions / way.seconds
        named = f"one catches up, {way.signatures}: {way.blocks} blocks, {way.seconds:.1f} s"
        checks = way.processor_s * 1e6 / way.transactions / unit_us
        ratio = f"{rate / live.transactions_per_s:5.2f} x live"
        print(f"{named:44} {rate:8.0f} tx/s  {ratio}, {checks:.2f} checks of processor time each")


def _processor_s(process: Any) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
