"""The accounts that a measurement uses: their keys follow from the seed, so that no key is stored anywhere.

Anybody who knows the seed can spend what is theirs: they belong on networks that exist to be measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from primitives.codec import encode
from primitives.digest import tagged_hash
from primitives.identifiers import account_id
from primitives.keys import SigningKey

SALT: Final = bytes(16)


class Identity(NamedTuple):
    """Who signs."""

    account: bytes
    """32-byte id."""
    key: SigningKey
    organization: str


class Accounts:
    """Accounts 0 to `count` - 1, spread evenly over the organizations; each is derived when first asked for."""

    def __init__(
        self, network_id: bytes, seed: int, count: int, organizations: Sequence[str], salt: bytes = SALT
    ) -> None:
        """`salt` (16 bytes) tells accounts of the same keys apart."""
        self.salt = salt
        self._network_id = network_id
        self._seed = seed
        self._organizations = tuple(organizations)
        self._known: list[Identity | None] = [None] * count

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, index: int) -> Identity:
        found = self._known[index]
        if found is None:
            key = SigningKey(tagged_hash("benchmark-account", encode((self._seed, index))))
            organization = self._organizations[index % len(self._organizations)]
            found = Identity(account_id(self._network_id, organization, key.public_key, self.salt), key, organization)
            self._known[index] = found
        return found
