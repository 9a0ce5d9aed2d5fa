"""What the node reads from the ledger about artifacts, through its named queries.

An answer may be a Struct or, from an executor in another process, a plain value: both are read by field name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, TypeVar

import msgspec

from ledger.errors import LedgerError

PAGE: Final = 200

T = TypeVar("T")


class QueryResult(Protocol):
    @property
    def result(self) -> Any: ...


class Queries(Protocol):
    """Reads of the executed head."""

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryResult:
        """Raises LedgerError."""
        ...


class Holder(msgspec.Struct, frozen=True):
    node_id: str


class Takedown(msgspec.Struct, frozen=True):
    reason: str
    since_ms: int


class VersionFacts(msgspec.Struct, frozen=True):
    """A registered version, or what a contribution proposes (version 0), as far as its bytes go."""

    asset: str
    version: int
    cid: str
    size_bytes: int
    holders: tuple[Holder, ...]
    held_quorum: int
    taken_down: Takedown | None = None
    contribution: str | None = None
    """That proposes it; of a version that has brought it."""

    @property
    def space(self) -> str:
        """For what its blocks are brought: the asset, or while it is proposed the contribution. Whoever proposes a
        directory that names blocks of the asset must not read these."""
        return self.contribution if self.version == 0 and self.contribution is not None else self.asset

    @property
    def key(self) -> tuple[str, int]:
        """Names it among all."""
        return self.space, self.version

    def held_by(self, node_id: str) -> bool:
        """Whether the node's statement is in the ledger."""
        return any(holder.node_id == node_id for holder in self.holders)


class _Claim(msgspec.Struct, frozen=True):
    asset: str
    version: int


class _Proposed(msgspec.Struct, frozen=True):
    contribution: str
    asset: str
    cid: str
    size_bytes: int

    def facts(self) -> VersionFacts:
        """What is proposed is held by whoever can, and stated by nobody."""
        return VersionFacts(self.asset, 0, self.cid, self.size_bytes, (), 1, None, self.contribution)


class _Summary(msgspec.Struct, frozen=True):
    asset: str


async def version_of(queries: Queries, root: str) -> VersionFacts | None:
    """The first version that has the artifact `root`, or what an open contribution proposes; None when there is
    neither."""
    registered = await _registered(queries, root)
    if registered is not None:
        return registered
    try:
        answer = await queries.query("contributions.by_artifact", {"cid": root})
    except LedgerError as error:
        if error.code != "query.not_found":
            raise
        # Blocks are executed between two questions: it may have been accepted since the first.
        return await _registered(queries, root)
    return _read(answer.result, _Proposed).facts()


async def _registered(queries: Queries, root: str) -> VersionFacts | None:
    try:
        claim = _read((await queries.query("assets.by_artifact", {"cid": root})).result, _Claim)
        return await version(queries, claim.asset, claim.version)
    except LedgerError as error:
        if error.code != "query.not_found":
            raise
        return None


async def version(queries: Queries, asset: str, number: int) -> VersionFacts:
    """A version by number. Raises LedgerError `query.not_found`."""
    return _read((await queries.query("assets.version", {"asset": asset, "version": number})).result, VersionFacts)


async def all_versions(queries: Queries) -> AsyncIterator[VersionFacts]:
    """Every version of every asset, a page at a time."""
    async for asset in _assets(queries):
        number = 0
        while versions := await _versions(queries, asset, number):
            for facts in versions:
                yield facts
            number = versions[-1].version


async def all_proposed(queries: Queries) -> AsyncIterator[VersionFacts]:
    """What every open contribution proposes, asset by asset: the ledger keeps them so, apart from the accepted ones,
    which grow without end. So few are open to one asset that a page holds them."""
    async for asset in _assets(queries):
        answer = await queries.query("contributions.list", {"asset": asset, "limit": PAGE})
        for proposed in _read(answer.result, list[_Proposed]):
            yield proposed.facts()


async def _assets(queries: Queries) -> AsyncIterator[str]:
    """Every asset, a page at a time."""
    last = ""
    while True:
        arguments: dict[str, str | int] = {"limit": PAGE, **({"after": last} if last else {})}
        page = _read((await queries.query("assets.list", arguments)).result, list[_Summary])
        for summary in page:
            yield summary.asset
        if len(page) < PAGE:
            return
        last = page[-1].asset


async def is_known(queries: Queries, space: str) -> bool:
    """Whether blocks may be kept for this: an asset, or a contribution that is open, or whose version takes them
    over."""
    for name, argument in (("assets.get", "asset"), ("contributions.get", "contribution")):
        try:
            await queries.query(name, {argument: space})
        except LedgerError as error:
            if error.code != "query.not_found":
                raise
            continue
        return True
    return False


async def versions_of(queries: Queries, asset: str) -> list[VersionFacts]:
    """All versions of one asset."""
    found: list[VersionFacts] = []
    while page := await _versions(queries, asset, found[-1].version if found else 0):
        found += page
    return found


async def _versions(queries: Queries, asset: str, after: int) -> list[VersionFacts]:
    answer = await queries.query("assets.versions", {"asset": asset, "after": after, "limit": PAGE})
    return _read(answer.result, list[VersionFacts])


def _read(value: Any, expected: type[T]) -> T:
    return msgspec.convert(value, expected, from_attributes=True)
