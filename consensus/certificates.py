"""Certificates: a quorum's signatures over one statement, always checked signature by signature.

One bad signature spoils a certificate, even where the good ones would be enough: a stored proof must convince everyone
alike. The finality certificate is the block's; a prepared certificate shows that a proposal may have been decided.
Spec: docs/spec/consensus.md, "Certificates".
"""

from __future__ import annotations

from itertools import pairwise

from consensus.errors import Refusal
from consensus.messages import PreparedCertificate, verify_signed
from consensus.ports import Verifier
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate, verify_certificate


def verify_stable(validators: ValidatorSet, verifier: Verifier, certificate: FinalityCertificate) -> None:
    """Check a finality certificate under this epoch's keys.

    Raises:
        Refusal: `other_epoch` or `bad_certificate`.
    """
    if certificate.epoch != validators.epoch:
        raise Refusal("other_epoch")
    if certificate.height <= validators.base:
        raise Refusal("bad_certificate")
    if verify_certificate(validators.network_id, validators.public_keys, certificate, verifier.verify) is not None:
        raise Refusal("bad_certificate")


def verify_prepared(validators: ValidatorSet, verifier: Verifier, certificate: PreparedCertificate) -> None:
    """Check that the pre-prepare's signer led its view and that it and the others make a quorum of distinct replicas.

    Raises:
        Refusal: with the reason.
    """
    pre_prepare = certificate.pre_prepare
    primary = pre_prepare.replica
    if validators.primary(pre_prepare.view) != primary:
        raise Refusal("prepared_not_by_the_primary")
    backups = [prepare.replica for prepare in certificate.prepares]
    if primary in backups or any(later <= earlier for earlier, later in pairwise(backups)):
        raise Refusal("prepared_by_repeated_signers")
    if len(backups) + 1 < validators.quorum:
        raise Refusal("prepared_without_quorum")
    statement = (pre_prepare.view, pre_prepare.sequence, pre_prepare.digest)
    if any((vote.view, vote.sequence, vote.digest) != statement for vote in certificate.prepares):
        raise Refusal("prepared_votes_differ")
    verify_signed(validators, verifier, pre_prepare)
    for prepare in certificate.prepares:
        verify_signed(validators, verifier, prepare)
