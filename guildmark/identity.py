"""Who acts: an account of a network and one of its keys, in memory."""

from __future__ import annotations

from primitives.identifiers import AccountId, account_from_text, account_id, account_to_text, key_to_text
from primitives.keys import SigningKey


class Account:
    """An account id with a key that belongs to it. Never written anywhere by itself: see `guildmark.wallet`."""

    __slots__ = ("id", "key", "name")

    def __init__(self, account: AccountId | str, key: SigningKey, name: str = "") -> None:
        """`account` is a 32-byte id or its text `gm1...`.

        Raises:
            InvalidIdentifier: the text is not an account id.
        """
        self.id: AccountId = account_from_text(account) if isinstance(account, str) else account
        self.key = key
        self.name = name

    @classmethod
    def first_of(cls, network_id: bytes, organization: str, key: SigningKey, salt: bytes, name: str = "") -> Account:
        """The account that `organization` opens on a network for its first key `key`; `salt` has 16 bytes."""
        return cls(account_id(network_id, organization, key.public_key, salt), key, name)

    @property
    def text(self) -> str:
        """`gm1...`"""
        return account_to_text(self.id)

    @property
    def key_text(self) -> str:
        """`did:key:...`"""
        return key_to_text(self.key.public_key)

    def __repr__(self) -> str:
        return f"Account({self.text}, name={self.name!r})"
