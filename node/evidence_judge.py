"""The ledger's judge of evidence: it knows what consensus signs, which the ledger must not."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.evidence import Evidence, verify_evidence
from consensus.validators import ValidatorSet
from node.verifier import EngineVerifier
from primitives.codec import CodecError, decode


class ConsensusJudge:
    """ledger.ports.EvidenceJudge. Its verdicts depend on the arguments alone."""

    def epoch_of(self, evidence: bytes) -> int | None:
        found = _read(evidence)
        return None if found is None else found.first.epoch

    def judge(self, network_id: bytes, epoch: int, public_keys: Sequence[bytes], evidence: bytes) -> int | None:
        found = _read(evidence)
        members = ValidatorSet(network_id, epoch, tuple(public_keys))
        if found is None or not verify_evidence(members, EngineVerifier(), found):
            return None
        return found.culprit


def _read(evidence: bytes) -> Evidence | None:
    try:
        return decode(evidence, Evidence)
    except CodecError:
        return None
