"""The cost of each operation: every operation of the ledger has an entry, and every entry measures what it says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.errors import BenchError
from benchmarks.micro import operation_costs
from benchmarks.micro.operation_costs import (
    BlockCost,
    Cost,
    Unit,
    block_table,
    handler_table,
    main,
    measure_blocks,
    measure_handler,
)
from benchmarks.micro.operation_entries import check_complete, prepare
from benchmarks.micro.operation_entry import ENTRIES, Ready, entry
from benchmarks.micro.operation_world import World
from ledger.execution import BlockExecutor
from ledger.modules.credits.operations import Transfer
from ledger.modules.fields import Operation
from ledger.modules.module import OWNERS, Context, Module, Rule
from ledger.operations import Registry, default_registry


class Mystery(Operation, frozen=True, tag="mystery.solve"):
    pass


def solve(_context: Context, _operation: Mystery) -> None:
    pass


def extended() -> Registry:
    """The registry with an operation that nobody has prepared."""
    base = default_registry()
    rule = Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False)
    more = Module(name="mystery", operations={Mystery: solve}, rules={Mystery: rule})
    return Registry([*base.modules, more], standing=base.standing)


@pytest.fixture
def entries() -> Iterator[None]:
    before = dict(ENTRIES)
    yield
    ENTRIES.clear()
    ENTRIES.update(before)


def test_every_operation_of_the_ledger_has_an_entry() -> None:
    check_complete(default_registry())


def test_an_operation_without_an_entry_is_named() -> None:
    with pytest.raises(BenchError) as caught:
        check_complete(extended())
    assert caught.value.code == "operation_costs.incomplete"
    assert "mystery.solve" in caught.value.message
    assert "operation_entries_*.py" in caught.value.message


def test_an_entry_without_an_operation_is_named(entries: None) -> None:
    entry("mystery.solve")(lambda world: Ready(world.accounts["alder"], Mystery()))
    with pytest.raises(BenchError) as caught:
        check_complete(default_registry())
    assert "mystery.solve" in caught.value.message
    check_complete(extended())


@pytest.mark.parametrize(("tag", "variant"), list(ENTRIES))
def test_every_entry_executes_again_and_again_from_the_same_state(tag: str, variant: str) -> None:
    world, ready = prepare(default_registry(), tag, variant)
    handler, view = world.registry.handlers[type(ready.operation)], world.settled_view()
    for _ in range(3):
        view.set_savepoint()
        handler(world.context(view, ready.sender, world.fresh_id()), ready.operation)
        assert view.changes()
        view.roll_back()
        assert view.changes() == {}


def test_a_measurement_counts_every_sample() -> None:
    cost = measure_handler(default_registry(), "credits.transfer", "", 60, Unit())
    assert 0 < cost.median <= cost.p95 <= cost.worst
    assert cost.keys == 3  # two balances, and the flow between two organizations


def test_an_entry_that_is_refused_stops_the_measurement(entries: None) -> None:
    ENTRIES["credits.transfer", ""] = lambda world: Ready(
        world.accounts["alder"], Transfer(world.accounts["birch"], 2**62)
    )
    with pytest.raises(BenchError) as caught:
        measure_handler(default_registry(), "credits.transfer", "", 5, Unit())
    assert caught.value.code == "operation_costs.refused"
    assert "credits.insufficient" in caught.value.message


def test_an_entry_for_another_operation_is_a_mistake(entries: None) -> None:
    ENTRIES["credits.transfer", ""] = ENTRIES["assets.commit", ""]
    with pytest.raises(BenchError) as caught:
        prepare(default_registry(), "credits.transfer", "")
    assert caught.value.code == "operation_costs.entry"


def test_a_preparation_that_fails_names_the_operation() -> None:
    world = World(default_registry())
    with pytest.raises(BenchError) as caught:
        world.do("alder", Transfer(world.accounts["birch"], 2**62))
    assert caught.value.message.startswith("credits.transfer: ")


@pytest.mark.parametrize("purchases", [False, True])
def test_whole_blocks_cost_executor_tree_and_disk(purchases: bool) -> None:
    run = BlockExecutor.run
    cost = measure_blocks(purchases=purchases, blocks=1, transactions=8, accounts=40, unit=Unit())
    assert min(cost.executor, cost.executor_checking, cost.tree_per_key, cost.disk_per_key) > 0
    assert cost.keys > 1
    assert BlockExecutor.run is run


def test_tables_show_the_dearest_first_and_every_figure() -> None:
    table = handler_table([Cost("a.b", "", 0.1, 0.2, 3.0, 4), Cost("c.d", "twice", 0.5, 0.6, 7.0, 8)])
    assert table.splitlines()[2:] == ["| `c.d` twice | 0.50 | 0.60 | 7.0 | 8 |", "| `a.b` | 0.10 | 0.20 | 3.0 | 4 |"]
    assert "| 1.17 |" in block_table([BlockCost("purchase", 1.17, 2.2, 2.0, 0.1, 0.05)])


def test_the_command_says_what_is_above_the_bound(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--samples", "30", "--only", "development.advance_clock"]) == 0
    assert "`development.advance_clock`" in capsys.readouterr().out
    monkeypatch.setattr(operation_costs, "MEDIAN_MAX", 0.0)
    assert main(["--samples", "30", "--only", "development.advance_clock"]) == 1
    assert "above the bound" in capsys.readouterr().out
