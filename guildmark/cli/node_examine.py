"""`guildmark node verify|inspect|resync`: what a node's data directory holds, and what to do when it is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import rich_click as click

from guildmark.cli.node_programs import WORDS_MAX, progress_bar, run_node_program
from guildmark.cli.numbers import Whole
from guildmark.cli.output import emit, note
from guildmark.cli.session import Session, with_session
from guildmark.errors import InvalidArgument, NotFound, VerificationFailed

_DIRECTORY: Final = click.Path(path_type=Path, file_okay=False, exists=True)


def _directory(function: Any) -> Any:
    return click.option("--directory", required=True, type=_DIRECTORY, help="The node's data directory.")(function)


def _scratch(function: Any) -> Any:
    return click.option(
        "--scratch",
        type=_DIRECTORY,
        help="Where the copy is made that is read; beside the original by default, where it takes little room.",
    )(function)


@click.command("verify")
@_directory
@click.option(
    "--from",
    "signatures_from",
    type=Whole(1),
    default=1,
    metavar="HEIGHT",
    help="Check signatures of transactions from this block on only; certificates vouch for those below.",
)
@click.option("--workers", type=Whole(1, 256), help="Threads that check signatures; default: all processors.")
@_scratch
@with_session(network=False)
def verify(session: Session, directory: Path, signatures_from: int, workers: int | None, scratch: Path | None) -> None:
    """Execute a node's whole chain again, and compare every header, root, receipt, certificate and record.

    It reads a copy, so the node may run meanwhile, and nothing of its directory is changed. Ends with 7 when something
    is not what the genesis and the blocks lead to, and says what; with 2 where HEIGHT is beyond the head.
    """
    arguments = ["verify", str(directory.resolve()), f"--from={signatures_from}"]
    arguments += [f"--workers={workers}"] if workers else []
    with progress_bar("blocks", quiet=session.json) as show:
        said = run_node_program(arguments + _scratch_argument(scratch), show)
    if said["event"] == "refused":
        raise InvalidArgument(said["code"], said["why"])
    if said["event"] != "verified":
        _say_what_helps(directory)
        raise VerificationFailed(said["code"], said["why"])
    emit({name: value for name, value in said.items() if name != "event"}, json=session.json)


@click.command("inspect")
@_directory
@click.option("--block", type=Whole(0), metavar="HEIGHT", help="Show a block.")
@click.option("--record", metavar="HEX", help="Show the record of the state under this key.")
@_scratch
@with_session(network=False)
def inspect(session: Session, directory: Path, block: int | None, record: str | None, scratch: Path | None) -> None:
    """Read what a node's directory holds: head, tables, vote log, files. Nothing is changed, and no node has to run.

    Every record is read and checked. Ends with 7 where the ledger or the vote log is damaged, and with 3 where the
    block or record is not there.
    """
    if block is not None and record is not None:
        raise click.UsageError("--block or --record, not both")
    arguments = ["inspect", str(directory.resolve())]
    arguments += [f"--block={block}"] if block is not None else []
    if record is not None:
        try:
            arguments.append(f"--record={bytes.fromhex(record).hex()}")
        except ValueError as error:
            raise click.UsageError(f"--record: not hex digits: {record[:80]!r}") from error
    said = run_node_program(arguments + _scratch_argument(scratch), None)
    emit(said, json=session.json)
    if not said.get("found", True):
        raise _not_there(said)
    damage = [*said.get("damage", ()), *filter(None, [(said.get("vote_log") or {}).get("damage")])]
    if said.get("damage"):
        _say_what_helps(directory)
    if damage:
        raise VerificationFailed("storage.damaged", "; ".join(damage)[:WORDS_MAX])


def _say_what_helps(directory: Path) -> None:
    note(
        f"Stop the node, say `guildmark node resync --directory {directory}`, and start it: it fetches its ledger anew."
    )


def _not_there(said: dict[str, Any]) -> NotFound:
    if "key" in said:
        return NotFound("node.no_record", f"the state at the head has no record under the key {said['key']}")
    kept = f"it holds blocks {said['oldest_block']} to {said['head']}"
    return NotFound("node.no_block", f"the ledger has no block {said['height']}: {kept}")


@click.command("resync")
@_directory
@with_session(network=False)
def resync(session: Session, directory: Path) -> None:
    """Move the ledger of a stopped node aside (to chain.damaged), so that it fetches it from its peers when it starts.

    Keys and vote log stay: whether the validator may vote before it has rejoined is decided from these.
    """
    said = run_node_program(["resync", str(directory.resolve())], None)
    emit({"set_aside": said["set_aside"]}, json=session.json)
    moved = "" if said["set_aside"] else "There was no ledger to move. "
    note(f"{moved}Start the node: it synchronizes from its peers by itself.")


def _scratch_argument(scratch: Path | None) -> list[str]:
    return [] if scratch is None else [f"--scratch={scratch.resolve()}"]
