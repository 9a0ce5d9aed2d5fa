"""Which behaviors a liar shows together, drawn from a seed and drawn again as time goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from simulation.byzantine import conduct, views, voting
from simulation.byzantine.liar import Behavior

BEHAVIORS: Final[Mapping[str, type[Behavior]]] = {
    behavior.name: behavior
    for behavior in (
        voting.Equivocation,
        voting.FalseProposals,
        voting.EagerVotes,
        voting.ForgedVotes,
        voting.ForgedAuthority,
        voting.OtherWorlds,
        voting.CrossedVotes,
        voting.StolenContents,
        voting.WrongBlocks,
        views.FalseViewChanges,
        views.FalseNewViews,
        views.HugeViews,
        views.LyingStatus,
        conduct.Silence,
        conduct.Favor,
        conduct.Delay,
        conduct.Censorship,
        conduct.Withholding,
        conduct.Replay,
        conduct.MisdirectedStatus,
        conduct.JunkBatches,
        conduct.Mutation,
        conduct.FarSequences,
        conduct.Noise,
        conduct.Begging,
    )
}
"""Name -> behavior."""
RARE: Final = frozenset({"silence", "noise", "delay"})
"""Behaviors that hide the others, or cost time and find little; drawn less often."""
TOGETHER_MAX: Final = 4

Draw = Callable[[random.Random], list[Behavior]]


def draw_any(chance: random.Random) -> list[Behavior]:
    """Draw up to four behaviors and how strong each is; sometimes none, for a while of good conduct."""
    names = [name for name in BEHAVIORS if name not in RARE or chance.random() < 0.3]
    chosen = chance.sample(names, chance.randint(0, TOGETHER_MAX))
    return [BEHAVIORS[name](chance.choice([0.1, 0.3, 1.0])) for name in sorted(chosen)]


def keep_to_few(seed: int) -> Draw:
    """Draw from the same one to three behaviors all the time, fully: some lies need persistence."""
    chosen = random.Random(f"few {seed}").sample(sorted(BEHAVIORS), random.Random(seed).randint(1, 3))

    def draw(chance: random.Random) -> list[Behavior]:
        return [BEHAVIORS[name]() for name in sorted(chosen) if chance.random() < 0.9]

    return draw


def always(*names: str) -> Draw:
    """Draw these behaviors, always and fully."""
    return lambda _chance: [BEHAVIORS[name]() for name in names]
