"""The ledger against the reference, a second reading of the rules: the same blocks, the same receipts, the same state.

A step of the machine is a real block of signed transactions. After each the two ledgers are compared in all that can
be seen, and what must hold at every height is checked; at the end time runs out for whatever was left open, and the
chain is replayed from its genesis.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ledger.modules.credits.operations import Transfer
from ledger.operations import default_registry
from tests.property.ledger_campaign import UNREACHED, LifeFailed, campaign, unreached
from tests.property.pairing_kit import FAULTS, OPERATIONS, PAUSES, Attempt, Pair, Step, random_genesis, random_steps
from tests.property.situations_kit import SITUATIONS
from tests.reference import ledger as reference
from tests.reference.state import Call
from tests.thoroughness import tries

CAMPAIGNS_MAX = 8
"""Of 6,000 operations each: two or three are enough as a rule."""
ATTEMPTS = st.builds(
    Attempt,
    st.sampled_from(["", "", "", "", *FAULTS]),
    st.lists(st.sampled_from(list(OPERATIONS)), min_size=1, max_size=3).map(tuple),
    st.integers(0, 2**32 - 1),
)
pytestmark = pytest.mark.timeout(300)  # half a minute on a free core, and another one's tests beside it
STEPS = st.builds(Step, st.sampled_from(PAUSES), st.integers(0, 2**32 - 1), st.lists(ATTEMPTS, max_size=5).map(tuple))


class Ledgers(RuleBasedStateMachine):
    """E1-E6, A6, A7: two ledgers, and anybody who does anything. They begin with some life in them."""

    pair: Pair

    @initialize(genesis=st.integers(0, 15), life=st.integers(0, 2**16), lineages=st.booleans(), ends=st.booleans())
    def begin(self, genesis: int, life: int, lineages: bool, ends: bool) -> None:
        self.pair = Pair(random_genesis(genesis, ends=ends), lineages=lineages, ends=ends)
        self.pair.run(random_steps(Random(life), 15))

    @rule(step=STEPS)
    def block(self, step: Step) -> None:
        self.pair.step(step)

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.pair.finish()
            self.pair.replay()


Ledgers.TestCase.settings = settings(max_examples=tries(25), stateful_step_count=30, deadline=None)
TestLedgers = Ledgers.TestCase


def test_short_campaigns_reach_every_operation() -> None:
    """E1-E6, A6, A7: thousands of operations, and each kind of them succeeds somewhere. Some need a rare situation, so
    there are as many campaigns as it takes, within a bound."""
    operations = 0
    outcomes: Counter[tuple[str, str]] = Counter()
    events: Counter[str] = Counter()
    for seed in range(1, CAMPAIGNS_MAX + 1):
        result = campaign(6_000, seed=seed)
        operations, outcomes, events = (
            operations + result.operations,
            outcomes + result.outcomes,
            events + result.events,
        )
        unmet = set(OPERATIONS) - {tag for tag, code in outcomes if not code}
        often = min(events["royalties.royalty_paid"], events["licenses.refunded"]) > 20
        if operations >= 12_000 and not unmet and often:
            break
    assert unmet == set()
    assert {code for tag, code in outcomes if tag == "transaction"} == set(FAULTS[:-1])
    assert events["royalties.royalty_paid"] > 20
    assert events["licenses.refunded"] > 20


def test_every_operation_and_deadline_of_the_ledger_has_a_reference_or_a_reason() -> None:
    registry = default_registry()
    tags = {reference.tag_of(operation) for operation in registry.handlers}
    modeled = {reference.tag_of(operation) for operation in reference.OPERATIONS}
    modeled.remove("decisions.decide")  # what the consortium has decided, without the votes
    assert (tags | set(registry.deadlines)) - modeled - set(reference.DEADLINES) == set(reference.NOT_MODELED)
    assert modeled <= tags
    assert set(reference.DEADLINES) <= set(registry.deadlines)
    assert set(SITUATIONS) == set(reference.OPERATIONS)


def test_the_reference_is_no_copy_of_what_it_judges() -> None:
    """It may know operations, ids and hashes; handlers, records and reads would make it agree with itself."""
    allowed = ("primitives.", "tests.reference", "ledger.genesis")
    foreign = []
    for path in sorted(Path(reference.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            ours = [name for name in names if name.split(".")[0] in ("ledger", "primitives", "tests", "node")]
            operations = [name for name in ours if name.startswith("ledger.modules.") and ".operations" in name]
            foreign += [
                f"{path.name}: {name}" for name in ours if name not in operations and not name.startswith(allowed)
            ]
    assert foreign == []


@pytest.mark.parametrize("table", ["balances", "owed", "grants", "deadlines", "assets", "accreditations", "statements"])
def test_a_difference_in_any_table_is_seen(table: str) -> None:
    keys: list[object] = []
    life = 0
    while not keys:
        pair = Pair(random_genesis(0))
        pair.run(random_steps(Random(life), 60))
        tables = vars(pair.state)
        keys = [key for key, value in tables[table].items() if value]
        life += 1
    key = keys[0]
    del tables[table][key]
    with pytest.raises((AssertionError, KeyError)):
        pair.compare()


def test_a_life_that_fails_is_shrunk_to_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign that finds a difference names the seed and a few steps that show it."""

    def generous(call: Call, operation: Transfer) -> None:
        call.state.balances[operation.recipient] = call.state.balances.get(operation.recipient, 0) + operation.amount

    monkeypatch.setitem(reference.OPERATIONS, Transfer, generous)
    with pytest.raises(LifeFailed, match=r"seed \d+: block \d+ of credits.transfer:") as caught:
        campaign(1_000, seed=3)
    steps = str(caught.value).split("reproduced by live(")[1]
    assert steps.count("Step(") == 1
    assert steps.count("Attempt(") == 1


def test_what_a_campaign_did_not_reach_is_told() -> None:
    counts: Counter[tuple[str, str]] = Counter(
        {("credits.transfer", ""): 1, ("credits.transfer", "credits.insufficient"): 2}
    )
    missing = unreached(counts)
    assert "credits.self_transfer" in missing
    assert "credits.insufficient" not in missing
    assert not set(UNREACHED) & set(missing)
