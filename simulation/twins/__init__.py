"""Twins: a Byzantine validator made of correct code, by running it twice with one key.

After Bano et al., "Twins: BFT Systems Made Robust" (2020). Two instances of one validator that are shown different
sides of a split network equivocate, contradict and forget, while every instance runs the production replica. Schedules
are generated, all of a small scope or a seeded sample of a large one. Guide: docs/twins.md.
"""

from simulation.twins.campaign import Result, Violation, run
from simulation.twins.laws import TwinsViolation
from simulation.twins.plans import Exhaustive, Listed, Plan, Sampled, read_plan
from simulation.twins.scenario import Restart, Round, Scenario, ScenarioError, Split, read_scenarios, write_scenarios
from simulation.twins.stage import Outcome, play

__all__ = [
    "Exhaustive",
    "Listed",
    "Outcome",
    "Plan",
    "Restart",
    "Result",
    "Round",
    "Sampled",
    "Scenario",
    "ScenarioError",
    "Split",
    "TwinsViolation",
    "Violation",
    "play",
    "read_plan",
    "read_scenarios",
    "run",
    "write_scenarios",
]
