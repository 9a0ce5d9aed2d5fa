"""Certificates and certified headers for the API: asked of the ledger's owner, completed when the signatures are
there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ledger.certificates import export
from ledger.certificates.subjects import Subject
from ledger.errors import LedgerError
from node.core import NodeCore

if TYPE_CHECKING:
    from node.services import LedgerReads

CERTIFICATE_WAIT_S: Final = 5.0
"""How long a certificate waits for the finality of its block."""
_POLL_S: Final = 0.02


class CertificateDesk:
    """Belongs to the event loop. Every method raises LedgerError."""

    def __init__(self, core: NodeCore, reads: LedgerReads) -> None:
        self._core = core
        self._reads = reads

    async def light_block(self, height: int | None) -> bytes:
        """Return a certified header with its set, of the highest certified block when no height is given."""
        return bytes(await self._reads.ask("light_block", self._core.certified_height if height is None else height))

    async def epoch_end(self, epoch: int) -> bytes:
        """Return the last header of an epoch with its set."""
        return bytes(await self._reads.ask("epoch_end", epoch))

    async def certificate(self, subject: Subject, since: int | None, height: int | None) -> bytes:
        """Make a certificate at a height, or at the head; `certificate.pending` when that is not certified in time."""
        if height is not None:
            return bytes(await self._reads.ask_expensively("export_certificate", subject, since, height))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CERTIFICATE_WAIT_S
        while True:
            prepared: export.Prepared = await self._reads.ask_expensively("prepare_certificate", subject, since)
            while True:
                finality = await self._reads.ask("certificate", prepared.height)
                if finality is not None:
                    return export.complete(prepared, finality)
                if loop.time() > deadline:
                    raise LedgerError("certificate.pending", f"block {prepared.height} is not certified yet")
                if self._core.certified_height > prepared.height:
                    break  # this height was passed over; prepare anew at the head
                await asyncio.sleep(_POLL_S)
