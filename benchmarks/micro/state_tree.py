"""What the authenticated state costs: `python -m benchmarks.micro.state_tree [records ...]` (100000 and 1000000).

A chain of one module over LevelDB holds so many records of 200 bytes. Blocks that update 1,000 or 3,000 of them, at
random, go the whole way of a block; the state's part of it is the update of the tree, the notes of what it replaces,
the dropping of as much of an older past, and one synced batch. The unit is one SHA-256 over 64 bytes in the same run,
because absolute times do not carry from machine to machine. Then a new process opens the chain: how long that takes,
what memory it holds after reads and blocks, and what a proof costs at the head and in the past.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import Genesis, GenesisOrganization, GenesisValidator, validator_account
from ledger.modules.module import Context, Module, Rule, Standing
from ledger.operations import Registry
from ledger.parameters import Parameters
from ledger.pruning import Retention
from ledger.state.batch_proofs import verify_batch_proof
from ledger.state.proofs import verify_state_proof
from ledger.state.store import LevelStore
from ledger.state.view import Readable
from ledger.transaction import build
from node.memory import settle
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

START_MS = 1_700_000_000_000
VALUE_BYTES = 200
FILL = 10_000
"""Records that a block writes while the chain is filled."""
ROUNDS = 20
RETENTION = Retention(history_blocks=16)
"""So that every measured block also drops the past of an earlier one."""
KEYS = tuple(SigningKey(bytes([index + 1]) * 32) for index in range(4))

prepared: list[tuple[bytes, bytes]] = []
"""What the next operation writes."""


class Write(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="bench.write"):
    """Write what is prepared."""

    payload: bytes = b""
    """Nobody's: it makes blocks as large as wanted."""


def _write(context: Context, operation: Write) -> None:  # noqa: ARG001 - a handler
    put = context.view.put
    for key, value in prepared:
        put(key, value)


def _standing(view: Readable, account: bytes, key: bytes) -> Standing | None:  # noqa: ARG001 - a registry's
    return Standing("owner")


def _nothing(context: Context, genesis: Genesis) -> None:
    """What the genesis block writes for this module."""


def _no_offset(view: Readable) -> int:  # noqa: ARG001 - a registry's
    return 0


REGISTRY = Registry(
    [
        Module(
            name="bench",
            operations={Write: _write},
            rules={
                Write: Rule(signers=frozenset({"owner"}), while_suspended=True, after_removal=True, while_frozen=True)
            },
            deadlines={},
            genesis=_nothing,
        )
    ],
    standing=_standing,
    clock_offset_ms=_no_offset,
    queries={},
)


def genesis() -> Genesis:
    return Genesis(
        version=1,
        name="benchmark",
        salt="00" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(),
        organizations=tuple(GenesisOrganization(f"org-{at}", f"Org {at}") for at in range(4)),
        accounts=(),
        validators=tuple(
            GenesisValidator(
                f"org-{at}",
                f"gmnode1{at}",
                key_to_text(key.public_key),
                base64.b64encode(b"%d" % at).decode(),
                f"127.0.0.1:{at + 1}",
            )
            for at, key in enumerate(KEYS)
        ),
    )


def key_of(number: int) -> bytes:
    return b"bench/%026d" % number


def block(chain: Chain, changes: list[tuple[bytes, bytes]], payload: bytes = b"", step_ms: int = 100) -> float:
    """Execute one block that writes `changes`; return the seconds that it took."""
    prepared[:] = changes
    now_ms = chain.head.timestamp_ms + step_ms
    data = build(
        network_id=chain.network_id,
        sender=validator_account(chain.network_id, chain.genesis.validators[0]),
        key=KEYS[0],
        operations=(Write(payload),),
        expires_at_ms=now_ms + 60_000,
    )
    began = time.perf_counter()
    executed = chain.execute(chain.height + 1, DecidedProposal(0, now_ms), [DecidedBatch(0, chain.height, (data,))])
    took = time.perf_counter() - began
    assert [receipt.code for receipt in executed.receipts] == [""], executed.receipts
    return took


def unit_us() -> float:
    """Return what one SHA-256 over 64 bytes takes, in microseconds: the best of fifty times 5,000, so that what else
    the machine does is not in it."""
    data, sha256 = os.urandom(64), hashlib.sha256
    best = float("inf")
    for _ in range(50):
        began = time.perf_counter()
        for _ in range(5_000):
            sha256(data).digest()
        best = min(best, time.perf_counter() - began)
    return best / 5_000 * 1e6


