"""Stories that change when the protocol is broken: what each of them is for, shown by breaking it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from consensus_harness import Violation
from story import play

from consensus import evidence
from consensus.pbft import checkpoints, entering, leaving, new_view, ordering, recovery, slots, standing, view_change
from consensus.pbft.state import State
from consensus.validators import ValidatorSet

STORIES = Path(__file__).with_name("consensus")


def nothing(*given: Any, **named: Any) -> None:
    """A step that is left out."""


def open_at_once(state: State) -> bool:
    was_shut, state.gated = state.gated, False
    return was_shut


def votes_of_any_digest(slot: slots.Slot) -> set[int]:
    return set(slot.prepares) | ({slot.pre_prepare.replica} if slot.pre_prepare else set())


BROKEN: list[tuple[str, Any, str, Callable[..., Any] | property]] = [
    ("s02", slots.Slot, "preparers", votes_of_any_digest),
    ("s03", entering, "matches", lambda *given: True),
    ("s04", new_view, "verify_prepared", nothing),
    ("s05", leaving, "on_new_view_timeout", nothing),
    ("s07", view_change, "verify_view_change", nothing),
    ("s09", State, "verify", nothing),
    ("s12", checkpoints, "verify_stable", nothing),
    ("s13", checkpoints, "settle", checkpoints.adopt),
    ("s14", ValidatorSet, "quorum", property(lambda validators: 2 * validators.fault_bound + 1)),
    ("s15", ordering, "check_window", nothing),
    ("s18", evidence, "contradict", lambda *given: True),
    ("l05", ordering, "check_fresh", nothing),
    ("l06", checkpoints, "notice_lag", nothing),
    ("l09", leaving, "on_resend", nothing),
    ("l10", ValidatorSet, "weak_quorum", property(lambda validators: validators.fault_bound)),
    ("r02", recovery, "redo_accepted", nothing),
    ("r05", standing, "try_to_open", open_at_once),
    ("g03", checkpoints, "learn_end", nothing),
]


@pytest.mark.parametrize(("story", "where", "name", "instead"), BROKEN, ids=[f"{row[0]}-{row[2]}" for row in BROKEN])
def test_a_broken_replica_tells_another_story(
    story: str, where: Any, name: str, instead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transcript, or one that the referee stops."""
    (path,) = STORIES.glob(f"{story}_*.txt")
    told = path.read_text()
    monkeypatch.setattr(where, name, instead)
    try:
        happened = play(told)
    except (Violation, AssertionError, ValueError):
        return  # stopped by the referee, by an invariant, or by a line that makes no sense any more
    assert happened != told
