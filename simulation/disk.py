"""A disk whose unsynced writes are lost, or torn, when the power goes; when only the process dies, they stay."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from typing import Final

from ledger.state.store import MemoryStore

SECTOR_BYTES: Final = 512
"""What a disk writes at once; sectors of one append may reach it in any order."""


class PowerLost(Exception):
    """The power went while a write was under way. Nothing of the node runs after it."""


class SimulatedDisk:
    """Files of one node, in memory: what is durable, and what the running system believes."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._current: dict[str, bytearray] = {}
        self._durable: dict[str, int] = {}
        """How many bytes of each file are durable: files only grow, but for what is durable at once."""
        self._powerless = False
        self.syncs = 0
        self.failure: int | None = None
        """The error number that every write and sync answers with from now on, having written nothing; None for a disk
        that works. A number, because an error that was raised keeps alive all that it came through."""
        self.on_durable: Callable[[str, bytes, bool], None] = lambda *_: None
        """Hears of what became durable: file, bytes, and whether they replace the file. The checker's."""

    def lose_power(self) -> None:
        """From now on nothing becomes durable, until `restore`."""
        self._powerless = True

    def restore(self) -> None:
        """The power is back: what was appended and not synced is there in part, with holes."""
        if not self._powerless:
            return
        self._powerless = False
        survived = {}
        for name, durable in self._durable.items():
            tail = self._current[name][durable:]
            del tail[self._chance.randint(0, len(tail)) :]
            if tail and self._chance.random() < 0.5:
                hole = self._chance.randrange(len(tail))
                end = min(len(tail), hole + SECTOR_BYTES)
                tail[hole:end] = bytes(end - hole)
            survived[name] = self._current[name][:durable] + tail
        self._current = survived
        self._durable = {name: len(data) for name, data in survived.items()}
        for name, data in survived.items():
            self.on_durable(name, bytes(data), True)

    # --- what befalls a disk while its node is down

    def lose(self, name: str) -> None:
        """A file is gone."""
        self._durable.pop(name, None)
        self._current.pop(name, None)

    def wipe(self) -> None:
        """An empty disk takes its place."""
        for name in self._current:
            self.on_durable(name, b"", True)
        self._current, self._durable, self._powerless = {}, {}, False

    def copy(self) -> dict[str, bytes]:
        """Return what a backup of the files holds now."""
        return {name: bytes(data[: self._durable.get(name, 0)]) for name, data in self._current.items()}

    def put_back(self, files: Mapping[str, bytes]) -> None:
        """A backup's files, and no others, are there."""
        self.wipe()
        for name, data in files.items():
            self._current[name] = bytearray(data)
            self._durable[name] = len(data)
            self.on_durable(name, data, True)

    def rot(self) -> str:
        """One bit of one file is wrong; return which file. Empty where there is nothing to rot."""
        names = [name for name in sorted(self._current) if self._current[name]]
        if not names:
            return ""
        name = names[self._chance.randrange(len(names))]
        self.flip(name, self._chance.randrange(len(self._current[name])), self._chance.randrange(8))
        return name

    def flip(self, name: str, offset: int, bit: int) -> None:
        """One bit of a file is wrong."""
        self._current[name][offset] ^= 1 << bit

    # --- node.ports.Files

    def read(self, name: str) -> bytes | None:
        data = self._current.get(name)
        return None if data is None else bytes(data)

    def open_append(self, name: str) -> SimulatedFile:
        self._current.setdefault(name, bytearray())
        return SimulatedFile(self, name)

    def replace(self, name: str, data: bytes) -> None:
        if self.failure is not None:
            raise OSError(self.failure, os.strerror(self.failure))
        if not self._powerless or self._chance.random() < 0.5:
            self._current[name] = bytearray(data)
            self._durable[name] = len(data)
            self.on_durable(name, data, True)
        self._check_power()

    def truncate(self, name: str, size: int) -> None:
        self._check_power()
        del self._current[name][size:]
        self._durable[name] = size
        self.on_durable(name, bytes(self._current[name]), True)

    # --- for SimulatedFile

    def append(self, name: str, data: bytes) -> None:
        self._current[name] += data

    def sync(self, name: str) -> None:
        self._check_power()
        self.syncs += 1
        current, durable = self._current[name], self._durable.get(name, 0)
        self._durable[name] = len(current)
        if len(current) > durable:
            self.on_durable(name, bytes(current[durable:]), False)

    def size(self, name: str) -> int:
        return len(self._current[name])

    def _check_power(self) -> None:
        if self._powerless:
            raise PowerLost
        if self.failure is not None:
            raise OSError(self.failure, os.strerror(self.failure))


class SimulatedFile:
    """node.ports.AppendFile"""

    def __init__(self, disk: SimulatedDisk, name: str) -> None:
        self._disk = disk
        self._name = name

    def append(self, data: bytes) -> None:
        self._disk.append(self._name, data)

    def sync(self) -> None:
        self._disk.sync(self._name)

    def size(self) -> int:
        return self._disk.size(self._name)

    def close(self) -> None:
        pass


class SimulatedStore(MemoryStore):
    """A ledger's store on that disk: batches after the last synced one are lost when the power goes."""

    def __init__(self) -> None:
        super().__init__()
        self._durable: dict[bytes, bytes | None] = {}
        """What is durable under the keys of unsynced batches; None where nothing is."""

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        if sync:
            self._durable.clear()  # one log: what came before is durable too
        else:
            for key in changes:
                self._durable.setdefault(key, self.get(key))
        super().write_batch(changes, sync=sync)

    def copy(self) -> SimulatedStore:
        """Return a store with the same records, all durable."""
        made = SimulatedStore()
        made.write_batch(dict(self.iterate(b"")))
        return made

    def get_durable(self, key: bytes) -> bytes | None:
        """What `get` would answer if the power went now."""
        return self._durable[key] if key in self._durable else self.get(key)

    def lose_power(self) -> None:
        super().write_batch(self._durable)
        self._durable.clear()
