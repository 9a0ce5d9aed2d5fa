"""A document's console blocks as a test: the commands run as they stand, and print what the document shows.

    $ guildmark asset show 41f0...        a command; a backslash or <<'END' continues it
    asset  41f0...                        what it prints

Ids, accounts and heights differ from network to network. An id that the document shows for the first time stands for
whatever is printed in its place, and for the same thing from then on, in commands too; a height or a time in
milliseconds stands for any number, and what decays with time may have decayed a little more. All else must be equal.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"(?ms)^```console\n(.*?)^```$")
NAMED = re.compile(r"\b(?:[0-9a-f]{64}|gm(?:node)?1[a-z0-9]{20,}|did:key:z[A-Za-z0-9]{40,})\b")
NUMBERS = (
    re.compile(r"(\bheight |\b\w+_ms |127\.0\.0\.1:)\d+"),
    re.compile(r"(?m)(^\d )\d+(?= http:)"),
    re.compile(r"(?<=# )(\()\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?= UTC\))"),
)
"""Heights, times and their dates, ports, and the ids of processes in the table of nodes."""
DECAYING = re.compile(r"((?<!\w)(?:score_ppm|confidence_ppm|weight_for|weight_against|now|for,|-> \w+) )(\d+)")
"""Scores and weights of evidence as they were read at one time; columns are one space apart here."""
DECAY_MAX = 100
"""In millionths: by what part a weight may differ. It loses 116 in an hour."""
COMMAND_TIMEOUT_S = 240
"""Long: TensorFlow starts in seconds where nothing else runs."""


class Step(NamedTuple):
    command: str
    expected: str


def steps(block: str) -> Iterator[Step]:
    """Yield the commands of one console block with what the document says that they print."""
    command: list[str] = []
    printed: list[str] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            if command:
                yield Step("\n".join(command), "\n".join(printed))
            command, printed = [line[2:]], []
        elif command and not printed and _goes_on(command):
            command.append(line)
        else:
            printed.append(line)
    if command:
        yield Step("\n".join(command), "\n".join(printed))


def _goes_on(command: list[str]) -> bool:
    """Tell whether the next line still belongs to the command: after a backslash, and inside a here-document."""
    here = re.search(r"<<'(\w+)'$", command[0])
    return command[-1].endswith("\\") if here is None else command[-1] != here.group(1)


class Transcript:
    """Runs the steps of a document in one directory."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment
        self._actual: dict[str, str] = {}
        """What stands here for an id of the document."""

    def command(self, step: Step) -> str:
        """Return a step's command with the ids that stand here for the document's."""
        return NAMED.sub(lambda found: self._actual.get(found.group(), found.group()), step.command)

    def run(self, step: Step) -> str:
        """Run a command and return what it printed."""
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.command(step)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        printed = run.stdout.rstrip("\n")
        if run.returncode:
            printed = f"{printed}\n{run.stderr.rstrip()}".lstrip("\n")
            printed += f"\n[exit code {run.returncode}]"
        return printed

    def matches(self, step: Step, printed: str) -> bool:
        """Tell whether `printed` is what the document shows, and learn its ids."""
        shown, found = _blank(step.expected), _blank(printed)
        return self.learn(step, printed) and _without_decay(shown) == _without_decay(found) and _decayed(shown, found)

    def learn(self, step: Step, printed: str) -> bool:
        """Learn what stands for the ids that the document shows here. False where it shows other ones."""
        learned = dict(self._actual)
        shown, found = NAMED.findall(step.expected), NAMED.findall(printed)
        if len(shown) != len(found):
            return False
        for document, actual in zip(shown, found, strict=True):
            if learned.setdefault(document, actual) != actual:
                return False
        if len(set(learned.values())) != len(learned):
            return False
        self._actual = learned
        return True


def _blank(text: str) -> str:
    """Return `text` without what differs from run to run; columns are as wide as what is in them."""
    text = re.sub(r" +", " ", NAMED.sub("@", text))
    text = re.sub(r" -> decayed \d+", "", text)  # it need not have begun
    for number in NUMBERS:
        text = number.sub(r"\1#", text)
    return text


def _without_decay(text: str) -> str:
    return DECAYING.sub(r"\1#", text)


def _decayed(shown: str, found: str) -> bool:
    """Tell whether what decays differs by no more than time explains."""
    pairs = zip(DECAYING.finditer(shown), DECAYING.finditer(found), strict=True)
    numbers = ((int(one.group(2)), int(other.group(2))) for one, other in pairs)
    return all(abs(one - other) <= one * DECAY_MAX // 1_000_000 for one, other in numbers)


def rewritten(document: str, transcript: Transcript) -> str:
    """Return the document with what its commands print now in place of what it shows. For who has changed a command:
    the difference is to be read, not to be believed."""

    def block(found: re.Match[str]) -> str:
        lines = []
        for step in steps(found.group(1)):
            lines.append("$ " + transcript.command(step))
            printed = transcript.run(step)
            transcript.learn(step, printed)
            if printed:
                lines.append(printed)
        return "```console\n" + "\n".join(lines) + "\n```"

    return BLOCK.sub(block, document)
