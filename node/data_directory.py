"""A node's data directory: what lies where, and that one process at a time uses it.

    DIR/node.toml DIR/genesis.json DIR/keys/     given
    DIR/seeds.json                               given to a node that joins later
    DIR/LOCK                                     held (flock) while a process runs
    DIR/chain/ DIR/journal/ DIR/artifacts/       written by the node
    DIR/search/                                  derived from chain/, and made anew where it is missing
    DIR/snapshots/                               taken of chain/, or fetched; DIR/chain.new/ is made of one

The lock is our own: LevelDB's is dropped when the same process fails to open the store twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

from ledger.rewriting import finish_rewriting
from node.failures import DirectoryInUse, DirectoryUnusable

_LOCK: Final = "LOCK"


class DataDirectory:
    """The directory, locked from `open` to `close`, or to the end of the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def configuration(self) -> Path:
        return self.path / "node.toml"

    @property
    def genesis(self) -> Path:
        return self.path / "genesis.json"

    @property
    def seeds(self) -> Path:
        return self.path / "seeds.json"

    @property
    def chain(self) -> Path:
        return self.path / "chain"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def fresh_chain(self) -> Path:
        """Where a chain is made of a snapshot, until it takes the place of the one that is there."""
        return self.path / "chain.new"

    @property
    def search(self) -> Path:
        """The search database, a file."""
        return self.path / "search" / "assets.sqlite"

    def open(self) -> None:
        """Check that the directory can be used, and lock it.

        Raises:
            DirectoryUnusable: missing, or not writable for this user.
            DirectoryInUse: another process holds it.
        """
        try:
            present = self.path.is_dir()
        except OSError as error:  # a directory on the way there is closed to this user
            raise DirectoryUnusable(f"{self.path} cannot be read: {error.strerror}") from error
        if not present:
            raise DirectoryUnusable(
                f"{self.path}: no such directory; `guildmark node keys create --directory {self.path}` makes one"
            )
        try:
            descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryUnusable(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise DirectoryUnusable(f"{self.path} cannot be locked: {error.strerror}") from error
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise DirectoryInUse(f"{self.path} is in use by {who}; two nodes never share a data directory") from error
        self._lock = descriptor
        try:
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            finish_rewriting(self.chain)
            for folder in (self.chain, self.journal, self.artifacts):
                folder.mkdir(mode=0o700, exist_ok=True)
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise DirectoryUnusable(f"{folder} cannot be written by this user")
        except OSError as error:
            self.close()
            raise DirectoryUnusable(f"{self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> DataDirectory:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