class Parts:
    """What the state's parts of a block take, by wrapping them."""

    def __init__(self, chain: Any) -> None:
        self.seconds = 0.0
        """By the clock, waiting for the disk and for other processes included."""
        self.processor: dict[str, float] = {}
        """Part -> processor time of the thread that executes."""
        self._wrap("tree", chain._tree, "update")
        self._wrap("tree", chain._tree, "commit")
        self._wrap("history", chain._history, "undo")
        self._wrap("pruning", chain._pruner, "step")
        self._wrap("write", chain._store, "write_batch")

    def clear(self) -> None:
        self.seconds, self.processor = 0.0, {}

    def _wrap(self, name: str, holder: Any, method: str) -> None:
        inner: Callable[..., Any] = getattr(type(holder), method)

        def timed(this: Any, *arguments: Any, **options: Any) -> Any:
            began, processor = time.perf_counter(), time.thread_time()
            try:
                return inner(this, *arguments, **options)
            finally:
                self.seconds += time.perf_counter() - began
                self.processor[name] = self.processor.get(name, 0.0) + time.thread_time() - processor

        setattr(type(holder), method, timed)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def updates(chain: Chain, records: int, size: int, rng: random.Random) -> Iterator[float]:
    """Yield the seconds of blocks that update `size` existing records, block by block."""
    for _ in range(ROUNDS):
        yield block(chain, [(key_of(at), rng.randbytes(VALUE_BYTES)) for at in rng.sample(range(records), size)])


def fill_and_update(directory: Path, records: int) -> None:
    rng = random.Random(1)
    store = LevelStore(directory / "db")
    chain = Chain.open(store, genesis(), REGISTRY, retention=RETENTION)
    for first in range(0, records, FILL):
        block(chain, [(key_of(at), rng.randbytes(VALUE_BYTES)) for at in range(first, min(first + FILL, records))])
    store.compact_later([(b"", b"\xff")])  # what the filling left to do is none of the blocks' work
    assert store.compacted(timeout_s=600)
    os.sync()  # nor is writing it out
    settle()
    parts = Parts(chain)
    for size in (1_000, 3_000):
        unit = unit_us()
        for _ in updates(chain, records, size, rng):
            pass  # until the past that is dropped is that of blocks like these
        parts.clear()
        whole: list[float] = []
        state: list[float] = []
        processor: list[dict[str, float]] = []
        for seconds in updates(chain, records, size, rng):
            whole.append(seconds / size * 1e6 / unit)
            state.append(parts.seconds / size * 1e6 / unit)
            processor.append({name: spent / size * 1e6 / unit for name, spent in parts.processor.items()})
            parts.clear()
        named = ", ".join(f"{name} {median(part[name] for part in processor):.1f}" for name in processor[0])
        print(
            f"{records:>9,} records, blocks of {size:,}: {median(state):.1f} units a key for the state (best "
            f"{min(state):.1f}; processor time {median(sum(part.values()) for part in processor):.1f}: {named}), "
            f"{median(whole):.1f} for the whole block; 1 unit = {unit:.3f} us",
            flush=True,
        )
    store.close()


def reopen(directory: Path, records: int) -> None:
    """In a process of its own: what opening, reading and proving take."""
    rng = random.Random(2)
    store = LevelStore(directory / "db")
    began = time.perf_counter()
    chain = Chain.open(store, genesis(), REGISTRY, retention=RETENTION)
    opened, fresh = time.perf_counter() - began, resident_bytes()
    settle()
    view = chain.view()
    for _ in range(records):
        view.get(key_of(rng.randrange(records)))
    for _ in updates(chain, records, 1_000, rng):
        pass
    print(
        f"{records:>9,} records: opened in {opened:.1f} s; resident {fresh / 1e6:.0f} MB then, "
        f"{resident_bytes() / 1e6:.0f} MB after reading {records:,} and {ROUNDS} blocks of 1,000",
        flush=True,
    )
    unit = unit_us()
    for name, height in (("head", chain.height), ("10 blocks ago", chain.height - 10), ("oldest", chain.oldest_state)):
        header = chain.header(height)
        assert header is not None
        taken: list[float] = []
        sizes: list[int] = []
        for _ in range(200):
            key = key_of(rng.randrange(records))
            began = time.perf_counter()
            proof = chain.prove(key, height)
            taken.append(time.perf_counter() - began)
            verify_state_proof(header.state_root, key, chain.record_at(key, height), proof)
            sizes.append(len(proof.encode()))
        keys = [key_of(at) for at in rng.sample(range(records), 100)]
        began = time.perf_counter()
        batch = chain.prove_many(keys, height)
        together = time.perf_counter() - began
        verify_batch_proof(header.state_root, {key: chain.record_at(key, height) for key in keys}, batch)
        print(
            f"    proof at {name}: {median(taken) * 1e6:,.0f} us ({median(taken) * 1e6 / unit:,.0f} units), "
            f"{median(sizes):,.0f} B; 100 keys in one: {together * 1e3:.1f} ms, {len(batch.encode()):,} B",
            flush=True,
        )
    store.close()


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--reopen"]:
        reopen(Path(arguments[1]), int(arguments[2]))
        return
    for records in [int(argument) for argument in arguments] or [100_000, 1_000_000]:
        with tempfile.TemporaryDirectory(prefix="guildmark-state-") as directory:
            fill_and_update(Path(directory), records)
            subprocess.run(
                [sys.executable, "-m", "benchmarks.micro.state_tree", "--reopen", directory, str(records)], check=True
            )


if __name__ == "__main__":
    main(sys.argv[1:])
