"""Transactions that a validator makes in its own name."""

from __future__ import annotations

from typing import Final

import structlog

from ledger.modules.assets.operations import ReportHeld
from ledger.transaction import build
from node.core import Admission, NodeCore
from node.ports import Clock
from primitives.keys import SigningKey

log: Final = structlog.get_logger("node.validator")


class ValidatorReporter:
    """Submits `assets.report_held` from the account that every validator has."""

    def __init__(
        self,
        core: NodeCore,
        clock: Clock,
        network_id: bytes,
        key: SigningKey,
    ) -> None:
        self._core = core
        self._clock = clock
        self._network_id = network_id
        self._key = key

    async def report_held(self, asset: bytes, version: int) -> None:
        """Submit the statement. Whether it executed is for the ledger to show; a refusal is only logged."""
        account = self._core.own_account
        if not account:
            return  # not a validator now: what this node holds counts for nobody
        now_ms = max(self._clock.now_ms() + self._core.head.clock_offset_ms, self._core.head.header.timestamp_ms)
        transaction = build(
            network_id=self._network_id,
            sender=account,
            key=self._key,
            operations=[ReportHeld(asset, version)],
            expires_at_ms=now_ms + self._core.head.lifetime_ms // 2,
        )
        self._core.submit([transaction], _log_refusal)


def _log_refusal(admissions: list[Admission]) -> None:
    for admission in admissions:
        if admission.code:
            log.warning("a held statement was refused", code=admission.code, reason=admission.message)
