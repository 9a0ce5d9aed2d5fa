"""The judge is judged: mistakes put into the protocol on purpose are caught. All of them: `make mutants`."""

from __future__ import annotations

import pytest

from simulation.mutants.detect import catch_in_range
from simulation.mutants.patching import Edit, EditDoesNotFit, patched, resolve
from simulation.mutants.registry import MUTANTS

# One of each kind, among those that few seeds show.
QUICK = {
    "quorum-one-less": "I4",
    "prepare-sent-before-written": "I6",
    "prepare-before-batches": "I6",
    "network-not-signed": "I4",
    "batch-unverified": "I15",
    "checkpoint-not-written": "I6",
    "truncated-votes": "R1",
    "votes-while-leaving": "I5",
    "lowest-checkpoint-wins": "I8",
    "lowest-view-wins": "I8",
    "out-of-order-acceptance": "I2",
    "divergence-ignored": "S13",
    "accused-before-verified": "I15",
    "watermarks-ignored": "I13",
    "weak-quorum-one-less": "R6",
    "one-replica-moves-all": "L10",
    "stale-new-view": "I7",
    "gate-left-open": "I5",
    "claims-about-others": "R6",
    "view-change-sent-once": "I14",
    "timeout-not-doubled": "I14",
}
"""Mutant -> the law that it breaks first."""


@pytest.mark.parametrize("name", QUICK)
def test_a_mistake_is_caught_by_the_law_that_it_breaks(name: str) -> None:
    """I1-I15, the checkers' own test."""
    catch = catch_in_range(MUTANTS[name], 0, 60)
    assert catch is not None
    assert catch.by.split(":")[0] == QUICK[name]


def test_every_mutant_fits_the_source_and_leaves_no_trace() -> None:
    """A mutant whose edit no longer fits would be caught by nothing and missed by nobody."""
    assert len(MUTANTS) >= 30
    for mutant in MUTANTS.values():
        before = [resolve(edit.target).__code__ for edit in mutant.edits]
        with patched(mutant.edits):
            during = [resolve(edit.target).__code__ for edit in mutant.edits]
        assert all(one != other for one, other in zip(before, during, strict=True)), mutant.name
        assert [resolve(edit.target).__code__ for edit in mutant.edits] == before, mutant.name


@pytest.mark.parametrize(
    ("target", "old"),
    [
        ("primitives.quorum:quorum", "no such words"),
        ("primitives.quorum:no_such_function", "n"),
        ("primitives.quorum:quorum", "n"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(target: str, old: str) -> None:
    """Not there, no such function, or there more than once."""
    with pytest.raises(EditDoesNotFit), patched([Edit(target, old, "x")]):
        pass
