"""A stopped node's data directory with a chain of real modules in it, made without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ledger_core_kit import VALIDATORS, Kit, make_genesis

from guildmark.cluster.interpreter import node_command, node_environment
from ledger.genesis import write
from ledger.modules.credits.operations import Transfer
from ledger.operations import default_registry
from ledger.state.store import LevelStore
from node.engine_setup import log_secret
from node.event_loop import DiskFiles
from node.journal import FILE_NAME, LogHead, file_head, frame

BLOCKS = 12


def make_chain(path: Path, blocks: int = BLOCKS) -> Kit:
    """Write a chain of transfers, certified up to its head, and close its store."""
    store = LevelStore(path)
    kit = Kit(store, make_genesis(), default_registry())
    grow(kit, blocks)
    store.close()
    return kit


def grow(kit: Kit, blocks: int) -> None:
    for _ in range(blocks):
        height = kit.chain.height + 1
        kit.execute(
            *[
                kit.transaction(
                    Transfer(kit.accounts[(owner + 1) % 3], height), owner=owner, salt=bytes([height % 256] * 16)
                )
                for owner in range(3)
            ]
        )
        kit.chain.add_certificate(kit.certificate(height))


def make_directory(path: Path, blocks: int = BLOCKS) -> Kit:
    """Make a data directory with ledger, genesis and vote log; its keys are those of the first validator."""
    path.mkdir(parents=True, exist_ok=True)
    for name in ("journal", "artifacts"):
        (path / name).mkdir()
    kit = make_chain(path / "chain", blocks)
    (path / "genesis.json").write_bytes(write(kit.genesis))
    secret = log_secret(VALIDATORS[0])
    records = b"".join(frame(secret, index, index - 1, b"vote %d" % index) for index in range(1, 6))
    DiskFiles(path / "journal").replace(FILE_NAME, file_head(secret, LogHead()) + records)
    return kit


def run_node(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the node's program as the command line does."""
    assert node_command()[0] == sys.executable
    return subprocess.run(
        node_command(*arguments), env=node_environment(), capture_output=True, text=True, timeout=timeout_s, check=False
    )
