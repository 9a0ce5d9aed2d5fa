"""Mistakes in what is written before it is promised, read back, kept and believed after a restart."""

from __future__ import annotations

from typing import Final

from simulation.mutants.mutant import Mutant, mutant

_ORDERING: Final = "consensus.pbft.ordering:"
_RECOVERY: Final = "consensus.pbft.recovery:"

RECOVERY: Final[tuple[Mutant, ...]] = (
    mutant(
        "prepare-sent-before-written",
        "a prepare leaves before its record",
        (
            _ORDERING + "accept",
            "        state.persist(Accepted(pre_prepare, prepare))\n        state.broadcast(prepare)",
            "        state.broadcast(prepare)\n        state.persist(Accepted(pre_prepare, prepare))",
        ),
    ),
    mutant(
        "prepare-not-written",
        "a prepare is never written",
        (_ORDERING + "accept", "        state.persist(Accepted(pre_prepare, prepare))", "        pass"),
    ),
    mutant(
        "commit-sent-before-written",
        "a commit leaves before its certificate is written",
        (
            _ORDERING + "commit_prepared",
            "    state.persist(Prepared(certificate, commit))\n    state.broadcast(commit)",
            "    state.broadcast(commit)\n    state.persist(Prepared(certificate, commit))",
        ),
    ),
    mutant(
        "view-change-not-written",
        "a ViewChange is never written",
        ("consensus.pbft.leaving:ask", "state.persist(AskedForView(view_change))", "pass"),
    ),
    mutant(
        "view-not-written",
        "a view is entered without a record",
        ("consensus.pbft.entering:enter", "state.persist(EnteredView(new_view, tuple(named)))", "pass"),
    ),
    mutant(
        "checkpoint-not-written",
        "a seal is never written",
        ("consensus.pbft.checkpoints:sign_checkpoint", "state.persist(SignedCheckpoint(checkpoint))", "pass"),
    ),
    mutant(
        "batch-not-written",
        "an own batch leaves before it is written",
        ("consensus.pbft.batches:author_batches", "state.persist(HeldBatch(batch))", "pass"),
    ),
    mutant(
        "held-batch-not-written",
        "a vote follows batches that are held in memory only",
        ("consensus.pbft.batches:receive_batch", "state.persist(HeldBatch(batch))", "pass"),
    ),
    mutant(
        "accepted-forgotten",
        "accepted proposals are not read back",
        (_RECOVERY + "apply", "redo_accepted(state, record)", "pass"),
    ),
    mutant(
        "prepared-forgotten",
        "prepared certificates are not read back",
        (_RECOVERY + "apply", "redo_prepared(state, record)", "pass"),
    ),
    mutant(
        "view-change-forgotten",
        "the promise to vote in no older view is not read back",
        (
            _RECOVERY + "redo_asked",
            "state.may_vote_from_view = max(state.may_vote_from_view, view_change.new_view)",
            "pass",
        ),
        (_RECOVERY + "redo_asked", "if view_change.new_view > state.view:", "if False:"),
    ),
    mutant(
        "entered-view-forgotten",
        "the view is not read back",
        (_RECOVERY + "apply", "redo_entered(state, record)", "pass"),
    ),
    mutant(
        "positions-reused",
        "positions begin anew after a restart",
        (_RECOVERY + "note_own", "state.position = max(state.position, position)", "pass"),
        (_RECOVERY + "apply", "state.position = max(state.position, position)", "pass"),
    ),
    mutant(
        "batch-numbers-reused",
        "batch numbers begin anew after a restart",
        (_RECOVERY + "apply", "state.own_number = max(state.own_number, batch.number)", "pass"),
        (_RECOVERY + "apply", "state.own_number = max(state.own_number, own_number)", "pass"),
    ),
    mutant(
        "own-commit-forgotten",
        "a commit is not read back with its certificate, and signed again",
        (_RECOVERY + "redo_prepared", "slot.own_commit = commit", "pass"),
    ),
    mutant(
        "truncated-votes",
        "a truncated log keeps no accepted proposals",
        (_RECOVERY + "retained", "if slot.pre_prepare is not None:", "if False:"),
    ),
    mutant(
        "truncated-certificates",
        "a truncated log keeps no prepared certificates",
        (_RECOVERY + "retained", "for sequence in sorted(state.prepared):", "for sequence in ():"),
    ),
    mutant(
        "truncated-wish",
        "a truncated log keeps no ViewChange",
        (_RECOVERY + "retained", "if state.own_view_change is not None:", "if False:"),
    ),
    mutant(
        "truncated-view",
        "a truncated log keeps no NewView",
        (_RECOVERY + "retained", "if state.new_view is not None:", "if False:"),
    ),
    mutant(
        "truncated-position",
        "a truncated log forgets the last position and batch number",
        (_RECOVERY + "retained", "LastPosition(state.position, state.own_number)", "LastPosition(0, 0)"),
    ),
    mutant(
        "truncated-batches",
        "a truncated log keeps no batches",
        (_RECOVERY + "retained", "for _, batch in sorted(state.batches.items())", "for _, batch in ()"),
    ),
    mutant(
        "gate-left-open",
        "a replica votes after a start without asking what others know of it",
        ("consensus.pbft.state:State.silent", "self.gated or self.lost or self.outdated_by > 0", "self.lost"),
        runs="stories",
        story="lost-log",
    ),
    mutant(
        "gate-opens-alone",
        "the first Status opens the gate",
        (
            "consensus.pbft.standing:try_to_open",
            "len(state.agreeing) + 1 < state.validators.quorum",
            "not state.agreeing",
        ),
        runs="stories",
        story="lost-log",
    ),
    mutant(
        "claims-about-others",
        "a Status that was meant for another is taken for a claim about oneself",
        ("consensus.pbft.standing:hear", " or status.receiver != state.replica_id", ""),
        runs="stories",
        story="misdirected-status",
    ),
    mutant(
        "one-claim-silences",
        "a replica believes one other that its log is too short",
        (
            "consensus.pbft.standing:hear",
            "if len(state.claiming) >= state.validators.weak_quorum:",
            "if state.claiming:",
        ),
    ),
)
