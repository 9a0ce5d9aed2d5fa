"""The bytes of artifacts on their way: cut into blocks here, uploaded parents first, downloaded and checked by block.

Nothing that a node sends is believed: every block must hash to the name under which it was asked for, and be a block
that the registered root and size allow at its place. A file appears under its final name only when it is complete.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from artifacts.chunk_store import ChunkStore
from artifacts.cid import check_block
from artifacts.errors import ArtifactError
from artifacts.holdings import Holding
from artifacts.reader import extract
from artifacts.unixfs import BuiltFile, build
from guildmark.errors import Denied, GuildmarkError, NotFound, Refused, Unreachable, VerificationFailed
from guildmark.identity import Account
from guildmark.partial_download import PartialDownload
from guildmark.transport import path, pause
from primitives.digest import domain

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all); called after each block."""
PARALLEL_BLOCKS: Final = 4
"""Blocks under way at a time and node, of at most 2 MiB each."""
NODES_AT_ONCE_MAX: Final = 4
"""Nodes that a download asks at once; more take their turns."""
REGISTRATION_WAIT_S: Final = 15.0
"""How long a node may lag behind the block that registered what is uploaded to it."""
UPLOAD_ROUNDS_MAX: Final = 4
"""How often an upload begins again at the root, after its node went away."""
REQUEST_LIFETIME_MS: Final = 50_000
"""A signed request holds for at most 60 s; the rest is for clocks that differ."""
_REQUEST: Final = domain("artifact-request")
_ELSEWHERE: Final = (401, 403, 404, 409)
"""Another node may be further on, or hold more."""


class LocalArtifact:
    """A file or directory cut into blocks in a temporary directory, which `close` removes."""

    def __init__(self, source: Path | str) -> None:
        """Read the whole source once.

        Raises:
            Refused: `artifact.*`, the source cannot be an artifact. OSError: it cannot be read.
        """
        self.source = Path(source)
        self._directory = tempfile.mkdtemp(prefix="guildmark-upload-")
        try:
            self.store = ChunkStore(Path(self._directory))
            self.built: BuiltFile = build(self.source, self.store.put)
        except ArtifactError as error:
            self.close()
            raise Refused(error.code, f"{self.source}: {error.message}") from error
        except BaseException:
            self.close()
            raise

    @property
    def cid(self) -> str:
        return self.built.cid

    @property
    def size_bytes(self) -> int:
        """Bytes of content."""
        return self.built.size_bytes

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> LocalArtifact:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def authorization(account: Account, network_id: bytes, root: str, method: str, expires_ms: int) -> str:
    """The `Authorization` header of a request for blocks of the artifact `root`."""
    message = _REQUEST + network_id + b"\x00".join([root.encode("ascii"), method.encode("ascii"), b"%d" % expires_ms])
    signature = account.key.sign(message).hex()
    return (
        f'Guildmark account="{account.text}",key="{account.key_text}",expires_ms="{expires_ms}",signature="{signature}"'
    )


