"""What a quorum of ViewChanges implies: a pure computation that the primary and every backup make alike.

Castro & Liskov 1999, section 4.4: `min_s` is the highest stable checkpoint among them, `max_s` the highest sequence
prepared in any; each sequence between gets the proposal prepared in the highest view, else the null proposal.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.errors import Refusal
from consensus.messages import NULL_PROPOSAL, PreparedCertificate, Proposal, ViewChange, verify_signed, verify_stable
from consensus.pbft.state import State
from consensus.ports import Verifier
from consensus.validators import ValidatorSet


class Reissue(msgspec.Struct, frozen=True):
    min_sequence: int
    proposals: tuple[tuple[int, Proposal], ...]
    """(sequence, proposal) for min_sequence + 1 .. max_s, without gaps."""


def compute(validators: ValidatorSet, view_changes: Sequence[ViewChange]) -> Reissue:
    """Return what the new view must begin with. The ViewChanges are valid and a quorum."""
    lowest = max(validators.base if vc.stable is None else vc.stable.height for vc in view_changes)
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
    return Reissue(lowest, proposals)


def verify_prepared(validators: ValidatorSet, verifier: Verifier, certificate: PreparedCertificate) -> None:
    """Check a prepared certificate signature by signature; one bad one spoils it.

    Raises:
        Refusal: with the reason.
    """
    pre_prepare = certificate.pre_prepare
    if validators.primary(pre_prepare.view) != pre_prepare.replica:
        raise Refusal("prepared_not_by_the_primary")
    verify_signed(validators, verifier, pre_prepare)
    digest = pre_prepare.digest
    voters = {pre_prepare.replica}
    for prepare in certificate.prepares:
        same = (prepare.view, prepare.sequence, prepare.digest) == (pre_prepare.view, pre_prepare.sequence, digest)
        if not same or prepare.replica in voters:
            raise Refusal("prepared_votes_differ")
        verify_signed(validators, verifier, prepare)
        voters.add(prepare.replica)
    if len(voters) < validators.quorum:
        raise Refusal("prepared_without_quorum")


def verify_view_change(state: State, message: ViewChange) -> None:
    """Check everything that a ViewChange claims. Raises Refusal."""
    low = state.validators.base
    if message.stable is not None:
        verify_stable(state.validators, message.stable)
        low = message.stable.height
    for certificate in message.prepared:
        pre_prepare = certificate.pre_prepare
        if not low < pre_prepare.sequence <= low + state.configuration.window:
            raise Refusal("prepared_outside_the_window", message.replica)
        if pre_prepare.view >= message.new_view:
            raise Refusal("prepared_in_a_later_view", message.replica)
        verify_prepared(state.validators, state.verifier, certificate)
