"""How a node's interpreter is started: with our packages, whatever lies in the caller's folders.

`-P` keeps the working directory off the module path and the caller's PYTHONPATH is not passed on, so that a foreign
project's own `node/` or `ledger/` is never imported in place of ours.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The directory that holds our packages: site-packages, or the repository where it is installed in place."""
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
