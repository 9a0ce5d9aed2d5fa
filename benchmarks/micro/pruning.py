"""What pruning frees and costs: `python -m benchmarks.micro.pruning [blocks]` (2500).

Two chains execute the same blocks of 20 kB, each updating 100 of 10,000 records of 200 bytes, one a second of block
time, every tenth certified. One keeps everything; the other the state's past of 64 blocks, and 1,000 blocks. Both are
closed and opened once more before their directories are measured, so that LevelDB's log is in its tables.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.micro.state_tree import KEYS, REGISTRY, VALUE_BYTES, block, genesis, key_of
from ledger.chain import Chain
from ledger.pruning import BLOCKS_MIN, Retention
from ledger.state.store import LevelStore
from primitives.finality import FinalityCertificate, finality_statement

RECORDS = 10_000
UPDATED = 100
PAYLOAD_BYTES = 20_000


def certify(chain: Chain) -> None:
    head = chain.head
    statement = finality_statement(chain.network_id, head.epoch, head.height, chain.head_hash, head.epoch_end)
    signatures = tuple((at, KEYS[at].sign(statement)) for at in range(3))
    chain.add_certificate(
        FinalityCertificate(head.epoch, head.height, chain.head_hash, head.epoch_end, signatures), sync=False
    )


def run(path: Path, blocks: int, retention: Retention) -> tuple[Chain, list[float], float]:
    """Return the chain, seconds of each block in the last quarter, and the directory's size in MB."""
    rng = random.Random(1)
    store = LevelStore(path)
    chain = Chain.open(store, genesis(), REGISTRY, retention=retention)
    block(chain, [(key_of(at), rng.randbytes(VALUE_BYTES)) for at in range(RECORDS)])
    taken = []
    for number in range(blocks):
        changes = [(key_of(at), rng.randbytes(VALUE_BYTES)) for at in rng.sample(range(RECORDS), UPDATED)]
        taken.append(block(chain, changes, rng.randbytes(PAYLOAD_BYTES), step_ms=1_000))
        if number % 10 == 9:
            certify(chain)
    store.compacted(timeout_s=600)
    store.close()
    LevelStore(path).close()
    return chain, taken[-blocks // 4 :], sum(file.stat().st_size for file in path.iterdir()) / 1e6


def main(arguments: list[str]) -> None:
    blocks = int(arguments[0]) if arguments else 2_500
    with tempfile.TemporaryDirectory(prefix="guildmark-pruning-") as directory:
        whole, kept, size = run(Path(directory) / "whole", blocks, Retention(history_blocks=0))
        pruned, dropped, left = run(Path(directory) / "pruned", blocks, Retention(history_blocks=64, blocks=BLOCKS_MIN))
    assert pruned.head.state_root == whole.head.state_root, "what is dropped decides nothing"
    print(
        f"{blocks:,} blocks: {size:.0f} MB kept whole; {left:.0f} MB with blocks from {pruned.oldest_block:,} on and "
        f"states from {pruned.oldest_state:,} on, {left / size:.2f} of it. A block takes "
        f"{median(dropped) / median(kept):.2f} times as long (median), the slowest {max(dropped) / max(kept):.2f} times"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
