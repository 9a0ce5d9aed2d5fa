"""What can go wrong for who uses a network. One tree, so that `except GuildmarkError` is complete.

    GuildmarkError
    ├── Refused              the network said no: a receipt with a code, or a request that it does not accept
    │   ├── InvalidArgument  an id, account, key or URL is not written as one; nothing was sent
    │   └── OdrlRefused      an ODRL policy says something that license terms cannot, or is damaged
    ├── NotFound             the named thing does not exist at the height that answered
    ├── Denied               a key, account or grant does not allow it
    ├── Unreachable          no node answered in time; nothing is known about the request beyond that
    ├── OutcomeUnknown       a transaction was sent and no node has said in time what became of it
    ├── VerificationFailed   a proof, certificate or block of bytes does not hold
    ├── WalletError          a key file is missing, damaged or protected by another passphrase
    └── ClusterError         a local cluster did not start, stop or answer as it should

`Interrupted` is none of them: like Ctrl-C itself, which it is, it passes by who catches errors.

Codes are stable, in the form `subject.reason`; messages are for people and may change.
"""

from __future__ import annotations

from typing import ClassVar


class GuildmarkError(Exception):
    """Root of the errors of this package.

    `exit_code` is what the command line ends with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class Refused(GuildmarkError):
    """The network refused it. `transaction_id` (hex) is set when a receipt or mark in a block says so."""

    def __init__(self, code: str, message: str, transaction_id: str | None = None) -> None:
        super().__init__(code, message)
        self.transaction_id = transaction_id


class InvalidArgument(Refused):
    exit_code = 2


class OdrlRefused(Refused):
    """`path` is the place in the document, such as `$.permission[0].action`."""

    def __init__(self, code: str, path: str, why: str) -> None:
        super().__init__(code, f"{path}: {why}")
        self.path = path


class NotFound(GuildmarkError):
    exit_code = 3


class Denied(GuildmarkError):
    exit_code = 4


class Unreachable(GuildmarkError):
    exit_code = 5

    def __init__(self, message: str, code: str = "node.unreachable", *, maybe_received: bool = False) -> None:
        super().__init__(code, message)
        self.maybe_received = maybe_received
        """Whether a node may have got the request and only its answer is missing."""


class OutcomeUnknown(GuildmarkError):
    """Sending the same bytes again, or waiting again by the id, is harmless and the way to find out."""

    exit_code = 6

    def __init__(self, transaction_id: str, message: str) -> None:
        super().__init__("transaction.outcome_unknown", message)
        self.transaction_id = transaction_id


class VerificationFailed(GuildmarkError):
    exit_code = 7


class WalletError(GuildmarkError):
    pass


class ClusterError(GuildmarkError):
    pass


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while transactions were on their way. They may still be committed: ask by their ids."""

    def __init__(self, transaction_ids: tuple[str, ...]) -> None:
        super().__init__(transaction_ids)
        self.transaction_ids = transaction_ids
