"""How a node's interpreter is started: with our packages, whatever lies in the caller's folders.

`-P` keeps the working directory off the module path and the caller's PYTHONPATH is not passed on, so that a foreign
project's own `node/` or `ledger/` is never imported in place of ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from guildmark.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
"""The directory that holds our packages: site-packages, or the repository where it is installed in place."""
RUN_TIMEOUT_S: Final = 60.0
"""For commands about keys; sealing them takes a second."""
_NOT_FOR_NODES = ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONSAFEPATH", "GUILDMARK_PASSPHRASE", "GUILDMARK_PASSPHRASE_FILE")


def node_command(*arguments: str) -> list[str]:
    """The command line of the module `node`."""
    return [sys.executable, "-P", "-m", "node", *arguments]


def node_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a node: the caller's, without its module path and without the passphrase of its wallet.

    Where we are installed in place, other projects installed in place may stand before us; our own folder then goes
    first. It never does for site-packages, which would come before the standard library.
    """
    kept = {name: value for name, value in (environment or os.environ).items() if name not in _NOT_FOR_NODES}
    site = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if ROOT not in site:
        kept["PYTHONPATH"] = str(ROOT)
    return kept


def run_node(*arguments: str) -> str:
    """Run a command of the module `node` to its end, and return what it writes on standard output.

    Raises:
        ClusterError: `node.keys`, with the program's own words.
    """
    run = subprocess.run(
        node_command(*arguments),
        env=node_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        raise ClusterError("node.keys", run.stderr.strip()[-2000:].removeprefix("error: "))
    return run.stdout
