"""Two signed messages of one replica that contradict each other. No local time: everyone judges it alike."""

from __future__ import annotations

import msgspec

from consensus.errors import Refusal
from consensus.messages import Batch, Checkpoint, Commit, Message, Prepare, PrePrepare, ViewChange, verify_signed
from consensus.ports import Verifier
from consensus.validators import ValidatorSet


class Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Contradicting messages, in the order of their encodings, so that two observers write the same record."""

    first: Message
    second: Message

    @property
    def culprit(self) -> int:
        assert not isinstance(self.first, _UNSIGNED)
        return self.first.replica  # type: ignore[union-attr]  # only signed messages contradict each other


_UNSIGNED = ()


def contradict(first: Message, second: Message) -> bool:
    """Tell whether no correct replica can have signed both."""
    if type(first) is not type(second):
        return False
    if isinstance(first, Batch) and isinstance(second, Batch):
        return _same(first, second, "number") and first.digest != second.digest
    if isinstance(first, PrePrepare) and isinstance(second, PrePrepare):
        return _same(first, second, "view", "sequence") and first.digest != second.digest
    if isinstance(first, Prepare | Commit) and isinstance(second, Prepare | Commit):
        return _same(first, second, "view", "sequence") and first.digest != second.digest
    if isinstance(first, Checkpoint) and isinstance(second, Checkpoint):
        return _same(first, second, "sequence") and first.block_hash != second.block_hash
    if isinstance(first, ViewChange) and isinstance(second, ViewChange):
        return _same(first, second, "new_view") and first.digest != second.digest
    return False


def _same(first: Message, second: Message, *fields: str) -> bool:
    return all(getattr(first, field) == getattr(second, field) for field in ("epoch", "replica", *fields))


def verify_evidence(validators: ValidatorSet, verifier: Verifier, evidence: Evidence) -> bool:
    """Check both signatures and the contradiction."""
    if not contradict(evidence.first, evidence.second):
        return False
    try:
        verify_signed(validators, verifier, evidence.first)  # type: ignore[arg-type]  # contradict() saw signed kinds
        verify_signed(validators, verifier, evidence.second)  # type: ignore[arg-type]
    except Refusal:
        return False
    return True
