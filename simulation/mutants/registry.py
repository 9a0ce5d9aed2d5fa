"""All mutants. Each is a mistake that somebody could make, in one or a few lines, with the runs that must catch it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulation.mutants.mutant import Mutant
from simulation.mutants.registry_liveness import LIVENESS
from simulation.mutants.registry_nodes import NODES
from simulation.mutants.registry_recovery import RECOVERY
from simulation.mutants.registry_signatures import SIGNATURES
from simulation.mutants.registry_views import VIEWS
from simulation.mutants.registry_votes import VOTES

MUTANTS: Final[Mapping[str, Mutant]] = {
    mutant.name: mutant for mutant in (*VOTES, *SIGNATURES, *VIEWS, *RECOVERY, *LIVENESS, *NODES)
}
"""Name -> mutant."""
