"""Requests signed ahead: the same seed signs the same, expiries leave room, and what was sent is gone from the disk."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import msgspec
import numpy
import pytest

from benchmarks.generator.plan import AHEAD_MAX, Plan, read_plan, write_plan
from benchmarks.generator.process import SATURATED_SHARE, Stock
from benchmarks.generator.signing import Chunk, SignedChunk, Signer, chunk_identities, chunks_of, write_chunk
from benchmarks.results.schema import Configuration
from ledger.transaction import decode_transaction

NETWORK = bytes(range(32))


def plan(**changed: object) -> Plan:
    asked = Configuration(workload="transfers", accounts=10, batch_submit=3, warmup_s=0.0, duration_s=2.0)
    made = Plan(asked, NETWORK, 120_000, ("a", "b"), bytes(16), (), b"\x80", 30.0, 0, False)
    return msgspec.structs.replace(made, **changed)


def signed(directory: Path, made: Plan, chunk: Chunk, expires_at_ms: int = 7_000) -> list[bytes]:
    directory.mkdir()
    expiries = numpy.full(chunk.requests, expires_at_ms, dtype=numpy.int64)
    write_chunk(Signer(made), made, directory, chunk, expiries)
    found = SignedChunk(directory, chunk)
    requests = range(chunk.first, chunk.first + chunk.requests)
    return [data for at in requests for data in msgspec.msgpack.decode(found.body(at), type=list[bytes])]


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    made = plan(urls=("http://127.0.0.1:1",))
    write_plan(tmp_path, made)
    assert read_plan(tmp_path) == made


def test_chunks_cover_every_request_once() -> None:
    chunks = chunks_of(plan(), 50_000)
    assert [chunk.first for chunk in chunks] == list(numpy.cumsum([0, *(chunk.requests for chunk in chunks[:-1])]))
    assert sum(chunk.requests for chunk in chunks) == 50_000


def test_the_same_index_signs_the_same_however_requests_are_cut(tmp_path: Path) -> None:
    whole = signed(tmp_path / "whole", plan(), Chunk(0, 0, 4))
    later = signed(tmp_path / "later", plan(), Chunk(1, 2, 2))
    assert whole[6:] == later
    assert len(set(whole)) == 12
    other = plan(configuration=msgspec.structs.replace(plan().configuration, seed=2))
    assert not set(signed(tmp_path / "other", other, Chunk(0, 0, 4))) & set(whole)


def test_what_is_signed_verifies_and_its_id_is_kept(tmp_path: Path) -> None:
    transactions = signed(tmp_path / "chunk", plan(), Chunk(3, 5, 2), 9_999)
    ids, operations = chunk_identities(tmp_path / "chunk", Chunk(3, 5, 2))
    for row, data in enumerate(transactions):
        decoded = decode_transaction(data)
        assert decoded.verify()
        assert decoded.body.expires_at_ms == 9_999
        assert decoded.id == ids[row].tobytes()
    assert operations.tolist() == [1] * 6
    assert not (tmp_path / "chunk" / "chunk-3.bodies").exists()


@pytest.mark.parametrize("outstanding", [0, 100])
def test_expiries_count_from_when_a_request_is_due(tmp_path: Path, outstanding: int) -> None:
    made = plan(outstanding=outstanding)
    due_ns = numpy.arange(10, dtype=numpy.int64) * 1_000_000_000
    stock = Stock(made, tmp_path, due_ns)
    stock._base_ms = base_ms = 2**52  # beyond now
    found = stock._expiries(Chunk(0, 4, 3)).tolist()
    if outstanding:
        assert found == [base_ms + int(120_000 * SATURATED_SHARE)] * 3
    else:
        assert found == [base_ms + at * 1_000 + 60_000 for at in (4, 5, 6)]
    stock.close()


def test_a_long_saturated_run_begins_with_few_and_signs_as_they_are_used(tmp_path: Path) -> None:
    """What is signed long before it is used would expire; a short run has everything signed before it begins."""

    def stock(duration_s: float, outstanding: int) -> Stock:
        asked = Configuration(accounts=10, batch_submit=100, warmup_s=0.0, duration_s=duration_s)
        made = plan(configuration=asked, outstanding=outstanding, rate=10_000.0)
        return Stock(made, tmp_path, numpy.arange(int(duration_s * 100), dtype=numpy.int64) * 10_000_000)

    short, long, open_loop = stock(60.0, 100), stock(600.0, 100), stock(600.0, 0)
    assert short._ahead_max() == open_loop._ahead_max() == AHEAD_MAX
    assert long._ahead_max() == 60_000
    asked: list[Chunk] = []

    class Pool:
        def submit(self, function: object, chunk: Chunk, expires: object, *, beside_load: bool) -> Future[Chunk]:
            assert beside_load
            asked.append(chunk)
            done: Future[Chunk] = Future()
            done.set_result(chunk)
            return done

    long._pool.shutdown()
    long._pool = Pool()  # type: ignore[assignment]  # enough of one
    long._asked = 3  # 600 requests
    second = 1_000_000_000
    for _ in range(4):
        long.keep_ahead(50, 2 * second)  # 25 requests a second: 30 s are 750
    assert [chunk.first for chunk in asked] == [600, 800]
    for elapsed in range(3, 20):
        long.keep_ahead(25 * elapsed, elapsed * second)
    assert asked[-1].first - 25 * 19 <= 750 < asked[-1].first + 200 - 25 * 19
    short.close()
    open_loop.close()
