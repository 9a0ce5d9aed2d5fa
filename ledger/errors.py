"""What can be wrong with what the ledger is given.

    LedgerError
    ├── InvalidGenesis         the genesis file
    ├── InvalidTransaction     a transaction that leaves no receipt: malformed, foreign, bad signature, expired,
    duplicate ├── OperationError         an operation that the rules refuse: a receipt with this code, and nothing else
    changes ├── InvalidBlock           a block or certificate that does not hold
    ├── InvalidProof           a proof or ownership certificate that does not hold
    └── StorageError           the store is damaged, full or foreign

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
