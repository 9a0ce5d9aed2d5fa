"""Why a node does not start, or stops: one exception and one exit code for each cause.

Exit codes are stable, so that a supervisor can tell "fix the file" from "start it again".
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    STOPPED = 0
    """A clean stop, on SIGTERM or SIGINT."""
    FATAL = 1
    """A broken invariant or an unexpected failure; the log has the reason."""
    USAGE = 2
    CONFIGURATION = 3
    """Configuration, genesis or key files: nothing changes until somebody edits them."""
    IN_USE = 4
    """Another process runs on the data directory."""
    STORAGE = 5
    """The disk refused: rights, space, a failed write; or the vote log cannot be used."""
    ADDRESS = 6
    """A configured address cannot be listened on."""
    DAMAGED = 7
    """What is on the disk is damaged beyond what the node repairs by itself; `guildmark node resync` is what helps."""


class NodeFailure(Exception):
    """The node cannot start or go on; the message says what to do, in one line."""

    exit_code = ExitCode.FATAL


class ConfigurationError(NodeFailure):
    """A file that somebody wrote is wrong; the message names file, key and allowed range."""

    exit_code = ExitCode.CONFIGURATION


class KeyFileError(NodeFailure):
    """A key file is missing, readable by others, damaged, or locked with another passphrase."""

    exit_code = ExitCode.CONFIGURATION


class DirectoryInUse(NodeFailure):
    exit_code = ExitCode.IN_USE


class DirectoryUnusable(NodeFailure):
    """The data directory cannot be read or written."""

    exit_code = ExitCode.STORAGE


class LedgerDamaged(NodeFailure):
    """The ledger is damaged, and the configuration says to stop then."""

    exit_code = ExitCode.DAMAGED


class AddressUnusable(NodeFailure):
    exit_code = ExitCode.ADDRESS
