"""Peers that a node tries while its own ledger does not name it yet: DIR/seeds.json, written by who made it join.

A ledger that begins at the genesis knows the first validators only. They may be gone, have moved, or have no room for
one observer more; who is there now says the network itself, which the newcomer cannot hear yet. Nothing is believed
because a seed says it: these are nodes to ask, and what they answer is checked as everybody's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from node.failures import ConfigurationError
from node.ports import PeerRole, RegisteredPeer

SEEDS_MAX: Final = 64
SEEDS_BYTES_MAX: Final = 512 * 1024


class Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node of the network, as its ledger named it when the file was written."""

    node_id: Annotated[str, msgspec.Meta(max_length=90)]
    tls_certificate: Annotated[str, msgspec.Meta(max_length=4_096)]
    """Base64 of the DER certificate."""
    address: Annotated[str, msgspec.Meta(max_length=260)]
    role: PeerRole


def load(path: Path) -> tuple[RegisteredPeer, ...]:
    """Read the file; a missing one names nobody.

    Raises:
        ConfigurationError: it is no list of seeds.
    """
    try:
        with path.open("rb") as file:
            data = file.read(SEEDS_BYTES_MAX + 1)
        seeds = msgspec.json.decode(data, type=Annotated[tuple[Seed, ...], msgspec.Meta(max_length=SEEDS_MAX)])
        return tuple(
            RegisteredPeer(seed.node_id, base64.b64decode(seed.tls_certificate, validate=True), seed.address, seed.role)
            for seed in seeds
        )
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not a list of seeds: {error}; remove it, or write it anew") from error


def with_seeds(
    peers: Sequence[RegisteredPeer], seeds: Sequence[RegisteredPeer], node_id: str
) -> Sequence[RegisteredPeer]:
    """Return whom the links let in: the peers that the ledger names, and seeds while these are without `node_id`."""
    known = {peer.node_id for peer in peers}
    if node_id in known:
        return peers
    return (*peers, *(seed for seed in seeds if seed.node_id not in known and seed.node_id != node_id))
