"""A node's services in memory, for tests of the API without a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from artifacts import cid as cids
from artifacts.errors import ChunkMissing
from consensus.engine import EngineStatus
from ledger.certificates.subjects import AssetSubject, Subject
from ledger.errors import InvalidProof, InvalidTransaction, LedgerError
from ledger.search.reader import SearchAnswer
from ledger.search.request import Search
from ledger.transaction import decode_transaction
from node.configuration import Api as ApiSettings
from node.http.application import Api
from node.http.connections import Server
from node.http.services import (
    ArtifactStatus,
    BlockUpload,
    ExecutedIds,
    NodeStatus,
    QueryAnswer,
    Submitted,
    TransactionState,
    UnknownArtifact,
)
from node.http.table import router
from primitives.finality import FinalityCertificate

NOW_MS = 1_700_000_000_000


HEAD = 7


class FakeCertificates:
    async def light_block(self, height: int | None) -> bytes:
        return b"light block %d" % (HEAD if height is None else height)

    async def epoch_end(self, epoch: int) -> bytes:
        return b"end of epoch %d" % epoch

    async def certificate(self, subject: Subject, since: int | None, height: int | None) -> bytes:
        if subject == AssetSubject(b"\xab" * 32):
            raise LedgerError("query.not_found", "no such asset")
        return b"%r since %r at %r" % (subject, since, height)


class FakeArtifacts:
    def __init__(self) -> None:
        self.registered: dict[str, str] = {}
        self.blocks: dict[str, bytes] = {}

    async def store(self, root: str, cid: str, data: bytes) -> BlockUpload:
        if root not in self.registered:
            raise UnknownArtifact(root)
        cids.check_block(cid, data)
        new = cid not in self.blocks
        self.blocks[cid] = data
        return BlockUpload(new, complete=True)

    async def read(self, root: str, cid: str) -> bytes:
        if cid not in self.blocks:
            raise ChunkMissing(cid)
        return self.blocks[cid]

    async def status(self, root: str) -> ArtifactStatus:
        raise UnknownArtifact(root)

    async def owner_asset(self, root: str) -> str:
        if root not in self.registered:
            raise UnknownArtifact(root)
        return self.registered[root]


class FakeServices:
    """Takes every well-formed transaction; queries are answered from a table."""

    network_id = bytes(32)
    genesis = b'{"version": 1}'

    def __init__(self) -> None:
        self.artifacts = FakeArtifacts()
        self.certificates = FakeCertificates()
        self.head = 5
        self.states: dict[str, TransactionState] = {}
        self.answers: dict[tuple[str, tuple[tuple[str, str | int], ...]], Any] = {}
        self.submitted: list[bytes] = []
        self.full = False
        self.kept = True
        self.reasons: tuple[str, ...] = ()
        self.crash = False
        self.searches: list[Search] = []
        self.searched = 5
        """The height that the search is at."""

    def height(self) -> int:
        return self.head

    def certified_height(self) -> int:
        return self.head

    def now_ms(self) -> int:
        return NOW_MS

    def keeps_artifacts(self) -> bool:
        return self.kept

    def readiness(self) -> tuple[str, ...]:
        return self.reasons

    def engine_status(self) -> EngineStatus:
        raise NotImplementedError

    def metrics(self) -> bytes:
        if self.crash:
            raise RuntimeError("a secret that no client may see")
        return b"up 1\n"

    async def status(self) -> NodeStatus:
        raise NotImplementedError

    async def submit(self, data: bytes) -> Submitted:
        try:
            transaction = decode_transaction(data)
        except InvalidTransaction as error:
            return Submitted("", error.code, error.message)
        identifier = transaction.id.hex()
        if not transaction.verify():
            return Submitted(identifier, "transaction.bad_signature", "the signature does not verify")
        if identifier in self.states:
            return Submitted(identifier, known=True)
        self.submitted.append(data)
        self.states[identifier] = TransactionState(identifier, "pending")
        return Submitted(identifier)

    async def submit_many(self, transactions: list[bytes]) -> list[Submitted]:
        return [await self.submit(data) for data in transactions]

    async def submit_codes(self, transactions: list[bytes]) -> list[str]:
        if self.full:
            return ["pool.full"] * len(transactions)
        return [(await self.submit(data)).code for data in transactions]

    async def transaction(self, identifier: bytes) -> TransactionState:
        return self.states.get(identifier.hex(), TransactionState(identifier.hex(), "unknown"))

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        found = self.answers.get((name, tuple(sorted(arguments.items()))))
        if found is None:
            raise LedgerError("query.not_found", f"nothing answers {name}")
        return QueryAnswer(self.head, NOW_MS, found)

    async def search(self, search: Search) -> SearchAnswer:
        self.searches.append(search)
        return SearchAnswer(self.searched, NOW_MS, (), None)

    async def block_certificate(self, height: int) -> FinalityCertificate | None:
        return None

    async def executed_ids(self, first: int, count: int) -> list[ExecutedIds]:
        return [ExecutedIds(first, bytes(32), bytes(32), bytes(32), ())]

    async def prove(self, key: bytes, height: int | None = None) -> bytes:
        if height is not None and height > 3:
            raise InvalidProof("proof.future", "the head is 3")
        if height == 0:
            raise InvalidProof("proof.pruned", "the oldest is 1")
        return b"proof of " + key

    async def prove_records(self, keys: Sequence[bytes], height: int | None) -> tuple[int, list[bytes | None], bytes]:
        return 3 if height is None else height, [None for _ in keys], b"proof of " + b"".join(keys)


class Served:
    """A running API."""

    def __init__(self, api: Api, server: Server, services: FakeServices, port: int) -> None:
        self.api = api
        self.server = server
        self.services = services
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.observed: list[tuple[str, str, int]] = []

    async def raw(self, data: bytes, *, seconds: float = 10.0) -> bytes:
        """Send bytes on a new connection and return all that comes until the node closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(seconds):
                return await reader.read(-1)
        finally:
            writer.close()


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Served]:
    """Serve the API on a free loopback port, with the deadlines and bounds that `settings` names."""
    services = FakeServices()
    made: list[Served] = []
    api = Api(services, router(), ApiSettings(**settings), observe=lambda m, r, s: made[0].observed.append((m, r, s)))
    server = api.server()
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    made.append(Served(api, server, services, listener.sockets[0].getsockname()[1]))
    try:
        yield made[0]
    finally:
        listener.close()
        api.waiters.close()
        server.pre_shutdown()
        await server.shutdown(1.0)
        await listener.wait_closed()


def problem(body: bytes) -> dict[str, Any]:
    """Decode a problem document and check that it has the members of RFC 9457 and ours."""
    document = msgspec.json.decode(body, type=dict[str, Any])
    assert {"type", "title", "status", "detail", "code"} <= document.keys()
    return document
