"""The demo: a network, a model, a sale, a crash and a certificate, in about a minute."""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.panel import Panel

from guildmark.demo.chapters import CHAPTERS
from guildmark.demo.narrator import Narrator, StepFailed
from guildmark.demo.stage import Stage
from guildmark.errors import GuildmarkError
from guildmark.models.errors import ModelError

NEEDED = ("tensorflow", "keras", "sklearn")


def run(*, keep: bool = False, directory: Path | None = None, json: bool = False) -> int:
    """Tell the story. Return 0 only if every step held; leave nothing running unless `keep`.

    Raises:
        GuildmarkError: `demo.not_installed`; nothing was begun.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise GuildmarkError(
            "demo.not_installed",
            f"the demo trains a model and lacks {', '.join(missing)}: "
            'run `make demo` in a clone, or install "guildmark[tensorflow]"',
        )
    narrator = Narrator(len(CHAPTERS))
    temporary = directory is None
    place = Path(tempfile.mkdtemp(prefix="guildmark-demo-")) if directory is None else directory
    try:
        code = _tell(narrator, place, keep=keep)
    except KeyboardInterrupt:
        if temporary:
            shutil.rmtree(place, ignore_errors=True)
        raise
    if temporary and not keep and code == 0:
        shutil.rmtree(place, ignore_errors=True)  # after a failure it stays, with the logs
        narrator.facts.pop("certificate", None)  # its file is gone with the rest
    if json:
        facts = {"held": code == 0, "elapsed_s": round(narrator.elapsed_s(), 1), **narrator.facts}
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    return code


def _tell(narrator: Narrator, directory: Path, *, keep: bool) -> int:
    stage: Stage | None = None
    held = False
    try:
        stage = Stage(directory, narrator, keep=keep)
        for title, chapter in CHAPTERS:
            narrator.chapter(title)
            chapter(stage)
        held = True
    except (StepFailed, GuildmarkError, ModelError) as error:
        narrator.console.print(f"\n  [red]✗ {escape(str(error))}[/]")
        if stage is not None:
            narrator.console.print(f"  the nodes' logs: {stage.cluster.write_merged_log()}")
            narrator.console.print(stage.cluster.merged_log(10), style="dim", markup=False)
    finally:
        if stage is not None:
            stage.close(keep=keep and held)
    if held:
        narrator.console.print()
        text = f"Every step held, in {narrator.elapsed_s():.0f} s."
        text += " The network runs on." if keep else " Nothing is left running."
        narrator.console.print(Panel(text, border_style="green", expand=False))
        if keep:  # commands to copy: never wrapped, never in a frame
            for command in ("status", "down"):
                line = f"guildmark cluster {command} {directory / 'network'}"
                narrator.console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0 if held else 1
