"""Mistakes around the engine, which only whole nodes can show: the vote log's file, the driver, the ledger."""

from __future__ import annotations

from typing import Final

from simulation.mutants.mutant import Mutant, mutant

NODES: Final[tuple[Mutant, ...]] = (
    mutant(
        "sent-before-synced",
        "messages leave while their records are being written",
        (
            "node.consensus_driver:ConsensusDriver._sync_or_perform",
            "        self._syncing = True\n",
            "        self._syncing = True\n        self._perform(covered)\n",
        ),
        runs="nodes",
    ),
    mutant(
        "log-not-synced",
        "the vote log is written and not synced",
        ("node.journal:Journal.sync", "self._file.sync()", "pass"),
        runs="nodes",
    ),
    mutant(
        "torn-tail-kept",
        "records that a crash tore are believed",
        (
            "node.journal:_record_at",
            "if _checksum(secret, position, durable, payload) != checksum:",
            "if len(checksum) != 8:",
        ),
        runs="nodes",
    ),
    mutant(
        "block-not-synced",
        "a block is sealed before it is durable",
        (
            "ledger.chain:Chain._write",
            "self._store.write_batch(batch, sync=True)",
            "self._store.write_batch(batch, sync=False)",
        ),
        runs="nodes",
    ),
    mutant(
        "local-clock-in-the-block",
        "the block's time depends on the machine",
        (
            "ledger.execution:BlockExecutor.__init__",
            "max(parent_time_ms + 1, ",
            "id(self) // 64 % 3 + max(parent_time_ms + 1, ",
        ),
        runs="nodes",
    ),
    mutant(
        "transaction-executed-twice",
        "a transaction id that was executed is executed again",
        (
            "ledger.execution:BlockExecutor._judge_common",
            "if mark is Mark.EXECUTED and (identifier in self._fresh or identifier in self._replay):",
            "if False:",
        ),
        runs="nodes",
    ),
    mutant(
        "executed-ids-forgotten",
        "after a restart the ledger does not know what it has executed",
        ("ledger.chain:Chain._resume", "self._replay = replay_ids(self.archive, header)", "pass"),
        runs="nodes",
    ),
)
