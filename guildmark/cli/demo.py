"""`guildmark demo`: the whole story in a minute."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import rich_click as click

from guildmark.cli.session import Session, with_session


@click.command()
@click.option("--keep", is_flag=True, help="Leave the network running, and say where it is.")
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), help="A new directory; temporary if not given."
)
@with_session(network=False)
def demo(session: Session, keep: bool, directory: Path | None) -> int:
    """Four validators register, license and hand over a real TensorFlow model. Ends with 0 only if every step held."""
    story = import_module("guildmark.demo.story")
    code: int = story.run(keep=keep, directory=directory, json=session.json)
    return code
