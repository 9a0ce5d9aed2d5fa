"""What the ledger's owner shows to those who check by themselves: certificates, and certified headers."""

from __future__ import annotations

from ledger.certificates import export
from ledger.certificates.subjects import Subject
from ledger.chain import Chain
from ledger.light import serving
from primitives.codec import encode


class ChainCertificates:
    """A part of `ChainService`. Every method may raise LedgerError."""

    _chain: Chain

    def prepare_certificate(self, subject: Subject, since: int | None) -> export.Prepared:
        """Gather what a certificate needs at the head; its height's finality certificate may not be there yet."""
        return export.prepare(self._chain, subject, since=since)

    def export_certificate(self, subject: Subject, since: int | None, height: int) -> bytes:
        """Make a certificate of a past height."""
        return export.export(self._chain, subject, since=since, height=height)

    def light_block(self, height: int) -> bytes:
        """Return a certified header with its validator set, encoded."""
        return encode(serving.light_block(self._chain, height))

    def epoch_end(self, epoch: int) -> bytes:
        """Return the last block of an epoch as `light_block` does."""
        return encode(serving.epoch_end(self._chain, epoch))
