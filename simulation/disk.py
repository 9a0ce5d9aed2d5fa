"""A disk whose unsynced writes are lost, or torn, in a crash."""

from __future__ import annotations

import random


class SimulatedDisk:
    """Files of one node, in memory. What is durable survives `crash`; of the rest a random part does."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._durable: dict[str, bytes] = {}
        self._current: dict[str, bytearray] = {}
        self.syncs = 0

    def crash(self) -> None:
        """Lose what was not synced; an appended tail may survive in part, as a torn write does."""
        survived = {}
        for name, durable in self._durable.items():
            tail = bytes(self._current[name][len(durable) :]) if name in self._current else b""
            survived[name] = durable + tail[: self._chance.randint(0, len(tail))]
        self._durable = survived
        self._current = {name: bytearray(data) for name, data in survived.items()}

    # --- node.ports.Files

    def read(self, name: str) -> bytes | None:
        data = self._current.get(name)
        return None if data is None else bytes(data)

    def open_append(self, name: str) -> SimulatedFile:
        self._current.setdefault(name, bytearray())
        return SimulatedFile(self, name)

    def replace(self, name: str, data: bytes) -> None:
        self._current[name] = bytearray(data)
        self._durable[name] = data

    def truncate(self, name: str, size: int) -> None:
        del self._current[name][size:]
        self._durable[name] = bytes(self._current[name])

    # --- for SimulatedFile

    def append(self, name: str, data: bytes) -> None:
        self._current[name] += data

    def sync(self, name: str) -> None:
        self.syncs += 1
        self._durable[name] = bytes(self._current[name])

    def size(self, name: str) -> int:
        return len(self._current[name])


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
