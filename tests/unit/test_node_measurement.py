"""What a node writes down of itself: nothing per transaction, nothing that waits, and what was dropped is counted."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus.messages import PrePrepare, Proposal, encode_message
from ledger.execution import DecidedBatch, DecidedProposal
from node import measurement
from node.measurement import Measurement, MeasurementFile
from p2p.channels import Channel
from p2p.statistics import Statistics


def events(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


class Executor:
    """Answers at once."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def call(self, method: str, arguments: tuple[Any, ...], answer: Any) -> None:
        self.called.append(method)
        answer("result", None)


class Links:
    def __init__(self) -> None:
        self.sent = 0

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        self.sent += 1
        return True


def test_blocks_and_proposals_are_written_down_once(tmp_path: Path) -> None:
    path = tmp_path / "events"
    made = Measurement(path)
    answers: list[Any] = []
    executor = made.executor(Executor())  # type: ignore[arg-type]  # enough of one
    batches = [DecidedBatch(0, 1, [b"ab", b"c"]), DecidedBatch(1, 4, [b"def"])]
    executor.call("execute", (7, DecidedProposal(2, 1), batches, frozenset()), lambda *found: answers.append(found))
    executor.call("admit", ((), 0), lambda *found: answers.append(found))
    assert answers == [("result", None)] * 2
    inner = Links()
    links = made.links(inner)  # type: ignore[arg-type]
    proposal = encode_message(PrePrepare(0, 2, 1, 0, 8, Proposal(2, 5, ()), bytes(64)))
    for node in ("a", "b", "c"):
        links.send(node, Channel.CONSENSUS, proposal)
    links.send("a", Channel.GOSSIP, b"anything")
    assert inner.sent == 4
    made.on_certified(7, ())
    made.stop()
    block, proposed, certified = events(path)
    assert (block["height"], block["proposer"], block["batches"], block["bytes"]) == (7, 2, [2, 1], 6)
    assert block["decided"] <= block["executed"] <= proposed["at"] <= certified["at"]
    assert (proposed["event"], proposed["height"]) == ("proposed", 8)
    assert (certified["event"], certified["height"]) == ("certified", 7)


def test_every_second_has_lateness_pauses_and_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events"
    made = Measurement(path)

    async def run() -> None:
        made.start(asyncio.get_running_loop(), lambda: Statistics(bytes_sent=5), lambda: 3)
        gc.collect()
        async with asyncio.timeout(20):
            while b'"second"' not in path.read_bytes():  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)

    asyncio.run(run())
    made.stop()
    callbacks = [callback for callback in gc.callbacks if "Measurement" in repr(callback)]
    assert callbacks == []
    found = events(path)
    second = next(event for event in found if event["event"] == "second")
    assert second["lateness_us"]
    assert second["gc"][0] >= 1
    assert second["gc"][1] <= second["gc"][2]
    assert (second["bytes_sent"], second["view"]) == (5, 3)
    assert second["dropped"] == 0
    assert second["rss_bytes"] > 1_000_000


def test_events_that_the_disk_is_too_slow_for_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "EVENTS_WAITING_MAX", 3)
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(threading.Thread, "join", lambda _: None)
    file = MeasurementFile(tmp_path / "events")
    for number in range(5):
        file.write({"event": "block", "height": number})
    assert file.dropped == 2
    monkeypatch.undo()
    writing = threading.Thread(target=file._run)
    writing.start()
    file._lines.put(None)
    writing.join()
    assert [event["height"] for event in events(tmp_path / "events")] == [0, 1, 2]
