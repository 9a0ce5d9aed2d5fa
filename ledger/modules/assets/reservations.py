"""What is reserved for its maker: artifacts and tensors that were shown in a contribution and registered by nobody.

    reserved/ + CID, or digest of tensors (32)   Reserved

Who proposes a version to somebody else's asset shows its CID, and its bytes to those who decide. If it then belonged to
nobody, they could refuse it and register it themselves. So it stays its maker's for ever, as what is registered stays
its asset's: when nothing came of the contribution, its maker alone may register it or propose it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.operations import Artifact
from ledger.modules.fields import Bytes32, Record
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.state.view import Readable, Table


class Reserved(Record, frozen=True):
    account: Bytes32
    """The maker's, on whose organization's quota it is."""
    contribution: Bytes32 | None
    """The open one that it is proposed in; None where nothing came of it."""


RESERVED: Final = Table[Reserved](b"reserved/", Reserved)


def require_unreserved(view: Readable, artifact: Artifact, account: bytes) -> None:
    """Refuse what another account has made, and what `account` has proposed itself and not taken back.

    Raises:
        OperationError: `assets.artifact_reserved` or `assets.tensors_reserved`.
    """
    for code, key in _keys(artifact):
        record = RESERVED.get(view, key)
        if record is None:
            continue
        if record.contribution is not None:
            raise OperationError(code, f"it is proposed in contribution {record.contribution.hex()}")
        if record.account != account:
            raise OperationError(code, "it was proposed by another account, and stays its own")


def reserve(context: Context, artifact: Artifact, contribution: bytes) -> None:
    """Reserve what `require_unreserved` has let through for the sender, who proposes it."""
    organization = organization_of(context.view, context.sender)
    for _, key in _keys(artifact):
        quota.store(context, organization, RESERVED, Reserved(context.sender, contribution), key)


def keep(context: Context, tally: quota.Tally, artifact: Artifact) -> None:
    """Let its maker have what a contribution that ended had proposed. What is written is charged to `tally`."""
    for _, key in _keys(artifact):
        record = RESERVED.get(context.view, key)
        assert record is not None  # the contribution has reserved it
        kept = Reserved(record.account, None)
        tally.store(organization_of(context.view, record.account), RESERVED, kept, key, enforced=False)


def clear(context: Context, tally: quota.Tally, artifact: Artifact) -> None:
    """Forget the reservations of what an asset has claimed. What is returned is charged to `tally`."""
    for _, key in _keys(artifact):
        record = RESERVED.get(context.view, key)
        if record is not None:
            tally.remove(organization_of(context.view, record.account), RESERVED, key)


def _keys(artifact: Artifact) -> Iterator[tuple[str, bytes]]:
    """Yield (code of the refusal, key) of all that an artifact claims."""
    yield "assets.artifact_reserved", artifact.cid.encode("ascii")
    if artifact.tensors_digest is not None:
        yield "assets.tensors_reserved", artifact.tensors_digest
