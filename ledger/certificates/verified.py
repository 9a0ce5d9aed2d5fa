"""What a checked certificate shows, made for JSON and for people: the block that everything in it is true at, and, in
the classes of the subjects, what was proven there."""

from __future__ import annotations

import msgspec


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The block. Each subject adds what it proves."""

    proves: str
    """The subject's kind: asset, version, license, grant, account, absence."""
    network_id: str
    network_name: str
    """Empty where the certificate starts from a block: only the genesis has the name."""
    development: bool | None
    """None where the certificate starts from a block."""
    height: int
    epoch: int
    """So many times the validators named their successors since the genesis."""
    block_hash: str
    block_time_ms: int
    signers: tuple[str, ...]
    """Organizations whose validators certified the block."""
    validators: int
    start_height: int
    """Where the way of signatures begins: 0 is the genesis."""
    pinned: bool
    """The way leads through a block that the verifier knew from elsewhere."""

    def lines(self) -> list[str]:
        """Say for people what was proven, without the block."""
        raise NotImplementedError


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `Verified`, gathered before it is known what was proven."""

    network_id: str
    network_name: str
    development: bool | None
    """None where the certificate starts from a block."""
    height: int
    epoch: int
    block_hash: str
    block_time_ms: int
    signers: tuple[str, ...]
    validators: int
    start_height: int
    pinned: bool


def describe(verified: Verified) -> str:
    """Say in a few lines what was verified, and what it rests on."""
    start = "the genesis" if verified.start_height == 0 else f"block {verified.start_height}"
    lines = [
        *verified.lines(),
        f"at height {verified.height}, block {verified.block_hash}, block time {verified.block_time_ms} ms",
        f"in epoch {verified.epoch}: from {start} on each validator set was named by the one before",
        f"certified by {len(verified.signers)} of {verified.validators} validators: {', '.join(verified.signers)}",
        f"network {verified.network_name!r} {verified.network_id}" + (" (development)" if verified.development else ""),
        "the way leads through a pinned block"
        if verified.pinned
        else "no block is pinned: the keys of all these validators are believed safe",
    ]
    return "\n".join(lines)
