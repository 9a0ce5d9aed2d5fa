"""What can be wrong with what the ledger is given.

    LedgerError
    ├── InvalidGenesis         the genesis file
    ├── InvalidTransaction     a transaction that leaves no receipt: malformed, foreign, bad signature, expired,
    duplicate ├── OperationError         an operation that the rules refuse: a receipt with this code, and nothing else
    changes ├── InvalidBlock           a block or certificate that does not hold
    ├── InvalidProof           a proof or ownership certificate that does not hold
    └── StorageError           the store is damaged, full or foreign
        └── Damage             some records of it cannot be read

Codes are stable: they are part of receipts and therefore of the chain. Our own broken invariants are assertions, never
these.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of the ledger's errors."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InvalidGenesis(LedgerError):
    pass


class InvalidTransaction(LedgerError):
    pass


class OperationError(LedgerError):
    """`code` has the form `module.reason`; `message` may name values, never secrets, and is not part of the chain."""


class InvalidBlock(LedgerError):
    pass


class InvalidProof(LedgerError):
    pass


class StorageError(LedgerError):
    pass


class Damage(StorageError):
    """Damage of known extent, code `storage.damaged`: no record of the store from `first` to below `behind` can be
    read, though some may be there."""

    def __init__(self, first: bytes, behind: bytes, message: str, *, physical: bool) -> None:
        super().__init__("storage.damaged", message)
        self.first = first
        self.behind = behind
        self.physical = physical
        """Whether the store's file is damaged: what is written over it is read, but passing it by is not possible until
        the store is rewritten. Else a record has other bytes than were written, and writing it anew is enough."""
