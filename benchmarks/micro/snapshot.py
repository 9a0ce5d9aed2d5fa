"""Taking a snapshot beside a chain's work, and joining by it over real links: `python -m benchmarks.micro.snapshot
[--records N] [--sources N] [--directory DIR]`.

A chain with so many records of 200 bytes is made; blocks of 1,000 updates are executed while and after the snapshot is
taken; then as many processes as there are sources serve it over TLS on loopback, and a further one fetches, proves and
installs it and opens the chain. Printed with ratios to one signature check, and to executing the records as blocks,
which is what joining takes otherwise (without their signatures, and without links).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks.micro.snapshot_world import REGISTRY, Party, World, make_genesis, take_part
from ledger.chain import Chain
from ledger.genesis import network_id
from ledger.snapshot.shelf import SnapshotShelf
from ledger.snapshot.store_building import switch_stores
from ledger.state.store import LevelStore
from node import memory
from node.process import SWITCH_INTERVAL_S
from node.snapshot_taking import SnapshotTaker
from p2p.identity import make_identity
from primitives.keys import SigningKey, verify

BLOCK_RECORDS: Final = 20_000
"""Of blocks that make the chain."""
UPDATES: Final = 1_000
"""Of blocks that are measured."""
BLOCKS_BESIDE: Final = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--directory", type=Path, help="where to work; a temporary one when it is not given")
    parser.add_argument("--role", nargs=2, metavar=("PARTY", "DIR"), help="for the processes that this starts")
    options = parser.parse_args()
    if options.role is not None:
        _play(int(options.role[0]), Path(options.role[1]))
        return
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=options.directory) as place:
        for line in measure(Path(place), options.records, options.sources):
            print(line, flush=True)


def measure(place: Path, records: int, sources: int) -> Iterator[str]:
    """Yield the table's lines."""
    check_s = signature_check_s()
    yield _row("one signature check", f"{check_s * 1e6:.1f} us")
    store = LevelStore(place / "chain")
    world = World(store)
    memory.settle()
    since = time.perf_counter()
    for first in range(0, records, BLOCK_RECORDS):
        world.execute(range(first, min(first + BLOCK_RECORDS, records)), 0)
    made_s = time.perf_counter() - since
    yield _row(f"{records:,} records written by blocks", f"{made_s:.1f} s", f"{made_s / check_s:,.0f} checks")
    memory.settle()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    for number in range(1, BLOCKS_BESIDE):  # what writing the records has left to compact is not the snapshot's doing
        world.execute(updated(records, number), number)
    shelf = SnapshotShelf(place / "snapshots")
    taker = SnapshotTaker(world.chain, store, shelf)
    processor, own, since = time.process_time(), time.thread_time(), time.perf_counter()
    taker.request()
    during: list[float] = []
    while taker.status().height:
        during.append(world.execute(updated(records, len(during)), 1_000 + len(during)))
        time.sleep(during[-1])  # as busy as half a processor
    took_s, used_s = time.perf_counter() - since, time.process_time() - processor - (time.thread_time() - own)
    (entry,) = shelf.entries()
    size = shelf.size_bytes(entry.height)
    what = f"snapshot of {entry.chunks} chunks, {size / 2**20:,.0f} MiB, taken in"
    yield _row(what, f"{took_s:.1f} s", f"{used_s / took_s:.0%} of a processor")
    alone: list[float] = []
    for number in range(BLOCKS_BESIDE):
        alone.append(world.execute(updated(records, number), 1_000_000 + number))
        time.sleep(alone[-1])
    slow = statistics.median(during) / statistics.median(alone)
    worst = statistics.quantiles(during, n=20)[-1] / statistics.quantiles(alone, n=20)[-1]
    yield _row(f"a block of {UPDATES:,} updates meanwhile, median", f"{slow:.2f} x", f"95th percentile {worst:.2f} x")
    taker.stop()
    store.close()
    del world
    gc.collect()
    yield from _join(place, sources, check_s, made_s)


def _row(what: str, value: str, ratio: str = "") -> str:
    return f"{what:<52}{value:>12}   {ratio}".rstrip()


def _join(place: Path, sources: int, check_s: float, made_s: float) -> Iterator[str]:
    parties = []
    for _ in range(sources + 1):
        made = make_identity()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        parties.append(Party(made.key_pem, made.certificate_der, str(made.node_id), address))
    (place / "parties").write_bytes(msgspec.msgpack.encode(parties))
    serving = []
    try:
        for party in range(1, sources + 1):
            process = _start(party, place)
            serving.append(process)
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "serving"
        newcomer = _start(0, place)
        said, _ = newcomer.communicate()
        if newcomer.returncode:
            raise SystemExit("the newcomer failed; its words are above")
        fetched_s, processor_s, opened_s = map(float, said.splitlines()[-1].split())
        total_s = fetched_s + opened_s
        yield _row(
            f"fetched from {sources}, proven, installed", f"{fetched_s:.1f} s", f"{processor_s:.1f} s of a processor"
        )
        yield _row("opened in", f"{opened_s:.1f} s")
        yield _row("joined in", f"{total_s:.1f} s", f"{total_s / check_s:,.0f} checks")
        yield _row("executing the blocks takes of that", f"{made_s / total_s:.2f} x")
    finally:
        for process in serving:
            process.terminate()
            process.communicate()


def _start(party: int, place: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.micro.snapshot", "--role", str(party), str(place)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _play(party: int, place: Path) -> None:
    parties = msgspec.msgpack.decode((place / "parties").read_bytes(), type=list[Party])
    network = network_id(make_genesis())
    memory.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if party:
            runner.run(take_part(parties, party, network, SnapshotShelf(place / "snapshots"), None))
            return
        own = place / "newcomer"
        shelf = SnapshotShelf(own / "snapshots")
        took = runner.run(take_part(parties, party, network, shelf, own / "chain.new"))
    since = time.perf_counter()
    switch_stores(own / "chain.new", own / "chain")
    store = LevelStore(own / "chain")
    chain = Chain.open(store, make_genesis(), REGISTRY)
    opened_s = time.perf_counter() - since
    assert chain.height > 0
    store.close()
    shutil.rmtree(own)
    print(*took, opened_s, flush=True)


def updated(records: int, number: int) -> range:
    first = number * UPDATES % max(1, records - UPDATES)
    return range(first, first + UPDATES)


def signature_check_s() -> float:
    """Return what checking one signature takes, the median of some hundred."""
    key = SigningKey(bytes(32))
    signature = key.sign(b"message")
    times = []
    for _ in range(500):
        since = time.perf_counter()
        verify(key.public_key, b"message", signature)
        times.append(time.perf_counter() - since)
    return statistics.median(times)


if __name__ == "__main__":
    main()
