"""When a node keeps artifacts, and how it hears of new ones."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from node.core import NodeCore
from node.replication import Replication

ROLE_PERIOD_S: Final = 1.0
"""How often a node that keeps no artifacts looks whether it has become one that does."""


class NewVersions:
    """Tells replication of the versions that a block registered."""

    def __init__(self, core: NodeCore, replication: Replication) -> None:
        self._core = core
        self._replication = replication

    def on_executed(self, block: Any) -> None:
        if block.artifact_changes and self._core.epochs.keeps_artifacts:
            self._replication.on_versions(block.artifact_changes)

    def on_certified(self, height: int, blocks: Any) -> None:
        """Replication follows execution."""

    def on_dropped(self, identifiers: Any) -> None:
        """No transaction of replication's is waited for by id."""

    def on_evidence(self, evidence: Any) -> None:
        """Artifacts are fetched by their names; who served a wrong one is noted elsewhere."""


async def keep_artifacts(core: NodeCore, replication: Replication) -> None:
    """Replicate, from when on the ledger knows this node as a validator or as one on the way."""
    while not core.epochs.keeps_artifacts:  # noqa: ASYNC110 - nothing announces it, and a second is soon enough
        await asyncio.sleep(ROLE_PERIOD_S)
    await replication.run()
