"""Who hears of blocks and of members that contradict themselves."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.evidence import Evidence, build_evidence
from consensus.messages import Prepare
from ledger.chain import ExecutedBlock
from node.announcements import Announcements


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.evidence: list[Evidence] = []
        self.certified: list[int] = []

    def on_executed(self, block: ExecutedBlock) -> None:
        """Not of interest here."""

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        self.certified.append(height)

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """Not of interest here."""

    def on_evidence(self, evidence: Evidence) -> None:
        self.evidence.append(evidence)


def test_a_member_that_contradicts_itself_is_counted_and_named_to_everyone() -> None:
    """S1, I15: evidence is kept by replica, whoever is listening."""
    announcements, first, second = Announcements(0), Heard(), Heard()
    announcements.subscribe(first)
    announcements.subscribe(second)
    votes = [Prepare(0, 3, 7, 0, 1, bytes([digest]) * 32, bytes(64)) for digest in (1, 2)]
    evidence = build_evidence(*votes)
    announcements.evidence(evidence)
    assert announcements.contradictions == {3: 1}
    assert first.evidence == second.evidence == [evidence]


def test_finality_is_told_once_and_never_falls() -> None:
    """I7: an older certificate that comes late tells nothing new."""
    announcements, heard = Announcements(4), Heard()
    announcements.subscribe(heard)
    for height in (4, 6, 5, 6, 7):
        announcements.certified(height)
    assert heard.certified == [6, 7]
    assert announcements.certified_height == 7
