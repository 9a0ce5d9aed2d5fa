"""The validator set of an epoch, as consensus sees it: public keys in an agreed order."""

from __future__ import annotations

import msgspec

from primitives.finality import VALIDATORS_MAX
from primitives.quorum import fault_bound, quorum, weak_quorum


class ValidatorSet(msgspec.Struct, frozen=True):
    """The members of `epoch`; a replica's id is its index."""

    network_id: bytes
    epoch: int
    public_keys: tuple[bytes, ...]
    base: int = 0
    """The height at which the epoch starts: the last height of the preceding one, 0 for genesis."""

    def __post_init__(self) -> None:
        assert 1 <= len(self.public_keys) <= VALIDATORS_MAX
        assert len(set(self.public_keys)) == len(self.public_keys)

    @property
    def n(self) -> int:
        return len(self.public_keys)

    @property
    def fault_bound(self) -> int:
        return fault_bound(self.n)

    @property
    def quorum(self) -> int:
        return quorum(self.n)

    @property
    def weak_quorum(self) -> int:
        return weak_quorum(self.n)

    def primary(self, view: int) -> int:
        """Return the replica that leads `view`: the role moves by one with every view."""
        return view % self.n
