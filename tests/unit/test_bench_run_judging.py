"""What counts as a result: made-up runs whose every number is known."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy
import pytest

from benchmarks.generator.plan import Fate, Plan
from benchmarks.measurement.events import NodeEvents, read_events
from benchmarks.results.parquet import write_tables
from benchmarks.results.schema import Configuration, VerifyUnit
from benchmarks.running.checks import ChainPart, disagreement, find
from benchmarks.running.evidence import Evidence, Requests
from benchmarks.running.judging import Judgement
from benchmarks.running.sampling import Sample

SECOND = 1_000_000_000
BEGAN = 100 * SECOND
UNIT = VerifyUnit(50.0, 50.0, (50.0,), (50.0,))


def identifier(number: int) -> bytes:
    return number.to_bytes(32, "big")


def rows(numbers: list[int]) -> Any:
    return numpy.frombuffer(b"".join(map(identifier, numbers)), dtype=numpy.uint8).reshape(-1, 32)


def chain(blocks: list[list[int]], refused: dict[int, str] | None = None) -> ChainPart:
    """Block `at` has height `at` + 1."""
    heights = list(range(1, len(blocks) + 1))
    return ChainPart(
        heights=heights,
        hashes=[identifier(height) for height in heights],
        state_roots=[identifier(1_000 + height) for height in heights],
        ids=rows([number for block in blocks for number in block]),
        height_of=numpy.repeat(numpy.array(heights), [len(block) for block in blocks]),
        refused=refused or {},
    )


def evidence(
    blocks: list[list[int]],
    *,
    count: int = 10,
    fates: dict[int, int] | None = None,
    configuration: dict[str, Any] | None = None,
    sent_late_ns: int = 1_000_000,
    generator_cpu_s: float = 0.1,
    lost_memory_ns: dict[int, list[int]] | None = None,
    refused: dict[int, str] | None = None,
    starved: int = 0,
    outstanding: int = 0,
) -> Evidence:
    """`count` transactions, each in a request of its own, one every 100 ms from the beginning of the measured part;
    block h is certified at (h - 1) x 500 ms + 400 ms after it. Validators take turns."""
    asked = Configuration(
        **{
            "warmup_s": 0.0,
            "duration_s": 1.0,
            "batch_submit": 1,
            "validators": 2,
            "rate": 10.0,
            **(configuration or {}),
        }
    )
    due = BEGAN + numpy.arange(count, dtype=numpy.int64) * (SECOND // 10)
    fate = numpy.full(count, Fate.ACKNOWLEDGED, dtype=numpy.uint8)
    for at, value in (fates or {}).items():
        fate[at] = value
    certified = [(BEGAN + at * SECOND // 2 + 2 * SECOND // 5, at + 1) for at in range(len(blocks))]
    events = {
        node: NodeEvents(
            {
                height: {"batches": [1, 2], "proposer": 0, "decided": at, "executed": at, "bytes": 0}
                for at, height in certified
            },
            list(certified),
            {},
            [],
        )
        for node in range(2)
    }
    return Evidence(
        plan=Plan(asked, bytes(32), 120_000, ("a",), bytes(16), ("", ""), b"\x80", 10.0, outstanding, False),
        requests=Requests(
            due_ns=due,
            sent_ns=due + sent_late_ns,
            answered_ns=due + sent_late_ns + 2_000_000,
            node=(numpy.arange(count) % 2).astype(numpy.int8),
            fate=fate,
            ids=rows(list(range(count))),
            operations=numpy.full(count, 3, dtype=numpy.uint16),
        ),
        codes=("pool.full",),
        starved=starved,
        began_ns=BEGAN,
        samples={"generator": [Sample(BEGAN, 5.0, 1), Sample(BEGAN + SECOND, 5.0 + generator_cpu_s, 1)]},
        node_events=events,
        heard=[],
        chains={0: chain(blocks, refused), 1: chain(blocks, refused)},
        disturbed=frozenset(),
        lost_memory_ns=lost_memory_ns or {},
        marks=(),
    )


def test_everything_is_found_once_and_counted_where_it_belongs() -> None:
    judgement = Judgement(evidence([[0, 1, 2], [3, 4], [5, 6, 7, 8, 9]]))
    checks, throughput = judgement.checks(), judgement.throughput(UNIT, cores=2)
    assert (checks.acknowledged, checks.found_once, checks.missing, checks.twice) == (10, 10, 0, 0)
    assert checks.agreed_height == 3
    # Blocks 1 and 2 are certified at 400 and 900 ms, block 3 after the end.
    assert (throughput.transactions, throughput.operations, throughput.blocks_per_s) == (5, 15, 2.0)
    assert throughput.transactions_per_batch == 1.5
    assert throughput.utilization == pytest.approx(5 * 2 * 50.0 / (2 * 1e6))
    latency = judgement.end_to_end()
    assert (latency.count, latency.max) == (10, 900_000)  # due at 500 ms, certified at 1,400 ms
    assert judgement.submission().p50 == pytest.approx(2_000, rel=0.01)
    assert [second.committed for second in judgement.series()] == [5]
    assert judgement.generator(cores=2).missed is False
    assert judgement.errors == []


def test_an_acknowledged_transaction_that_is_in_no_block_fails_the_run() -> None:
    judgement = Judgement(evidence([[0, 1, 2, 3, 4], [5, 6, 7, 8]]))
    assert judgement.checks().missing == 1
    assert "1 acknowledged transactions are in no block" in judgement.errors


def test_a_transaction_that_is_in_blocks_twice_fails_the_run() -> None:
    judgement = Judgement(evidence([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 2]]))
    checks = judgement.checks()
    assert (checks.found_once, checks.missing, checks.twice) == (9, 0, 1)
    assert "1 transactions are in blocks twice" in judgement.errors


def test_what_was_refused_or_never_answered_is_promised_to_nobody() -> None:
    fates = {3: Fate.REFUSED, 4: Fate.UNANSWERED, 5: Fate.UNANSWERED}
    judgement = Judgement(evidence([[0, 1, 2, 5], [6, 7, 8, 9]], fates=fates))
    checks = judgement.checks()
    assert (checks.acknowledged, checks.missing) == (7, 0)
    assert judgement.refused() == {"pool.full": 1, "connection.lost": 1}  # the fifth is in a block nevertheless
    assert judgement.errors == []


def test_what_only_a_killed_validator_had_taken_may_be_lost() -> None:
    # Validator 1 took 1, 3, 5, ...; it was killed after 450 ms.
    judgement = Judgement(evidence([[0, 2, 3], [4, 5, 6, 7, 8, 9]], lost_memory_ns={1: [BEGAN + 450_000_000]}))
    checks = judgement.checks()
    assert (checks.acknowledged, checks.missing) == (8, 0)
    assert judgement.refused() == {"node.lost": 1}


def test_a_refusing_receipt_is_a_failure_and_no_throughput() -> None:
    judgement = Judgement(evidence([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], refused={1: "credits.insufficient"}))
    assert judgement.throughput(UNIT, 2).transactions == 9
    assert judgement.end_to_end().count == 9
    assert judgement.refused() == {"credits.insufficient": 1}


@pytest.mark.parametrize("changed", ["hash", "root", "ids", "height"])
def test_chains_that_differ_are_seen(changed: str) -> None:
    one, other = chain([[0, 1], [2]]), chain([[0, 1], [2]])
    other = {
        "hash": other._replace(hashes=[*other.hashes[:1], identifier(99)]),
        "root": other._replace(state_roots=[*other.state_roots[:1], identifier(99)]),
        "ids": other._replace(ids=rows([0, 1, 3])),
        "height": chain([[0, 1], [2], []]),
    }[changed]
    assert disagreement({0: one, 1: chain([[0, 1], [2]])}) == ""
    assert "validators 0 and 1" in disagreement({0: one, 1: other})
    made = msgspec.structs.replace(evidence([[0, 1], [2]], count=3), chains={0: one, 1: other})
    judgement = Judgement(made)
    assert judgement.checks().agreed_height == 0
    assert any("the chain has split" in error for error in judgement.errors)


def test_a_generator_that_sends_too_late_has_missed_its_rate() -> None:
    judgement = Judgement(evidence([[0]], sent_late_ns=SECOND))
    generator = judgement.generator(cores=2)
    assert generator.missed
    assert generator.sent < generator.intended == 10
    assert any("missed its rate" in error for error in judgement.errors)


def test_a_generator_with_nothing_left_to_send_fails_a_saturated_run() -> None:
    judgement = Judgement(evidence([[0]], starved=3, outstanding=100))
    assert judgement.generator(cores=2).missed
    assert judgement.errors == ["the generator had nothing signed to send"]


def test_a_generator_that_takes_too_much_of_the_processors_fails_the_run() -> None:
    judgement = Judgement(evidence([[0]], generator_cpu_s=0.25))
    assert judgement.generator(cores=2).cpu_share == pytest.approx(0.125)
    assert any("12.5% of the processors" in error for error in judgement.errors)


def test_ids_are_found_whole() -> None:
    """Ids that begin alike, or are all zeros, are told apart."""
    found = find(rows([0, 256, 7]), rows([256, 0, 8, 8]))
    assert (found.once, found.missing, found.twice) == (2, 1, 1)
    assert found.row.tolist() == [1, 0, -1]
    assert find(rows([]), rows([])).once == 0


def test_raw_events_have_a_row_for_each_of_their_kind(tmp_path: Any) -> None:
    import polars

    judgement = Judgement(evidence([[0, 1, 2], [3]], fates={9: Fate.UNANSWERED}))
    paths = {path.stem: polars.read_parquet(path) for path in write_tables(tmp_path, judgement)}
    assert {name: len(table) for name, table in paths.items()} == {
        "requests": 10,
        "transactions": 10,
        "blocks": 4,
        "processes": 2,
    }
    assert paths["transactions"]["height"].to_list() == [1, 1, 1, 2, *[None] * 6]
    assert paths["transactions"]["committed_us"].to_list()[:4] == [400_000, 400_000, 400_000, 900_000]
    assert paths["transactions"]["intended_us"].to_list()[:2] == [0, 100_000]


def test_events_of_a_killed_node_are_read_without_their_torn_line(tmp_path: Any) -> None:
    path = tmp_path / "events.jsonl"
    lines = [
        {"event": "block", "height": 4, "batches": [2]},
        {"event": "certified", "height": 4, "at": 10},
        {"event": "certified", "height": 6, "at": 20},
        {"event": "proposed", "height": 4, "at": 5},
        {"event": "proposed", "height": 4, "at": 9},
        {"event": "second", "dropped": 2},
    ]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)) + b'\n{"event": "blo')
    events = read_events(path)
    assert events.certified_at() == {4: 10, 5: 20, 6: 20}
    assert events.proposed == {4: 5}
    assert (list(events.blocks), events.dropped) == ([4], 2)
    assert read_events(tmp_path / "none").blocks == {}
