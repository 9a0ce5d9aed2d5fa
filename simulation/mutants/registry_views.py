"""Mistakes in leaving and beginning views."""

from __future__ import annotations

from typing import Final

from simulation.mutants.mutant import Mutant, mutant

_ENTERING: Final = "consensus.pbft.entering:"
_NEW_VIEW: Final = "consensus.pbft.new_view:"
_VIEW_CHANGE: Final = "consensus.pbft.view_change:"

VIEWS: Final[tuple[Mutant, ...]] = (
    mutant(
        "weak-quorum-one-less",
        "f replicas are taken for f + 1",
        ("primitives.quorum:weak_quorum", "fault_bound(n) + 1", "max(1, fault_bound(n))"),
    ),
    mutant(
        "one-replica-moves-all",
        "a replica joins the highest view that anyone asks for",
        (_VIEW_CHANGE + "view_to_join", "wishes[state.validators.weak_quorum - 1]", "wishes[0]"),
        (_VIEW_CHANGE + "view_to_join", "len(wishes) >= state.validators.weak_quorum", "wishes"),
    ),
    mutant(
        "view-falls",
        "a NewView of a view that is over begins it again",
        (_ENTERING + "receive_new_view", "if message.view <= state.view:", "if message.view == state.view:"),
        (_ENTERING + "receive_new_view", "if message.view < state.may_vote_from_view:", "if False:"),
        (_ENTERING + "try_new_view", "if message.view < state.may_vote_from_view:", "if False:"),
    ),
    mutant(
        "stale-new-view",
        "a NewView below the view that was promised is entered",
        (_ENTERING + "receive_new_view", "if message.view < state.may_vote_from_view:", "if False:"),
        (_ENTERING + "try_new_view", "if message.view < state.may_vote_from_view:", "if False:"),
        (
            _ENTERING + "begin",
            "state.may_vote_from_view = max(state.may_vote_from_view, new_view.view)",
            "state.may_vote_from_view = new_view.view",
        ),
    ),
    mutant(
        "new-view-of-anyone",
        "a NewView is taken from whoever signs it",
        (_ENTERING + "receive_new_view", "if state.validators.primary(message.view) != message.replica:", "if False:"),
    ),
    mutant(
        "new-view-without-quorum",
        "a NewView may name as few ViewChanges as it likes",
        (
            _ENTERING + "receive_new_view",
            "if len(message.view_changes) < state.validators.quorum:",
            "if False:",
        ),
    ),
    mutant(
        "new-view-of-other-views",
        "a NewView may name ViewChanges for other views",
        (
            _ENTERING + "try_new_view",
            "(held.replica, held.new_view) != (replica, message.view)",
            "held.replica != replica",
        ),
    ),
    mutant(
        "leads-by-other-views",
        "a primary begins its view with ViewChanges for higher ones",
        (_ENTERING + "lead", "if vc.new_view == view)", "if vc.new_view >= view)"),
    ),
    mutant(
        "leads-by-one-less",
        "a primary begins its view with one ViewChange too few",
        (_ENTERING + "lead", "< state.validators.quorum:", "< state.validators.quorum - 1:"),
    ),
    mutant(
        "new-view-not-recomputed",
        "a backup believes what a NewView re-issues",
        (_ENTERING + "try_new_view", "if not matches(state, message, reissue):", "if False:"),
    ),
    mutant(
        "lowest-view-wins",
        "of two prepared certificates the older is re-issued",
        (
            _NEW_VIEW + "compute",
            "certificate.pre_prepare.view > known.pre_prepare.view",
            "certificate.pre_prepare.view < known.pre_prepare.view",
        ),
        runs="stories",
        story="two-certificates",
    ),
    mutant(
        "any-view-wins",
        "of two prepared certificates the first that comes is re-issued",
        (
            _NEW_VIEW + "compute",
            "(known is None or certificate.pre_prepare.view > known.pre_prepare.view)",
            "known is None",
        ),
        runs="stories",
        story="two-certificates",
    ),
    mutant(
        "null-proposal-ignored",
        "sequences at which nothing was prepared are left out of a NewView",
        (_NEW_VIEW + "compute", "for sequence in range(lowest + 1, top + 1)", "for sequence in sorted(best)"),
    ),
    mutant(
        "lowest-checkpoint-wins",
        "a new view begins at the lowest stable checkpoint",
        (_NEW_VIEW + "compute", "stable = max((vc.stable", "stable = min((vc.stable"),
    ),
    mutant(
        "prepared-of-later-views",
        "a ViewChange may show certificates of views that it does not leave",
        (_NEW_VIEW + "verify_view_change", "if pre_prepare.view >= message.new_view:", "if False:"),
    ),
    mutant(
        "prepared-outside-the-window",
        "a ViewChange may show certificates of any sequence",
        (_NEW_VIEW + "verify_view_change", "if not low < pre_prepare.sequence <= low + window:", "if False:"),
    ),
    mutant(
        "view-change-certificates-unchecked",
        "prepared certificates in a ViewChange are believed",
        (_NEW_VIEW + "verify_view_change", "verify_prepared(validators, verifier, certificate)", "pass"),
    ),
    mutant(
        "view-change-checkpoint-unchecked",
        "the stable checkpoint in a ViewChange is believed",
        (_NEW_VIEW + "verify_view_change", "if message.stable is not None:", "if False:"),
    ),
    mutant(
        "votes-while-leaving",
        "a replica that asked for a view goes on voting in the old one",
        (
            "consensus.pbft.state:State.may_vote",
            "not self.silent and not self.changing_view and self.view >= self.may_vote_from_view",
            "not self.silent",
        ),
    ),
    mutant(
        "prepared-left-out",
        "a ViewChange shows what is prepared in the current view only",
        (
            "consensus.pbft.leaving:ask",
            "if sequence > state.low)",
            "if sequence > state.low and state.prepared[sequence].pre_prepare.view == state.view)",
        ),
    ),
    mutant(
        "prepared-forgotten-with-the-view",
        "prepared certificates are dropped when a view begins",
        (_ENTERING + "begin", "    state.slots = {}", "    state.slots = {}\n    state.prepared = {}"),
    ),
)
