"""The process: reads what it was given, builds the node, serves until it is told to stop or cannot go on.

Start: lock, configuration, logs, keys, genesis, ledger, deciding parts, links, replication, API; then one line on
standard output. Stop: the same backwards. Nothing is promised by a clean stop that a crash would not keep.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec
import structlog
import uvloop

from ledger import genesis as genesis_files
from ledger.errors import InvalidGenesis, LedgerError
from node import configuration, keys, logs, seeds
from node.data_directory import DataDirectory
from node.failures import ConfigurationError, ExitCode, NodeFailure
from node.lives import Lives
from node.node_files import NodeFiles
from node.parents import end_with_parent
from primitives.quorum import weak_quorum

SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread may keep the interpreter while the loop waits for it."""

log: Final = structlog.get_logger("node.process")


def run(directory: Path, *, exit_with_parent: bool) -> int:
    """Run the node of `directory` until it stops; return the exit code.

    Raises:
        NodeFailure: it could not start.
    """
    if exit_with_parent:
        end_with_parent()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with DataDirectory(directory.absolute()) as data:
        files = _read(data)
        logs.configure(files.configuration.log, files.keys.node_id)
        if not files.keys.sealed:
            log.warning("keys are not sealed", notice=keys.UNENCRYPTED_NOTICE)
        if short := young_commitments(files.genesis, files.configuration.consensus.turn_ms):
            log.warning("commitments may be revealed too soon", notice=short)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(files))


def young_commitments(genesis: genesis_files.Genesis, turn_ms: int) -> str:
    """Return why the network's commitments protect less than they should under this node's turns, or an empty text.

    f validators may lead one after the other, each for a turn, and keep a reveal waiting while their own commitment to
    the same artifact ages. The genesis' number of validators counts; those that came later do not.
    """
    turns = weak_quorum(len(genesis.validators))
    age_ms = genesis.parameters.commitment_age_ms
    if genesis.development or age_ms >= turns * turn_ms:
        return ""
    return f"parameters.commitment_age_ms is {age_ms}, and {turns} turns of consensus.turn_ms take {turns * turn_ms}"


def _read(data: DataDirectory) -> NodeFiles:
    """Read everything that somebody gave the node, and check that it belongs together."""
    settings = configuration.load(data.configuration)
    node_keys = keys.load(data.path, keys.read_passphrase(dict(os.environ)))
    try:
        genesis_bytes = data.genesis.read_bytes()
        genesis = genesis_files.parse(genesis_bytes)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{data.genesis}: missing; put the network's genesis file there, checked by `guildmark network verify`"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{data.genesis}: {error.strerror or error}") from error
    except InvalidGenesis as error:
        raise ConfigurationError(f"{data.genesis}: {error.message}") from error
    return NodeFiles(data, settings, node_keys, genesis, genesis_bytes, seeds.load(data.seeds))


async def _serve(files: NodeFiles) -> int:
    """Run the node, wait for the end, stop it."""
    loop = asyncio.get_running_loop()
    lives = Lives(files, _announce)

    def on_signal(name: str) -> None:
        log.info("stopping", signal=name)
        lives.stop()

    loop.set_exception_handler(_log_loop_error)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    return _exit_code(await lives.run())


def _announce(listening: dict[str, str]) -> None:
    log.info("listening", **listening)
    sys.stdout.write(msgspec.json.encode({"event": "listening", **listening}).decode() + "\n")
    sys.stdout.flush()


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return ExitCode.STOPPED
    if isinstance(error, NodeFailure):
        log.error("the node ends", error=str(error), exit_code=int(error.exit_code))
        return error.exit_code
    if isinstance(error, LedgerError) and error.code.startswith("storage."):
        return ExitCode.STORAGE
    return ExitCode.FATAL


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    if isinstance(error, OSError):
        log.debug("a connection failed", reason=str(error))
    else:
        log.error("the event loop reports", reason=context.get("message"), exc_info=error)
