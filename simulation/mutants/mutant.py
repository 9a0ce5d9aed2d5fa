"""What a mutant is: a name, what it breaks, the edits that make it, and the runs that are to catch it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from simulation.mutants.patching import Edit

Runs: TypeAlias = Literal["replicas", "stories", "nodes"]
"""Hostile seeds of bare replicas; seeded stories about progress; hostile seeds of whole nodes."""


class Mutant(msgspec.Struct, frozen=True):
    name: str
    breaks: str
    """In words: the rule that is gone."""
    edits: tuple[Edit, ...]
    runs: Runs = "replicas"
    story: str = ""
    """With `stories`: the one that must catch it."""


def mutant(name: str, breaks: str, *edits: tuple[str, str, str], runs: Runs = "replicas", story: str = "") -> Mutant:
    """Return a mutant; its edits are (target, old, new)."""
    return Mutant(name, breaks, tuple(Edit(*edit) for edit in edits), runs, story)
