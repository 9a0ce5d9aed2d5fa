"""Readable stories of the protocol: each file in `consensus/` is a script and the transcript that it must give.

A script line acts (`submit`, `crash`, `start`, `cut`, `heal`, `drop`, `run`); the part below `----` is what replicas
then did that matters: proposals, decisions, certificates, view changes. Run with GUILDMARK_REWRITE=1 to write
transcripts anew, and review them as a diff.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from consensus_harness import World

STORIES = Path(__file__).with_name("consensus")
SHOWN = ("pre-prepare", "view-change", "new-view")


class Story:
    """Runs one script."""

    def __init__(self) -> None:
        self.world = World(4)

    def run(self, line: str) -> None:
        verb, *words = line.split()
        getattr(self, f"do_{verb}")(**dict(word.split("=", 1) for word in words))

    def do_cluster(self, replicas: str) -> None:
        self.world = World(int(replicas), start=False)
        self.world.log = []
        for host in self.world.hosts:
            host.start()

    def do_submit(self, replica: str, item: str) -> None:
        self.note(f"submit replica={replica} item={item}")
        self.world.submit(int(replica), item.encode())

    def do_crash(self, replica: str) -> None:
        self.note(f"crash replica={replica}")
        self.world.hosts[int(replica)].crash()

    def do_start(self, replica: str) -> None:
        self.note(f"start replica={replica}")
        self.world.hosts[int(replica)].start()

    def do_drop(self, kind: str) -> None:
        self.note(f"drop kind={kind}")
        self.world.filter = lambda sender, receiver, message: message.kind != kind

    def do_cut(self, groups: str) -> None:
        self.note(f"cut groups={groups}")
        self.world.partition(*({int(replica) for replica in group} for group in groups.split("|")))

    def do_heal(self) -> None:
        self.note("heal")
        self.world.filter = lambda sender, receiver, message: True
        self.world.links_down = set()

    def do_run(self, ms: str) -> None:
        self.world.run(int(ms))

    def note(self, text: str) -> None:
        assert self.world.log is not None
        self.world.log.append(f"{self.world.now_ms} {text}")

    def transcript(self) -> str:
        """Keep what matters: repeated ViewChanges and status chatter would only hide it."""
        assert self.world.log is not None
        told: set[str] = set()
        lines = []
        for line in self.world.log:
            at_ms, rest = line.split(" ", 1)
            words = rest.split()
            acted = words[0].isalpha()
            kept = acted or words[1] in ("Execute", "Certified", "SyncNeeded")
            if not acted and words[1] == "Broadcast" and words[2] in SHOWN and rest not in told:
                told.add(rest)
                kept = True
            if kept:
                lines.append(f"{int(at_ms):5d} {rest}")
        heads = " ".join(f"{host.id}:{host.ledger.height}" for host in self.world.hosts)
        items = [item.decode() for item in self.world.hosts[-1].ledger.items]
        return "\n".join([*lines, f"heights {heads}", f"order {items}"]) + "\n"


@pytest.mark.parametrize("path", sorted(STORIES.glob("*.txt")), ids=lambda path: path.stem)
def test_the_story_goes_as_told(path: Path) -> None:
    script, _, expected = path.read_text().partition("----\n")
    story = Story()
    for line in script.splitlines():
        if line and not line.startswith("#"):
            story.run(line)
    if os.environ.get("GUILDMARK_REWRITE"):
        path.write_text(script + "----\n" + story.transcript())
        return
    assert story.transcript() == expected


def test_there_are_stories() -> None:
    assert len(list(STORIES.glob("*.txt"))) >= 3
