"""Certificates and signatures, read without asking the code that is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from consensus.messages import Batch, Checkpoint, PreparedCertificate, Signed, ViewChange, proposal_digest
from primitives.codec import encode
from primitives.digest import domain
from primitives.finality import FinalityCertificate
from simulation.twins.crypto import NETWORK_ID, FastVerifier, public_key

_VERIFIER: Final = FastVerifier()
_FINALITY: Final = domain("finality")


class Proofs:
    """What was truly signed, and what is proven by it, among n replicas."""

    def __init__(self, n: int, quorum: int, window: int, correct: Callable[[int], bool]) -> None:
        self._n = n
        self._quorum = quorum
        self._window = window
        self._correct = correct
        self.issued: list[set[Signed]] = [set() for _ in range(n)]
        """All that each replica ever signed."""
        self._certified: set[bytes] = set()

    def genuine(self, message: Signed) -> bool:
        """Tell whether its signer made it. Liars may have made anything that bears their signature."""
        if message.replica >= self._n:
            return False
        issued = self.issued[message.replica]
        if message in issued:
            return True
        if self._correct(message.replica):
            return False
        genuine = message.epoch == 0 and _VERIFIER.verify(
            public_key(message.replica), statement(message), message.signature
        )
        if genuine:
            issued.add(message)
        return genuine

    def why_not_prepared(self, certificate: PreparedCertificate) -> str:
        """Return what is wrong with a prepared certificate, by the judge's own reading."""
        pre_prepare = certificate.pre_prepare
        place = (pre_prepare.view, pre_prepare.sequence, proposal_digest(pre_prepare.proposal))
        signers = {pre_prepare.replica} | {vote.replica for vote in certificate.prepares}
        if pre_prepare.replica != pre_prepare.view % self._n:
            return "not proposed by its view's primary"
        if len(signers) != 1 + len(certificate.prepares) or len(signers) < self._quorum:
            return f"{len(signers)} distinct signers of {self._quorum}"
        if any((vote.view, vote.sequence, vote.digest) != place for vote in certificate.prepares):
            return "votes for something else"
        votes: list[Signed] = [pre_prepare, *certificate.prepares]
        if not all(self.genuine(vote) for vote in votes):
            return "a vote that was never signed"
        return ""

    def why_bad_view_change(self, message: ViewChange) -> str:
        if not self.genuine(message):
            return "never signed"
        if message.stable is not None and (reason := self.why_not_final(message.stable)):
            return reason
        low = 0 if message.stable is None else message.stable.height
        for certificate in message.prepared:
            pre_prepare = certificate.pre_prepare
            if not low < pre_prepare.sequence <= low + self._window or pre_prepare.view >= message.new_view:
                return f"sequence {pre_prepare.sequence}, view {pre_prepare.view} does not belong there"
            if reason := self.why_not_prepared(certificate):
                return reason
        return ""

    def why_not_final(self, certificate: FinalityCertificate) -> str:
        """Return what is wrong with a finality certificate, by the judge's own reading."""
        known = encode(certificate)
        if known in self._certified:
            return ""
        signers = {signer for signer, _ in certificate.signatures}
        if len(signers) < self._quorum or len(signers) != len(certificate.signatures):
            return f"{len(signers)} distinct signers of {self._quorum}"
        words = finality(certificate.epoch, certificate.height, certificate.epoch_end, certificate.block_hash)
        if not all(_VERIFIER.verify(public_key(i), words, signature) for i, signature in certificate.signatures):
            return "a signature that does not hold"
        self._certified.add(known)
        return ""


def finality(epoch: int, height: int, epoch_end: int, block_hash: bytes) -> bytes:
    """Return what a seal says, without asking the code that is judged."""
    return _FINALITY + NETWORK_ID + b"".join(n.to_bytes(8, "big") for n in (epoch, height, epoch_end)) + block_hash


def statement(message: Signed) -> bytes:
    """Return what a signature must cover, without asking the code that is judged."""
    if isinstance(message, Checkpoint):
        return finality(message.epoch, message.sequence, message.epoch_end, message.block_hash)
    unsigned: Any = msgspec.structs.replace(message, signature=bytes(64))
    if isinstance(message, Batch):
        unsigned = msgspec.structs.replace(unsigned, items=())
    return domain(f"consensus/{message.kind}") + NETWORK_ID + encode(unsigned)
