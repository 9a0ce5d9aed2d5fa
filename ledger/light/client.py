"""A light client: from the genesis, or a block that is known, to any height, with certified headers alone.

`update` asks for blocks one by one (it is a generator) and whoever drives it fetches them, over whatever there is: the
client has no transport. It tries to skip to the block that is wanted; where too few of the trusted set signed, to the
end of an epoch halfway, and so on, in the worst case from epoch to epoch. Whatever comes is checked before it counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

import msgspec

from ledger.errors import InvalidProof, LedgerError
from ledger.light.blocks import GenesisPoint, LightBlock, genesis_members
from ledger.light.trust import Trusted, follows
from ledger.state.proofs import StateProof, verify_state_proof
from primitives.codec import CodecError, decode, encode
from primitives.finality import Bytes32

TRUSTED_MAX: Final = 64
"""Blocks that are kept; beyond, the oldest but the first goes."""
REQUESTS_MAX: Final = 65_536
"""Blocks that one update may ask for; a chain that needs more is `light.too_far`, and a provider that invents epochs
is found out by it."""


class At(NamedTuple):
    """Asks for the block of a height."""

    height: int


class EpochEnd(NamedTuple):
    """Asks for the last block of an epoch."""

    epoch: int


class Latest(NamedTuple):
    """Asks for the highest certified block."""


Ask: TypeAlias = At | EpochEnd | Latest
Asking: TypeAlias = Generator[Ask, LightBlock, Trusted]


class Fork(LedgerError):
    """Two blocks of one height, one of which the client had trusted: evidence as soon as the other one is checked."""

    def __init__(self, ours: LightBlock, theirs: LightBlock) -> None:
        super().__init__("light.fork", f"two certified blocks of height {ours.height}")
        self.ours = ours
        self.theirs = theirs

    def double_signers(self) -> set[bytes]:
        """Return the keys that are under both: more than may be faulty, where both are of one set."""
        return self.ours.signers() & self.theirs.signers()


class LightState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a client keeps."""

    version: Literal[1]
    network_id: Bytes32
    genesis: GenesisPoint | None
    """None where a block was pinned in its place."""
    blocks: Annotated[tuple[LightBlock, ...], msgspec.Meta(max_length=TRUSTED_MAX)]
    """Rising."""


