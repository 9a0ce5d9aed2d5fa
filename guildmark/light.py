"""A light client over HTTP: asks several nodes, believes none, and names those that lie.

Nothing is trusted but what a network's own validators certified, from the genesis hash (or a block that you know) on;
`ledger.light` decides. One node is asked for the way, all others whether they have the same block.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guildmark.certificates import certificate_path, verify_certificate
from guildmark.errors import GuildmarkError, NotFound, Refused, Unreachable, VerificationFailed
from guildmark.transport import Transport, path

if TYPE_CHECKING:
    from collections.abc import Generator

    from ledger.certificates.subjects import Subject
    from ledger.certificates.verified import Verified
    from ledger.light.blocks import LightBlock
    from ledger.light.client import Ask, Fork, LightClient
    from ledger.light.trust import Trusted

NODE_TIMEOUT_S: Final = 5.0
"""How long one node may fail before the next is asked."""


class Liar(NamedTuple):
    """A node that sent what does not hold."""

    url: str
    code: str
    message: str


class TrustedBlock(NamedTuple):
    """A block that the client has come to trust."""

    height: int
    block_hash: bytes
    state_root: bytes
    block_time_ms: int
    epoch: int
    agreeing: tuple[str, ...]
    """Nodes that have this very block, the one that showed the way among them."""
    liars: tuple[Liar, ...]
    """Nodes whose answers did not hold, in this update."""


class ForkDetected(VerificationFailed):
    """Two certified blocks of one height: more than f validators have broken the protocol. `evidence` has both."""

    def __init__(self, url: str, evidence: tuple[LightBlock, LightBlock], signers: set[bytes]) -> None:
        ours, _ = evidence
        super().__init__("light.fork", f"{url} shows another certified block of height {ours.height}")
        self.url = url
        self.evidence = evidence
        self.double_signers = signers
        """Keys under both blocks."""


class AsyncLightClient:
    """Follows one network. `genesis_hash` (32 bytes or hex) is all that is believed.

    `state` is what `dump` returned once; `trust_period_ms` makes blocks older than that no ground for new trust, so
    that keys of former members which are stolen later cannot show another chain (then `pin` a block).
    """

    def __init__(
        self,
        genesis_hash: bytes | str,
        urls: str | Sequence[str],
        *,
        state: bytes | None = None,
        trust_period_ms: int | None = None,
    ) -> None:
        self.network_id = bytes.fromhex(genesis_hash) if isinstance(genesis_hash, str) else genesis_hash
        self.urls = (urls,) if isinstance(urls, str) else tuple(urls)
        self.liars: dict[str, Liar] = {}
        """Every node that has lied to this client, and how the first time. They are not asked again."""
        self._trust_period_ms = trust_period_ms
        self._transports = {url: Transport(url, retry_timeout_s=NODE_TIMEOUT_S) for url in self.urls}
        self._client: LightClient | None = None if state is None else self._restored(state)

    async def __aenter__(self) -> AsyncLightClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.close()

    def dump(self) -> bytes | None:
        """Return what is trusted as bytes, to go on from later; None before the first update."""
        return None if self._client is None else self._client.dump()

    async def update(self, height: int | None = None) -> TrustedBlock:
        """Come to trust the block of a height, or the newest one that any node shows, and ask the other nodes whether
        they have it too.

        Raises:
            ForkDetected: with the evidence. VerificationFailed: every node lied. Unreachable: none answered.
        """
        led = await self._agree(*await self._first(lambda client: client.update(height, now_ms=_now_ms())))
        return led if height is not None else await self._fresher(led)

    async def pin(self, height: int, block_hash: bytes) -> TrustedBlock:
        """Trust a block that you know from elsewhere, and nothing else. Raises as `update`."""
        url, trusted, _, liars = await self._first(lambda client: client.pin(height, block_hash))
        assert self._client is not None
        return await self._agree(url, trusted, self._client.dump(), liars)

    async def certified(self, subject: Subject, *, height: int | None = None) -> Verified:
        """Fetch what the state says of a subject (`ledger.certificates.subjects`), proven from what is trusted on.

        Raises:
            NotFound: no node shows it, and at least one says that it is not there. That is no proof: ask for an
                `AbsenceSubject`. Else as `update`.
        """
        newest = await self.update()
        start = newest if height is None or height >= newest.height else await self.update(height)
        failed: GuildmarkError = Unreachable("no node is left that has not lied", "node.none_left")
        for url in self._honest():
            query = {"since": start.height, "height": height}
            try:
                data = (await self._transports[url].request("GET", certificate_path(subject), query=query)).body
                verified = verify_certificate(data, self.network_id, trust=(start.height, start.block_hash))
                self._require_subject(data, subject)
                return verified
            except VerificationFailed as error:
                self._note(url, error)
                failed = error
            except (Refused, NotFound) as error:
                failed = error  # which proves nothing: the others may show it
            except Unreachable as error:
                failed = failed if isinstance(failed, NotFound) else error
        raise failed

    # --- asking

    async def _first(self, ask: Any) -> tuple[str, Trusted, bytes, tuple[Liar, ...]]:
        """Let the first node that can and does not lie lead the way; return it, the block, and the state before."""
        failed: GuildmarkError = Unreachable("no node is left that has not lied", "node.none_left")
        liars: list[Liar] = []
        for url in self._honest():
            try:
                client = await self._started(url)
                before = client.dump()
                trusted = await self._drive(url, ask(client))
            except VerificationFailed as error:
                failed = error
                if error.code != "light.pin":  # the pin may be wrong as well
                    liars.append(self._note(url, error))
            except (Unreachable, NotFound, Refused) as error:
                failed = error  # it is silent, behind, or has forgotten
            else:
                return url, trusted, before, tuple(liars)
        raise failed

    async def _agree(self, leader: str, trusted: Trusted, before: bytes, liars: tuple[Liar, ...]) -> TrustedBlock:
        """Ask the other nodes for the same block."""
        from ledger.light.blocks import LightBlock
        from ledger.light.client import At, Fork

        assert self._client is not None
        if not isinstance(trusted, LightBlock):
            raise VerificationFailed("light.nothing", "the network has no certified block above its genesis yet")
        agreeing, lied = [leader], list(liars)
        for url in self._honest():
            if url == leader:
                continue
            try:
                theirs = await self._ask(url, At(trusted.height))
                if theirs.height != trusted.height:
                    raise VerificationFailed("light.height", f"block {theirs.height} came, not {trusted.height}")
                self._client.compare(theirs)
                agreeing.append(url)
            except Fork as fork:
                try:
                    shown = await self._shown(url, fork, before)
                except VerificationFailed as error:
                    lied.append(self._note(url, error))
                except GuildmarkError:
                    continue  # it does not show how its block is certified, and is no witness of any
                else:
                    evidence = Fork(fork.ours, shown)
                    raise ForkDetected(url, (fork.ours, shown), evidence.double_signers()) from fork
            except VerificationFailed as error:
                lied.append(self._note(url, error))
            except GuildmarkError:
                continue  # silent, or behind: no witness
        header = trusted.header
        hashed = trusted.hash()
        assert hashed is not None
        return TrustedBlock(
            header.height, hashed, header.state_root, header.timestamp_ms, header.epoch, tuple(agreeing), tuple(lied)
        )

    async def _fresher(self, led: TrustedBlock) -> TrustedBlock:
        """Go on to the newest block of those who agree: the node that led may be behind, or hold back what is new."""
        assert self._client is not None
        before, liars, top = self._client.dump(), list(led.liars), (led.agreeing[0], self._client.newest)
        for url in led.agreeing[1:]:
            try:
                found = await self._drive(url, self._client.update(now_ms=_now_ms()))
            except VerificationFailed as error:
                liars.append(self._note(url, error))
            except GuildmarkError:
                continue  # silent, or behind
            else:
                top = (url, found) if found.height > top[1].height else top
        if top[1].height <= led.height:
            return led._replace(liars=tuple(liars))
        return await self._agree(*top, before, tuple(liars))

    async def _shown(self, url: str, fork: Fork, before: bytes) -> LightBlock:
        """Return the other block of a fork as a node shows it to be certified, from what is trusted below it on.

        Raises:
            VerificationFailed: it is not, or the node now has another one than before: it lied.
        """
        from ledger.errors import InvalidProof
        from ledger.light.blocks import LightBlock

        height = fork.ours.height
        client = self._restored(before).before(height)
        if client is None:  # the block was pinned: its own set is all there is to judge by
            shown: Trusted = fork.theirs
            try:
                if fork.theirs.members.hash() != fork.ours.members.hash():
                    raise VerificationFailed("light.pin", f"block {height} is not the pinned one")
                fork.theirs.check(self.network_id)
            except InvalidProof as error:
                raise VerificationFailed(error.code, error.message) from error
        else:
            shown = await self._drive(url, client.update(height, now_ms=_now_ms()))
        if not isinstance(shown, LightBlock) or shown.hash() == fork.ours.hash():
            raise VerificationFailed("light.height", f"a block {height} that it does not stand by")
        return shown

    async def _drive(self, url: str, asking: Generator[Ask, LightBlock, Trusted]) -> Trusted:
        from ledger.errors import InvalidProof, LedgerError

        try:
            ask = next(asking)
            while True:
                ask = asking.send(await self._ask(url, ask))
        except StopIteration as done:
            trusted: Trusted = done.value
            return trusted
        except InvalidProof as error:
            raise VerificationFailed(error.code, error.message) from error
        except LedgerError as error:
            raise Refused(error.code, error.message) from error

    async def _ask(self, url: str, ask: Ask) -> LightBlock:
        """Fetch a block. Raises VerificationFailed for bytes that are none, else as `Transport.request`."""
        from ledger.light.blocks import LightBlock
        from ledger.light.client import At, EpochEnd
        from primitives.codec import CodecError, decode

        where = path("light", "blocks", "latest")
        if isinstance(ask, At):
            where = path("light", "blocks", ask.height)
        elif isinstance(ask, EpochEnd):
            where = path("light", "epochs", ask.epoch)
        data = (await self._transports[url].request("GET", where)).body
        try:
            return decode(data, LightBlock)
        except CodecError as error:
            raise VerificationFailed("light.malformed", str(error)) from error

    async def _started(self, url: str) -> LightClient:
        """Return the client, begun from the genesis that a node has; any node's, since its hash is known."""
        from ledger import genesis as genesis_files
        from ledger.errors import InvalidGenesis, InvalidProof
        from ledger.light.client import LightClient
        from primitives.codec import encode

        if self._client is None:
            data = (await self._transports[url].request("GET", path("genesis"))).body
            try:
                genesis = encode(genesis_files.parse(data))
                self._client = LightClient.from_genesis(genesis, self.network_id, trust_period_ms=self._trust_period_ms)
            except (InvalidGenesis, InvalidProof) as error:
                raise VerificationFailed(error.code, error.message) from error
        return self._client

    def _restored(self, state: bytes) -> LightClient:
        from ledger.errors import InvalidProof
        from ledger.light.client import LightClient

        try:
            return LightClient.restore(state, self.network_id, trust_period_ms=self._trust_period_ms)
        except InvalidProof as error:
            raise VerificationFailed(error.code, error.message) from error

    def _honest(self) -> list[str]:
        return [url for url in self.urls if url not in self.liars]

    def _note(self, url: str, error: Any) -> Liar:
        return self.liars.setdefault(url, Liar(url, error.code, error.message))

    def _require_subject(self, data: bytes, subject: Subject) -> None:
        from ledger.certificates.verification import read

        if read(data).subject != subject:
            raise VerificationFailed("certificate.subject", "the node certifies something else")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
