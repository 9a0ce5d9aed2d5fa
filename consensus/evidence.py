"""Two signed messages of one replica that contradict each other. No local time: everyone judges it alike."""

from __future__ import annotations

import msgspec

from consensus.errors import Refusal
from consensus.messages import (
    Batch,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Signed,
    ViewChange,
    encode_message,
    verify_signed,
)
from consensus.ports import Verifier
from consensus.validators import ValidatorSet


class Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Contradicting messages, in the order of their encodings, so that two observers write the same record."""

    first: Signed
    second: Signed

    @property
    def culprit(self) -> int:
        return self.first.replica


def build_evidence(first: Signed, second: Signed) -> Evidence:
    """Put two contradicting messages in order; a batch goes without its items, for which its signed root stands."""
    pair = [bare(first), bare(second)]
    pair.sort(key=encode_message)
    return Evidence(*pair)


def bare(message: Signed) -> Signed:
    return msgspec.structs.replace(message, items=()) if isinstance(message, Batch) else message


def contradict(first: Signed, second: Signed) -> bool:
    """Tell whether no correct replica can have signed both."""
    if type(first) is not type(second):
        return False
    if isinstance(first, Batch) and isinstance(second, Batch):
        return same(first, second, "number") and first.digest != second.digest
    if isinstance(first, PrePrepare) and isinstance(second, PrePrepare):
        return same(first, second, "view", "sequence") and first.digest != second.digest
    if isinstance(first, Prepare | Commit) and isinstance(second, Prepare | Commit):
        return same(first, second, "view", "sequence") and first.digest != second.digest
    if isinstance(first, Checkpoint) and isinstance(second, Checkpoint):
        differ = (first.block_hash, first.epoch_end) != (second.block_hash, second.epoch_end)
        return same(first, second, "sequence") and differ
    if isinstance(first, ViewChange) and isinstance(second, ViewChange):
        return same(first, second, "new_view") and unsigned(first) != unsigned(second)
    if isinstance(first, NewView) and isinstance(second, NewView):
        return same(first, second, "view") and unsigned(first) != unsigned(second)
    return False


def same(first: Signed, second: Signed, *fields: str) -> bool:
    return all(getattr(first, field) == getattr(second, field) for field in ("epoch", "replica", *fields))


def unsigned(message: ViewChange | NewView) -> ViewChange | NewView:
    """Two signatures over the same words are no contradiction."""
    return msgspec.structs.replace(message, signature=bytes(64))


def verify_evidence(validators: ValidatorSet, verifier: Verifier, evidence: Evidence) -> bool:
    """Check the order, the contradiction and both signatures."""
    if evidence != build_evidence(evidence.first, evidence.second):
        return False
    if not contradict(evidence.first, evidence.second):
        return False
    try:
        verify_signed(validators, verifier, evidence.first)
        verify_signed(validators, verifier, evidence.second)
    except Refusal:
        return False
    return True