class LightClient:
    """What is trusted of one network, and the rules by which it grows.

    With a trust period (ms), nothing is trusted any more on the word of a block that is older: keys of former members
    may be stolen by and by. `pin` then makes a new beginning.
    """

    def __init__(self, state: LightState, *, trust_period_ms: int | None = None) -> None:
        self.network_id = state.network_id
        self.trust_period_ms = trust_period_ms
        root: list[Trusted] = [] if state.genesis is None else [state.genesis]
        self._trusted: list[Trusted] = [*root, *state.blocks]
        if not self._trusted:
            raise InvalidProof("light.state", "a light client trusts at least one block")

    @classmethod
    def from_genesis(cls, genesis: bytes, network_id: bytes, *, trust_period_ms: int | None = None) -> LightClient:
        """Begin with the canonical bytes of a genesis, whose hash is the network id. Raises InvalidProof."""
        known, members = genesis_members(genesis, network_id)
        point = GenesisPoint(members, known.created_at_ms)
        return cls(LightState(1, network_id, point, ()), trust_period_ms=trust_period_ms)

    @classmethod
    def restore(cls, data: bytes, network_id: bytes, *, trust_period_ms: int | None = None) -> LightClient:
        """Go on from what `dump` returned. It is believed: keep it where nobody else writes.

        Raises:
            InvalidProof: `light.state`, it is damaged or of another network.
        """
        try:
            state = decode(data, LightState)
        except CodecError as error:
            raise InvalidProof("light.state", str(error)) from error
        if state.network_id != network_id:
            raise InvalidProof("light.state", "the state of a client of another network")
        return cls(state, trust_period_ms=trust_period_ms)

    def dump(self) -> bytes:
        """Return the state as bytes, at most `TRUSTED_MAX` blocks."""
        genesis, blocks = None, []
        for one in self._trusted:
            if isinstance(one, GenesisPoint):
                genesis = one
            else:
                blocks.append(one)
        return encode(LightState(1, self.network_id, genesis, tuple(blocks)))

    @property
    def newest(self) -> Trusted:
        """The highest block that is trusted."""
        return self._trusted[-1]

    def trusted(self, height: int) -> LightBlock | None:
        """Return the trusted block of a height, or None."""
        found = self._below(height)
        return found if isinstance(found, LightBlock) and found.height == height else None

    def pin(self, height: int, block_hash: bytes) -> Asking:
        """Trust a block that is known from elsewhere, and forget all others.

        Raises:
            InvalidProof: `light.pin`, the block that came is another; else as `LightBlock.check`.
        """
        block = yield At(height)
        if (block.height, block.hash()) != (height, block_hash):
            raise InvalidProof("light.pin", f"block {block.height} is not the pinned one")
        block.check(self.network_id)
        self._trusted = [block]
        return block

    def update(self, height: int | None = None, *, now_ms: int | None = None) -> Asking:
        """Come to trust the block of `height`, or the newest one. `now_ms` (Unix ms) is for the trust period.

        Nothing is trusted of an update that fails but what was checked on the way.

        Raises:
            InvalidProof: `light.*` or `certificate.*`: what came does not hold; who sent it lied or is damaged.
            LedgerError: `light.expired`, `light.below` (the height is below all that is trusted), `light.too_far`.
        """
        trusted = self.newest if height is None else self._below(height)
        if trusted is None:
            raise LedgerError("light.below", f"nothing is trusted from which block {height} could be reached")
        if trusted.height == height:
            return trusted
        self._refuse_expired(trusted, now_ms)
        target = yield (Latest() if height is None else At(height))
        if height is None and target.height <= trusted.height:
            return trusted  # the provider is behind
        if height is not None and target.height != height:
            raise InvalidProof("light.height", f"block {target.height} came in place of block {height}")
        return (yield from self._climb(trusted, target))

    def _climb(self, trusted: Trusted, target: LightBlock) -> Asking:
        """Go from `trusted` to `target`; the blocks that wait are each halfway to the one before, so they are few."""
        waiting, asked = [target], 1
        while waiting:
            block = waiting[-1]
            if follows(trusted, block, self.network_id):
                trusted = waiting.pop()
                self._keep(trusted)
                continue
            if asked >= REQUESTS_MAX:
                raise LedgerError("light.too_far", f"more than {REQUESTS_MAX} blocks are needed")
            asked += 1
            middle = (trusted.epoch + block.epoch) // 2
            end = yield EpochEnd(middle)
            if end.epoch != middle or end.epoch_end != end.height:
                raise InvalidProof("light.epoch", f"block {end.height} does not end epoch {middle}")
            if not trusted.height < end.height < block.height:
                raise InvalidProof("light.epoch", f"epoch {middle} cannot end with block {end.height}")
            waiting.append(end)
        return trusted

    def verify_record(self, height: int, key: bytes, value: bytes | None, proof: StateProof) -> None:
        """Check that after the trusted block `height` the record of `key` is `value`, or that there is none (None).

        Raises:
            LedgerError: `light.untrusted`, the height has not been reached. InvalidProof: `proof.*`.
        """
        block = self.trusted(height)
        if block is None:
            raise LedgerError("light.untrusted", f"block {height} is not trusted yet: update to it")
        verify_state_proof(block.header.state_root, key, value, proof)

    def compare(self, block: LightBlock) -> bool:
        """Tell whether another provider's block is the trusted one of its height; False where none is trusted there.

        Raises:
            Fork: it is another one. Nothing of it is checked: who sent it either has a certificate of it, which an
                update of `before` shows, or lies.
        """
        ours = self.trusted(block.height)
        if ours is not None and ours.hash() != block.hash():
            raise Fork(ours, block)
        return ours is not None

    def before(self, height: int) -> LightClient | None:
        """Return a client that trusts what this one does below `height` and nothing else; None where that is nothing.

        It comes to `height` anew, and so tells whether another block there is certified as well.
        """
        genesis = next((one for one in self._trusted if isinstance(one, GenesisPoint)), None)
        blocks = [one for one in self._trusted if isinstance(one, LightBlock) and one.height < height]
        if genesis is None and not blocks:
            return None
        return LightClient(LightState(1, self.network_id, genesis, tuple(blocks)), trust_period_ms=self.trust_period_ms)

    def _below(self, height: int) -> Trusted | None:
        place = bisect_right(self._trusted, height, key=lambda one: one.height)
        return self._trusted[place - 1] if place else None

    def _keep(self, block: LightBlock) -> None:
        place = bisect_right(self._trusted, block.height, key=lambda one: one.height)
        self._trusted.insert(place, block)
        if len(self._trusted) > TRUSTED_MAX:
            del self._trusted[1 if place != 1 else 2]

    def _refuse_expired(self, trusted: Trusted, now_ms: int | None) -> None:
        if self.trust_period_ms is None or now_ms is None:
            return
        if now_ms > trusted.time_ms + self.trust_period_ms:
            raise LedgerError(
                "light.expired", f"block {trusted.height} is older than the trust period: pin a block that you know"
            )


def drive(asking: Asking, fetch: Callable[[Ask], LightBlock]) -> Trusted:
    """Run an update or a pin with what `fetch` returns. Raises as they do, and whatever `fetch` raises."""
    try:
        ask = next(asking)
        while True:
            ask = asking.send(fetch(ask))
    except StopIteration as done:
        trusted: Trusted = done.value
        return trusted
