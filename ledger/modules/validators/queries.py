"""What may be asked about epochs, candidates and evidence. The sets themselves: `validators.list`, a chain's query."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Final

from ledger import epochs
from ledger.membership import PendingChange
from ledger.modules import texts
from ledger.modules.fields import Result
from ledger.modules.validators.records import EVIDENCE
from ledger.state.view import Readable
from primitives.identifiers import account_to_text, key_to_text


class EpochResult(Result, frozen=True):
    epoch: int
    """Of the next block."""
    base: int
    """Height of the last block before the epoch."""
    end: int | None
    """Height of the epoch's last block, once it is known."""
    validators: int
    rejoining: str | None
    """Node id of the validator that gets a new incarnation at the end."""


class CandidateResult(Result, frozen=True):
    kind: str
    """`add`, `remove` or `rekey`."""
    node_id: str
    """The validator's present node id, or the new validator's."""
    proposal: str
    ready: bool
    expires_at_ms: int
    """When the change lapses if it has not taken effect."""
    new_node_id: str | None
    organization: str | None
    account: str | None
    """Signs `validators.ready`."""
    signing_key: str | None
    tls_certificate: str | None
    """Base64 of the DER certificate."""
    address: str | None


class EvidenceResult(Result, frozen=True):
    epoch: int
    culprit: int
    """Index in the set of that epoch."""
    digest: str
    node_id: str
    account: str
    reporter: str
    transaction: str
    """Carries the messages."""
    height: int
    at_ms: int


def get_epoch(view: Readable, _network_id: bytes, _block_time_ms: int) -> EpochResult:
    """The epoch that the next block belongs to."""
    epoch = epochs.current_epoch(view)
    members = epochs.current_set(view).validators
    back = None if epoch.rejoin is None else epoch.rejoin.account
    return EpochResult(
        epoch=epoch.number,
        base=epoch.base,
        end=epoch.end or None,
        validators=len(members),
        rejoining=next((member.node_id for member in members if member.account == back), None),
    )


def list_pending(view: Readable, _network_id: bytes, _block_time_ms: int) -> list[CandidateResult]:
    """The approved changes that have not taken effect, by order of approval."""
    return [_candidate(change) for _, change in sorted(epochs.pending_changes(view).items())]


def list_evidence(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    epoch: int | str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[EvidenceResult]:
    """Recorded evidence by epoch and culprit, of one epoch or of all. `after` is `epoch:culprit:digest`."""
    start = b"" if epoch == "" else texts.number(epoch).to_bytes(8, "big")
    found = EVIDENCE.items(view, after=max(start, _after(after)))
    page = texts.page(takewhile(lambda item: item[0].startswith(start), found), limit)
    return [
        EvidenceResult(
            epoch=int.from_bytes(key[:8], "big"),
            culprit=int.from_bytes(key[8:12], "big"),
            digest=key[12:].hex(),
            node_id=record.node_id,
            account=account_to_text(record.account),
            reporter=account_to_text(record.reporter),
            transaction=record.transaction.hex(),
            height=record.height,
            at_ms=record.at_ms,
        )
        for key, record in page
    ]


def _after(text: str) -> bytes:
    if not text:
        return b""
    epoch, _, rest = text.partition(":")
    culprit, _, digest = rest.partition(":")
    number = min(texts.number(culprit), 2**32 - 1)
    return texts.number(epoch).to_bytes(8, "big") + number.to_bytes(4, "big") + texts.identifier(digest)


def _candidate(change: PendingChange) -> CandidateResult:
    record = change.record
    return CandidateResult(
        kind=change.kind,
        node_id=change.node_id,
        proposal=change.proposal.hex(),
        ready=change.ready,
        expires_at_ms=change.expires_at_ms,
        new_node_id=None if record is None else record.node_id,
        organization=None if record is None else record.organization,
        account=None if record is None else account_to_text(record.account),
        signing_key=None if record is None else key_to_text(record.signing_key),
        tls_certificate=None if record is None else base64.b64encode(record.tls_certificate).decode("ascii"),
        address=None if record is None else record.address,
    )


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "validators.epoch": get_epoch,
    "validators.evidence": list_evidence,
    "validators.pending": list_pending,
}
