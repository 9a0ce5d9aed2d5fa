"""The node's command line: make keys, start.

Results go to standard output as JSON, one document a line; everything else to standard error. Exit codes are those of
`node.failures.ExitCode`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from node.failures import ExitCode, NodeFailure


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "keys":
            return _create_keys([Path(directory) for directory in options.directories])
        return _start(Path(options.data_dir), exit_with_parent=options.exit_with_parent)
    except NodeFailure as failure:
        sys.stderr.write(f"error: {failure}\n")
        return failure.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m node", description="A node of a Guildmark network.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    keys = commands.add_parser("keys", help="make a node's keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        help="write DIR/keys and DIR/member.toml for a new node",
        description="Write DIR/keys (private) and DIR/member.toml (public). Existing keys are never overwritten. "
        "With GUILDMARK_NODE_PASSPHRASE_FILE in the environment the keys are sealed, else they lie open (mode 0600).",
    )
    create.add_argument("directories", nargs="+", metavar="DIR", help="a node's data directory")
    start = commands.add_parser("start", help="run a node", description="Run the node of a data directory.")
    start.add_argument("--data-dir", required=True, metavar="DIR", help="holds genesis.json, node.toml and keys/")
    start.add_argument("--exit-with-parent", action="store_true", help="end when the starting process does")
    return parser


def _create_keys(directories: Sequence[Path]) -> int:
    from node import keys
    from p2p.identity import make_identity

    passphrase = keys.read_passphrase(dict(os.environ))
    for directory in directories:
        identity = make_identity()
        descriptor = keys.create(directory, identity.key_pem, identity.certificate_der, identity.node_id, passphrase)
        document = {"directory": str(directory), **msgspec.structs.asdict(descriptor)}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    if not passphrase:
        sys.stderr.write(f"note: {keys.UNENCRYPTED_NOTICE}\n")
    return ExitCode.STOPPED


def _start(directory: Path, *, exit_with_parent: bool) -> int:
    from node.process import run

    return run(directory, exit_with_parent=exit_with_parent)