class AsyncArtifacts:
    """Upload, download and whereabouts of artifacts."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def whereabouts(self, root: str) -> dict[str, Any]:
        """What the answering node holds of an artifact, and which validators have stated that they hold all of it."""
        answer: dict[str, Any] = await self._client.transport.get_json(path("artifacts", root))
        return answer

    async def wait_held(self, root: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until a quorum of validators has stated that it holds the artifact.

        Raises:
            Unreachable: `artifact.not_held` after `timeout_s`. NotFound: `artifact.not_registered`, and still so after
                `REGISTRATION_WAIT_S`.
        """
        async with _deadline(timeout_s, "artifact.not_held", f"no quorum of validators holds {root} yet"):
            given_up = asyncio.get_running_loop().time() + REGISTRATION_WAIT_S
            while True:
                try:
                    if (found := await self.whereabouts(root))["held_quorum"]:
                        return found
                except NotFound:  # the node that answers may be behind the one that has executed the registration
                    if asyncio.get_running_loop().time() >= given_up:
                        raise
                await pause(0.1)

    async def upload(self, artifact: LocalArtifact, progress: Progress | None = None) -> None:
        """Send the blocks of a registered artifact to a node, parents first: those that it says to lack, so an
        interrupted upload goes on where it was.

        A node that does not tell who asks what it lacks gets all of them; what it holds costs one answer.

        Raises:
            Refused: `artifact.not_registered` and others. Unreachable: no node takes it.
        """
        for attempt in range(1, UPLOAD_ROUNDS_MAX + 1):
            try:
                try:
                    await self._upload_missing(artifact, progress)
                except _NotTold:
                    await self._upload_from_root(artifact, progress)
                return
            except (Refused, NotFound) as error:
                if attempt == UPLOAD_ROUNDS_MAX or not error.code.startswith("manifest."):
                    raise

    async def _upload_missing(self, artifact: LocalArtifact, progress: Progress | None) -> None:
        total, blocks = artifact.store.size_bytes, sum(1 for _ in artifact.store.iterate())
        done: int | None = None
        held = -1

        async def send(cid: str) -> None:
            nonlocal done
            data = await asyncio.to_thread(artifact.store.get, cid)
            await self._put(artifact.cid, cid, data)
            assert done is not None
            done = min(total, done + len(data))
            if progress:
                progress(done, total)

        while True:
            told = await self._missing(artifact.cid)
            if told["complete"]:
                break
            if done is None:
                done = total * told["blocks_held"] // blocks
                if progress and done:
                    progress(done, total)
            if told["blocks_held"] <= held:
                raise Refused("manifest.not_linked", "the node took blocks and does not hold them")
            held = told["blocks_held"]
            for start in range(0, len(told["missing"]), PARALLEL_BLOCKS):
                await _together([send(cid) for cid in told["missing"][start : start + PARALLEL_BLOCKS]])
        if progress:
            progress(total, total)

    async def _missing(self, root: str) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + REGISTRATION_WAIT_S
        while True:
            try:
                answer = await self._client.transport.request(
                    "GET", path("artifacts", root, "missing"), headers=await self._headers(root)
                )
                told: dict[str, Any] = answer.json()
                return told
            except (Denied, Refused, NotFound) as error:
                late = asyncio.get_running_loop().time() >= deadline
                if late or error.code != "artifact.not_registered":
                    raise _NotTold from error
                await pause(0.1)

    async def _upload_from_root(self, artifact: LocalArtifact, progress: Progress | None) -> None:
        sent: dict[str, bytes] = {}
        holding = Holding(artifact.cid, artifact.size_bytes, _NoBlocks())
        done, total = 0, artifact.store.size_bytes

        async def send(cid: str) -> None:
            nonlocal done
            data = await asyncio.to_thread(artifact.store.get, cid)
            await self._put(artifact.cid, cid, data)
            sent[cid] = data
            done += len(data)
            if progress:
                progress(done, total)

        while not holding.complete:
            wanted = holding.missing(PARALLEL_BLOCKS)
            await _together([send(cid) for cid in wanted])
            for cid in wanted:
                holding.add(cid, sent.pop(cid))

    async def _put(self, root: str, cid: str, data: bytes) -> None:
        deadline = asyncio.get_running_loop().time() + REGISTRATION_WAIT_S
        while True:
            try:
                await self._client.transport.request("PUT", path("artifacts", root, "blocks", cid), body=data)
                return
            except (Refused, NotFound) as error:
                late = asyncio.get_running_loop().time() >= deadline
                if late or error.code != "artifact.not_registered":
                    raise
                await pause(0.1)

    async def download(
        self,
        root: str,
        size_bytes: int,
        destination: Path | str,
        *,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Fetch an artifact whose root and size the ledger has registered, and write it to `destination`.

        Requests are signed by the client's account, where it has one, and go to all of the client's nodes at once.
        What was fetched stays beside the destination when the download is interrupted; the next one goes on from it.

        Raises:
            Denied: `artifact.*` (not signed) or a reason of `licenses.check`. NotFound: no node holds a block.
            VerificationFailed: what nodes sent is not the artifact. Refused: `download.exists`, `download.under_way`.
        """
        destination = Path(destination)
        if destination.exists() and not overwrite:
            raise Refused("download.exists", f"{destination} exists")
        try:
            with await asyncio.to_thread(PartialDownload, destination, root, size_bytes) as part:
                await self._fetch_all(part, progress)
                content = part.directory / "content"
                await asyncio.to_thread(_extract_anew, root, part.store, content)
                part.finish(content, overwrite=overwrite)
        except ArtifactError as error:
            raise VerificationFailed(error.code, error.message) from error
        return destination

    async def fetch_block(self, root: str, cid: str, *, signed: bool = True) -> bytes:
        """Fetch one block of an artifact, checked against its name; `signed=False` asks as a stranger.

        Raises:
            As `download`.
        """
        headers = await self._headers(root) if signed else {}
        return await self._fetch(root, cid, headers, lambda block: check_block(cid, block))

    async def _fetch_all(self, part: PartialDownload, progress: Progress | None) -> None:
        holding, store = part.holding, part.store
        done, headers, signed_at = 0, await self._headers(holding.root), asyncio.get_running_loop().time()
        fetched: dict[str, bytes] = {}
        turns = _Turns(len(self._client.transport.urls))

        async def fetch(cid: str) -> None:
            nonlocal done
            data = await self._fetch(holding.root, cid, headers, lambda block: holding.check(cid, block), turns)
            await asyncio.to_thread(store.put, cid, data)
            fetched[cid] = data
            done += len(data)
            if progress:
                progress(min(done, holding.size_bytes), holding.size_bytes)

        done = part.resumed_bytes
        if progress and done:
            progress(done, holding.size_bytes)
        while not holding.complete:
            if asyncio.get_running_loop().time() - signed_at > REQUEST_LIFETIME_MS / 2000:
                headers, signed_at = await self._headers(holding.root), asyncio.get_running_loop().time()
            wanted = holding.missing(PARALLEL_BLOCKS * min(turns.nodes, NODES_AT_ONCE_MAX))
            try:
                await _together([fetch(cid) for cid in wanted])
            finally:
                for cid in wanted:  # what came before a failure is kept
                    if cid in fetched:
                        holding.add(cid, fetched.pop(cid))

    async def _headers(self, root: str) -> dict[str, str]:
        account = self._client.account
        if account is None:
            return {}
        expires_ms = await self._client.network_time_ms() + REQUEST_LIFETIME_MS
        return {"Authorization": authorization(account, await self._client.network_id(), root, "GET", expires_ms)}

    async def _fetch(
        self,
        root: str,
        cid: str,
        headers: dict[str, str],
        check: Callable[[bytes], object],
        turns: _Turns | None = None,
    ) -> bytes:
        """Fetch a block from the first node whose bytes hold."""
        wrong: ArtifactError | None = None
        urls = self._client.transport.urls
        for first in [None] * len(urls) if turns is None else turns.order():
            answer = await self._client.transport.request(
                "GET",
                path("artifacts", root, "blocks", cid),
                headers=headers,
                other_node_on=_ELSEWHERE,
                first=first,
            )
            if turns is not None and first is not None and not answer.url.startswith(urls[first] + "/"):
                turns.failed(first)
            try:
                check(answer.body)
                return answer.body
            except ArtifactError as error:
                wrong = error
                if turns is None:
                    self._client.transport.prefer_next()
                else:
                    turns.failed(next(n for n, url in enumerate(urls) if answer.url.startswith(url + "/")))
        assert wrong is not None
        raise VerificationFailed(wrong.code, wrong.message)


class _Turns:
    """Which node each block is asked of first: all in turn, but those that failed only where others did as well."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self._able = list(range(nodes))
        self._turn = 0

    def order(self) -> list[int]:
        """The nodes in which one block is asked for."""
        self._turn += 1
        turn = self._turn % max(1, len(self._able))
        return [*self._able[turn:], *self._able[:turn], *(n for n in range(self.nodes) if n not in self._able)]

    def failed(self, node: int) -> None:
        """The node did not answer, or not rightly: for the rest of the download it comes last."""
        if node in self._able:
            self._able.remove(node)


class _NotTold(Exception):
    """The node does not say which blocks it lacks."""


def _extract_anew(root: str, store: ChunkStore, content: Path) -> None:
    """Write the artifact to `content`, which an interrupted download may have left."""
    if content.is_dir():
        shutil.rmtree(content)
    else:
        content.unlink(missing_ok=True)
    extract(root, store.get, content)


async def _together(jobs: Sequence[Awaitable[None]]) -> None:
    """Run all and wait for all, then raise the first failure: nothing goes on in the background."""
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


class _NoBlocks:
    """A store that holds nothing: the walk then begins at the root."""

    def block_bytes(self, cid: str) -> int | None:  # noqa: ARG002 - the walk's port
        return None

    def get(self, cid: str) -> bytes:
        raise NotFound("chunk.missing", cid)


class _deadline:
    """Turns the end of `timeout_s` into `Unreachable` with a code."""

    def __init__(self, timeout_s: float, code: str, message: str) -> None:
        self._timeout = asyncio.timeout(timeout_s)
        self._error: GuildmarkError = Unreachable(f"{message} after {timeout_s:.0f} s", code)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            raise self._error from expired
