"""Making certificates from a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ledger import epochs
from ledger.block import Header, block_hash
from ledger.certificates.format import (
    HANDOFFS_MAX,
    MAGIC,
    BlockStart,
    Certificate,
    GenesisStart,
    Handoff,
    ProvenRecord,
)
from ledger.certificates.subjects import Subject
from ledger.certificates.verified import Where
from ledger.errors import LedgerError
from ledger.light.serving import members_of, sealed
from primitives.codec import encode
from primitives.finality import FinalityCertificate

if TYPE_CHECKING:
    from ledger.chain import Chain


class Prepared(NamedTuple):
    """A certificate of the head that lacks the signatures under its block."""

    height: int
    start: GenesisStart | BlockStart
    handoffs: tuple[Handoff, ...]
    header: Header
    subject: Subject
    records: tuple[ProvenRecord, ...]


def prepare(chain: Chain, subject: Subject, *, since: int | None = None) -> Prepared:
    """Collect records and proofs at the head. `complete` needs the certificate of that height, which may come later.

    With `since` the certificate starts from the block of that height, which its verifier must know.

    Raises:
        LedgerError: `query.not_found` for what is not there, `certificate.present` for what is and should not be;
            `certificate.start`; `certificate.too_many_epochs`; `certificate.pending` while the certificate of an
            earlier epoch's end is not here.
    """
    return _prepare(chain, subject, chain.height, since)


def complete(prepared: Prepared, finality: FinalityCertificate, trail: tuple[Header, ...] = ()) -> bytes:
    """Return the file: `prepared` with the certificate of its block, or of the end of `trail`."""
    assert finality.block_hash == block_hash((prepared.header, *trail)[-1])
    return MAGIC + encode(
        Certificate(
            start=prepared.start,
            handoffs=prepared.handoffs,
            header=prepared.header,
            trail=trail,
            finality=finality,
            subject=prepared.subject,
            records=prepared.records,
        )
    )


def export(chain: Chain, subject: Subject, *, since: int | None = None, height: int | None = None) -> bytes:
    """Return the certificate of a subject after block `height`, the head when none is given.

    Raises:
        LedgerError: as `prepare`; `certificate.pending` while no finality certificate covers the height;
            `proof.pruned` below the oldest state that is kept, `proof.future` above the head.
    """
    prepared = _prepare(chain, subject, chain.height if height is None else height, since)
    _, trail, finality = sealed(chain, prepared.height)
    return complete(prepared, finality, trail)


def _prepare(chain: Chain, subject: Subject, height: int, since: int | None) -> Prepared:
    header = chain.header(height)
    if header is None:
        raise LedgerError("query.not_found", f"there is no block {height} here")
    records = _ChainRecords(chain, height)
    subject.read(records, _where(chain, header))
    start: GenesisStart | BlockStart = GenesisStart(encode(chain.genesis))
    first_epoch = 0
    if since is not None:
        known = chain.header(since) if since <= header.height else None
        if known is None:
            raise LedgerError("certificate.start", f"no block {since} here at or below block {header.height}")
        start, first_epoch = BlockStart(known, members_of(chain, known.epoch)), known.epoch
    handoffs = _handoffs(chain, first_epoch, header.epoch)
    return Prepared(header.height, start, handoffs, header, subject, tuple(records.proven))


def _where(chain: Chain, header: Header) -> Where:
    """Return what subjects look at of the block: here nobody reads more of it."""
    return Where(
        network_id=chain.network_id.hex(),
        network_name=chain.genesis.name,
        development=chain.genesis.development,
        height=header.height,
        epoch=header.epoch,
        block_hash=block_hash(header).hex(),
        block_time_ms=header.timestamp_ms,
        signers=(),
        validators=0,
        start_height=0,
        pinned=False,
    )


class _ChainRecords:
    """The records of a chain after a block; each that is read is proven and kept."""

    def __init__(self, chain: Chain, height: int) -> None:
        self._chain, self._height = chain, height
        self.proven: list[ProvenRecord] = []

    def get(self, key: bytes) -> bytes | None:
        value = self._chain.record_at(key, self._height)
        self.proven.append(ProvenRecord(key, value, self._chain.prove(key, self._height)))
        return value

    def refusal(self, code: str, message: str) -> LedgerError:
        return LedgerError(code, message)


def _handoffs(chain: Chain, first: int, last: int) -> tuple[Handoff, ...]:
    """Return the ends of the epochs from `first` to the one before `last`."""
    if last - first > HANDOFFS_MAX:
        raise LedgerError(
            "certificate.too_many_epochs",
            f"{last - first} epochs; a certificate crosses at most {HANDOFFS_MAX}: start from a block known since",
        )
    view = chain.view()
    handoffs = []
    for epoch in range(first, last):
        height = epochs.last_height(view, epoch)
        assert height is not None
        header, finality = chain.header(height), chain.certificate(height)
        if header is None or finality is None:
            raise LedgerError("certificate.pending", f"the certificate of block {height}, an epoch's last, is not here")
        handoffs.append(Handoff(header, finality, members_of(chain, epoch + 1)))
    return tuple(handoffs)
