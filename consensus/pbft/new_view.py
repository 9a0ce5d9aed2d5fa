"""What a quorum of ViewChanges implies: a pure computation that the primary and every backup make alike.

Castro & Liskov 1999, section 4.4: `min_s` is the highest stable checkpoint among them, `max_s` the highest sequence
prepared in any; each sequence between gets the proposal prepared in the highest view, else the null proposal.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.certificates import verify_prepared, verify_stable
from consensus.errors import Refusal
from consensus.messages import NULL_PROPOSAL, PreparedCertificate, Proposal, ViewChange
from consensus.ports import Verifier
from consensus.validators import ValidatorSet
from primitives.finality import FinalityCertificate


class Reissue(msgspec.Struct, frozen=True):
    min_sequence: int
    stable: FinalityCertificate | None
    """The certificate of `min_sequence`; None at the epoch's base."""
    proposals: tuple[tuple[int, Proposal], ...]
    """(sequence, proposal) for min_sequence + 1 .. max_s, without gaps."""

    @property
    def max_sequence(self) -> int:
        return self.min_sequence + len(self.proposals)


def compute(validators: ValidatorSet, view_changes: Sequence[ViewChange]) -> Reissue:
    """Return what the new view must begin with. The ViewChanges are valid and a quorum."""
    stable = max((vc.stable for vc in view_changes if vc.stable is not None), key=lambda c: c.height, default=None)
    lowest = validators.base if stable is None else stable.height
    best: dict[int, PreparedCertificate] = {}
    for view_change in view_changes:
        for certificate in view_change.prepared:
            sequence = certificate.pre_prepare.sequence
            known = best.get(sequence)
            if sequence > lowest and (known is None or certificate.pre_prepare.view > known.pre_prepare.view):
                best[sequence] = certificate
    top = max(best, default=lowest)
    proposals = tuple(
        (sequence, best[sequence].pre_prepare.proposal if sequence in best else NULL_PROPOSAL)
        for sequence in range(lowest + 1, top + 1)
    )
    return Reissue(lowest, stable, proposals)


def verify_view_change(validators: ValidatorSet, verifier: Verifier, window: int, message: ViewChange) -> None:
    """Check everything that a ViewChange claims, cheap things first. Raises Refusal."""
    low = validators.base if message.stable is None else message.stable.height
    for certificate in message.prepared:
        pre_prepare = certificate.pre_prepare
        if not low < pre_prepare.sequence <= low + window:
            raise Refusal("prepared_outside_the_window", message.replica)
        if pre_prepare.view >= message.new_view:
            raise Refusal("prepared_in_a_later_view", message.replica)
    if message.stable is not None:
        verify_stable(validators, verifier, message.stable)
    for certificate in message.prepared:
        verify_prepared(validators, verifier, certificate)
