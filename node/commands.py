"""The node's command line: make keys, describe them to the consortium, start, and examine what a node has kept.

Results go to standard output as JSON, one document a line; everything else to standard error. Exit codes are those of
`node.failures.ExitCode`.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from node.failures import ConfigurationError, ExitCode, NodeFailure

if TYPE_CHECKING:
    from node.data_directory import DataDirectory


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "keys" and options.action == "create":
            return _create_keys([Path(directory) for directory in options.directories])
        if options.command == "keys" and options.action == "register":
            return _register(options)
        if options.command == "keys":
            return _describe(options)
        if options.command in ("verify", "inspect", "resync", "snapshot"):
            return _examine(options)
        return _start(Path(options.data_dir), exit_with_parent=options.exit_with_parent)
    except NodeFailure as failure:
        sys.stderr.write(f"error: {failure}\n")
        return failure.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m node", description="A node of a Guildmark network.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    keys = commands.add_parser("keys", help="make and describe a node's keys")
    actions = keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        help="write DIR/keys for a new node",
        description="Write DIR/keys, private to this user. Existing keys are never overwritten. "
        "With GUILDMARK_NODE_PASSPHRASE_FILE in the environment the keys are sealed, else they lie open (mode 0600).",
    )
    create.add_argument("directories", nargs="+", metavar="DIR", help="a node's data directory")
    describe = actions.add_parser(
        "describe",
        help="write DIR/member.toml, the signed public description of the node",
        description="Write DIR/member.toml from DIR/keys. An earlier one is replaced.",
    )
    describe.add_argument("directory", metavar="DIR", help="a node's data directory")
    describe.add_argument("--organization", required=True, metavar="ID")
    describe.add_argument("--organization-name", required=True, metavar="NAME")
    describe.add_argument("--address", required=True, metavar="HOST:PORT", help="how the other members reach the node")
    describe.add_argument(
        "--account",
        dest="accounts",
        action="append",
        default=[],
        metavar="JSON",
        help="a first account: an object of name, key (did:key) and salt (32 hex digits); may be repeated",
    )
    register = actions.add_parser(
        "register",
        help="sign the node's registration as an observer",
        description="Let the node's TLS key sign its registration as an observer. Nothing is sent or written.",
    )
    register.add_argument("directory", metavar="DIR", help="a node's data directory")
    register.add_argument("--network-id", required=True, type=bytes.fromhex, metavar="HEX")
    register.add_argument("--organization", required=True, metavar="ID")
    register.add_argument("--address", default="", metavar="HOST:PORT", help="how other nodes reach it")
    start = commands.add_parser("start", help="run a node", description="Run the node of a data directory.")
    start.add_argument("--data-dir", required=True, metavar="DIR", help="holds genesis.json, node.toml and keys/")
    start.add_argument("--exit-with-parent", action="store_true", help="end when the starting process does")
    _add_examinations(commands)
    _add_snapshots(commands)
    return parser


def _add_snapshots(commands: Any) -> None:
    group = commands.add_parser("snapshot", help="take, list and restore snapshots")
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="take one", description=_create_snapshot.__doc__)
    create.add_argument("--scratch", type=Path, metavar="DIR", help="where the copy goes; default: the directory")
    show = actions.add_parser("list", help="show what is there", description=_list_snapshots.__doc__)
    restore = actions.add_parser("restore", help="begin with one", description=_restore_snapshot.__doc__)
    restore.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR")
    for parser, action in ((create, _create_snapshot), (show, _list_snapshots), (restore, _restore_snapshot)):
        parser.add_argument("directory", metavar="DIR", help="a node's data directory")
        parser.set_defaults(examine=action)


def _add_examinations(commands: Any) -> None:
    verify = commands.add_parser(
        "verify", help="execute the whole chain again and compare", description=_verify.__doc__
    )
    verify.add_argument("--from", dest="signatures_from", type=int, default=1, metavar="HEIGHT")
    verify.add_argument("--workers", type=int, default=max(1, len(os.sched_getaffinity(0))), metavar="N")
    inspect = commands.add_parser("inspect", help="read what a directory holds", description=_inspect.__doc__)
    shown = inspect.add_mutually_exclusive_group()
    shown.add_argument("--block", type=int, metavar="HEIGHT")
    shown.add_argument("--record", type=bytes.fromhex, metavar="HEX", help="the key of a record of the state")
    for parser in (verify, inspect):
        parser.add_argument("--scratch", type=Path, metavar="DIR", help="where the copy goes; default: the directory")
    resync = commands.add_parser("resync", help="move the ledger aside", description=_resync.__doc__)
    for parser, action in ((verify, _verify), (inspect, _inspect), (resync, _resync)):
        parser.add_argument("directory", metavar="DIR", help="a node's data directory")
        parser.set_defaults(examine=action)


def _examine(options: argparse.Namespace) -> int:
    from node.data_directory import DataDirectory
    from node.failures import DirectoryUnusable

    data = DataDirectory(Path(options.directory).absolute())
    if not data.path.is_dir():
        raise DirectoryUnusable(f"{data.path}: no such directory")
    code: int = options.examine(data, options)
    return code


def _verify(data: DataDirectory, options: argparse.Namespace) -> int:
    """Execute all blocks again, from a copy, and compare every header, receipt, certificate and record of the state."""
    from node import offline

    return offline.verify(
        data,
        signatures_from=options.signatures_from,
        workers=options.workers,
        scratch=options.scratch,
        answer=_answer,
    )


def _inspect(data: DataDirectory, options: argparse.Namespace) -> int:
    """Read what a data directory holds, from a copy. Nothing in it is changed."""
    from node.inspection import inspect

    return inspect(data, block=options.block, record=options.record, scratch=options.scratch, answer=_answer)


def _resync(data: DataDirectory, _options: argparse.Namespace) -> int:
    """Move the ledger of a stopped node to chain.damaged; the node fetches it from its peers at its next start."""
    from node import offline

    return offline.resync(data, _answer)


def _create_snapshot(data: DataDirectory, options: argparse.Namespace) -> int:
    """Take a snapshot of the head, from a copy, so that the node may run."""
    from node import snapshot_commands

    return snapshot_commands.create(data, options.scratch, _answer)


def _list_snapshots(data: DataDirectory, _options: argparse.Namespace) -> int:
    """List the snapshots of a directory."""
    from node import snapshot_commands

    return snapshot_commands.show(data, _answer)


def _restore_snapshot(data: DataDirectory, options: argparse.Namespace) -> int:
    """Put a chain that is made of a snapshot in the place of a stopped node's."""
    from node import snapshot_commands

    return snapshot_commands.restore(data, options.source.absolute(), _answer)


