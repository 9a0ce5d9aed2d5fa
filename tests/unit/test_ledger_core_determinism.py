"""X1: what decides a root does not depend on the interpreter's hash seed, time zone, locale or optimization."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ledger_core_kit import Kit

from ledger.genesis import write
from ledger.modules.credits.operations import Transfer
from ledger.operations import default_registry

SCRIPT = """
import sys
from pathlib import Path
from ledger.chain import Chain
from ledger.genesis import load
from ledger.state.store import MemoryStore
directory = Path(sys.argv[1])
chain = Chain.open(MemoryStore(), load(directory / "genesis.json"))
data = (directory / "blocks").read_bytes()
while data:
    size = int.from_bytes(data[:4], "big")
    chain.replay(data[4 : 4 + size])
    data = data[4 + size :]
print(chain.height, chain.head_hash.hex(), chain.head.state_root.hex())
"""


def test_other_processes_reach_the_same_roots(tmp_path: Path) -> None:
    """X1, X2: blocks from a file, executed by differently set up interpreters over the real modules."""
    kit = Kit(registry=default_registry())
    for block in range(5):
        kit.execute(
            *[
                kit.transaction(
                    Transfer(kit.accounts[(owner + 1) % 3], 10 + block), owner=owner, salt=bytes([block] * 16)
                )
                for owner in range(3)
            ]
        )
    (tmp_path / "genesis.json").write_bytes(write(kit.genesis))
    blocks = [kit.chain.encoded_block(height) or b"" for height in range(1, 6)]
    (tmp_path / "blocks").write_bytes(b"".join(len(block).to_bytes(4, "big") + block for block in blocks))
    expected = f"5 {kit.chain.head_hash.hex()} {kit.chain.head.state_root.hex()}\n"
    for flags, environment in (
        ([], {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8"}),
        (["-O"], {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "C"}),
    ):
        result = subprocess.run(
            [sys.executable, *flags, "-c", SCRIPT, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
            env=os.environ | environment,
            check=False,
        )
        assert result.stdout == expected, result.stderr
