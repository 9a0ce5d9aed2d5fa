"""Chains of headers alone, for light clients: sets that change as a test says, blocks that a quorum signed, and
providers that show them, or lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ledger.block import Header, block_hash
from ledger.light.blocks import GenesisPoint, LightBlock
from ledger.light.client import Ask, At, EpochEnd, LightClient, LightState
from ledger.validators import ValidatorRecord, ValidatorSet
from primitives.finality import FinalityCertificate, finality_statement
from primitives.keys import SigningKey
from primitives.quorum import quorum

NETWORK = hashlib.sha256(b"a network of headers").digest()
START_MS = 1_700_000_000_000
Names = Sequence[str]


@lru_cache(maxsize=4096)
def key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


@lru_cache(maxsize=4096)
def members(names: tuple[str, ...]) -> ValidatorSet:
    return ValidatorSet(
        tuple(
            ValidatorRecord(name, hashlib.sha256(name.encode()).digest(), name, key(name).public_key, b"", "h:1", 0)
            for name in names
        )
    )


class HeaderChain:
    """`sets` are those of epoch 0, 1, ...; each epoch but the last has `length` blocks, the last goes on for ever."""

    def __init__(
        self,
        sets: Sequence[Names],
        length: int = 4,
        *,
        salt: bytes = b"",
        signers: Callable[[int, tuple[str, ...]], Names] | None = None,
        certified: Callable[[int], bool] = lambda _height: True,
    ) -> None:
        self.sets = [tuple(names) for names in sets]
        self.length = length
        self.headers: list[Header] = []
        self._signers = signers or (lambda _height, names: names[: quorum(len(names))])
        self._certified = certified
        self._salt = salt
        while len(self.headers) < len(sets) * length:
            self._grow()

    @property
    def height(self) -> int:
        return len(self.headers)

    def _grow(self) -> None:
        height = self.height + 1
        epoch = min((height - 1) // self.length, len(self.sets) - 1)
        end = (epoch + 1) * self.length if epoch + 1 < len(self.sets) else 0
        known = end if height + 1 >= end else 0
        following = self.sets[epoch + 1 if height == end else epoch]
        self.headers.append(
            Header(
                version=1,
                network_id=NETWORK,
                height=height,
                parent_hash=block_hash(self.headers[-1]) if self.headers else bytes(32),
                epoch=epoch,
                proposer=0,
                timestamp_ms=START_MS + 1_000 * height,
                transactions_root=bytes(32),
                receipts_root=bytes(32),
                state_root=hashlib.sha256(b"%d" % height + self._salt).digest(),
                validator_set_hash=members(self.sets[epoch]).hash(),
                next_validator_set_hash=members(following).hash(),
                epoch_end=known,
            )
        )

    def header(self, height: int) -> Header:
        return self.headers[height - 1]

    def block(self, height: int) -> LightBlock:
        header, trail = self.header(height), []
        while not (
            self._certified(height + len(trail)) or self.header(height + len(trail)).epoch_end == height + len(trail)
        ):
            trail.append(self.header(height + len(trail) + 1))
        last = trail[-1] if trail else header
        names = self.sets[header.epoch]
        return LightBlock(header, tuple(trail), sign(last, names, self._signers(last.height, names)), members(names))

    def end(self, epoch: int) -> LightBlock:
        return self.block((epoch + 1) * self.length)

    def fetch(self, ask: Ask) -> LightBlock:
        """Answer as an honest node does."""
        if isinstance(ask, At):
            return self.block(ask.height)
        return self.end(ask.epoch) if isinstance(ask, EpochEnd) else self.block(self.height)

    def client(self, **options: Any) -> LightClient:
        point = GenesisPoint(members(self.sets[0]), START_MS)
        return LightClient(LightState(1, NETWORK, point, ()), **options)


def sign(header: Header, names: Names, signers: Names) -> FinalityCertificate:
    """Let `signers`, of the set `names`, certify a header."""
    hashed = block_hash(header)
    statement = finality_statement(NETWORK, header.epoch, header.height, hashed, header.epoch_end)
    votes = tuple((index, key(name).sign(statement)) for index, name in enumerate(names) if name in signers)
    return FinalityCertificate(header.epoch, header.height, hashed, header.epoch_end, votes)


class Counting:
    """A provider that notes what it was asked."""

    def __init__(self, fetch: Callable[[Ask], LightBlock]) -> None:
        self._fetch = fetch
        self.asked: list[Ask] = []

    def __call__(self, ask: Ask) -> LightBlock:
        self.asked.append(ask)
        return self._fetch(ask)


def resigned(block: LightBlock, signers: Names, **changes: Any) -> LightBlock:
    """Return a block with a changed header, certified by `signers` of its set."""
    header = msgspec.structs.replace(block.header, **changes)
    names = [member.organization for member in block.members.validators]
    return LightBlock(header, (), sign(header, names, signers), block.members)