def _create_keys(directories: Sequence[Path]) -> int:
    from node import keys
    from p2p.identity import make_identity

    passphrase = keys.read_passphrase(dict(os.environ))
    for directory in directories:
        identity = make_identity()
        made = keys.create(directory, identity.key_pem, identity.certificate_der, identity.node_id, passphrase)
        document = {
            "directory": str(directory),
            "node_id": made.node_id,
            "signing_key": made.signing_key,
            "tls_certificate": base64.b64encode(made.tls_certificate_der).decode("ascii"),
        }
        _answer(document)
    if not passphrase:
        sys.stderr.write(f"note: {keys.UNENCRYPTED_NOTICE}\n")
    return ExitCode.STOPPED


def _describe(options: argparse.Namespace) -> int:
    from ledger import member_descriptor
    from node import keys

    directory = Path(options.directory)
    held = keys.load(directory, keys.read_passphrase(dict(os.environ)))
    path = directory / member_descriptor.FILE_NAME
    try:
        accounts = [msgspec.json.decode(text, type=member_descriptor.FoundingAccount) for text in options.accounts]
        descriptor = member_descriptor.describe(
            organization=options.organization,
            organization_name=options.organization_name,
            certificate_der=held.tls_certificate_der,
            address=options.address,
            accounts=accounts,
            signing_key=held.signing_key,
        )
        keys.replace_public(path, member_descriptor.write(descriptor))
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"--account: {error}") from error
    except member_descriptor.InvalidDescriptor as error:
        raise ConfigurationError(error.message) from error
    _answer({"member": str(path), **msgspec.to_builtins(descriptor)})
    return ExitCode.STOPPED


def _register(options: argparse.Namespace) -> int:
    from ledger.modules.observers.operations import registration_bytes
    from node import keys

    held = keys.load(Path(options.directory), keys.read_passphrase(dict(os.environ)))
    certificate = held.tls_certificate_der
    signed = registration_bytes(options.network_id, options.organization, certificate, options.address)
    document = {
        "node_id": held.node_id,
        "tls_certificate": base64.b64encode(certificate).decode("ascii"),
        "address": options.address,
        "proof": keys.tls_signer(held).sign(signed).hex(),
    }
    _answer(document)
    return ExitCode.STOPPED


def _answer(document: Mapping[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def _start(directory: Path, *, exit_with_parent: bool) -> int:
    from node.process import run

    return run(directory, exit_with_parent=exit_with_parent)
