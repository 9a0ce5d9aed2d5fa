"""All records of a state in the order of their paths, in bounded memory: they are dealt out by the first digits of
their paths, into memory and from there to files, and taken up one subtree after the other."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from ledger.snapshot.format import CHUNK_BYTES_TARGET, RECORD_OVERHEAD_BYTES
from ledger.snapshot.shelf import disk_error
from ledger.snapshot.subtrees import Chunk, Record, cut
from primitives.codec import encode

DIGITS: Final = 2
"""Digits by which one level deals out."""
HELD_BYTES_MAX: Final = 32 * 1024 * 1024
"""Records in memory while they are dealt out; then they go to files."""
BUCKET_BYTES_MAX: Final = 128 * 1024 * 1024
"""A larger bucket is dealt out once more, by its next digits, instead of being sorted in memory."""
RECORDS_PER_STEP: Final = 64
_LENGTH_BYTES: Final = 4

_read_flat: Final = msgspec.msgpack.Decoder(list[bytes]).decode


class Buckets:
    """Records that share `prefix`, by their next digits."""

    def __init__(self, prefix: str, directory: Path) -> None:
        """`directory` is made when memory does not do, and removed by `close`."""
        self._prefix = prefix
        self._directory = directory
        self._held: dict[str, list[bytes]] = {}
        """[key, value, ...] by bucket."""
        self._held_bytes = 0
        self._bytes: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def fill(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
        """Deal out `records` (key, value), in small steps."""
        sha256, start, end = hashlib.sha256, len(self._prefix), len(self._prefix) + DIGITS
        held, sizes, counts = self._held, self._bytes, self._counts
        for number, (key, value) in enumerate(records, 1):
            name = sha256(key).hexdigest()[start:end]
            size = len(key) + len(value) + RECORD_OVERHEAD_BYTES
            if name in held:
                held[name] += (key, value)
            else:
                held[name] = [key, value]
            sizes[name] = sizes.get(name, 0) + size
            counts[name] = counts.get(name, 0) + 1
            self._held_bytes += size
            if self._held_bytes > HELD_BYTES_MAX:
                yield from self._spill()
            if number % RECORDS_PER_STEP == 0:
                yield

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks of all records, in order, with bounded memory."""
        names = sorted(self._bytes)
        yield from self._cut("", names)

    def close(self) -> None:
        self._held.clear()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _cut(self, digits: str, names: list[str]) -> Iterator[Chunk]:
        """Cut the subtree at `digits` below the prefix, which consists of these buckets: as `subtrees.cut` does."""
        size, several = sum(self._bytes[name] for name in names), sum(self._counts[name] for name in names) > 1
        if len(digits) < DIGITS and size > CHUNK_BYTES_TARGET and several:
            for below in sorted({name[: len(digits) + 1] for name in names}):
                yield from self._cut(below, [name for name in names if name.startswith(below)])
            return
        prefix = self._prefix + digits
        if len(digits) == DIGITS and size > BUCKET_BYTES_MAX and several:
            yield from self._deal_again(prefix, names)
            return
        flat = [part for name in names for part in self._take(name)]
        keyed = zip(flat[::2], flat[1::2], strict=True)
        yield from cut(prefix, sorted(Record(hashlib.sha256(key).hexdigest(), key, value) for key, value in keyed))

    def _deal_again(self, prefix: str, names: list[str]) -> Iterator[Chunk]:
        below = Buckets(prefix, self._directory.joinpath(f"below-{prefix}"))
        try:
            for name in names:
                flat = self._frames(name)
                for _ in below.fill(
                    (key, value) for part in flat for key, value in zip(*[iter(part)] * 2, strict=True)
                ):
                    pass
            yield from below.chunks()
        finally:
            below.close()

    def _spill(self) -> Iterator[None]:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for name, flat in self._held.items():
                data = encode(flat)
                with self._directory.joinpath(name).open("ab") as file:
                    file.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
                yield
        except OSError as error:
            raise disk_error(self._directory, error) from error
        self._held.clear()
        self._held_bytes = 0

    def _take(self, name: str) -> list[bytes]:
        return [part for frame in self._frames(name) for part in frame]

    def _frames(self, name: str) -> Iterator[list[bytes]]:
        """Yield what a bucket holds, and let go of it."""
        path = self._directory.joinpath(name)
        if path.exists():
            with path.open("rb") as file:
                while length := file.read(_LENGTH_BYTES):
                    yield _read_flat(file.read(int.from_bytes(length, "big")))
            path.unlink()
        yield self._held.pop(name, [])
