"""Commitment and reveal, for whatever must not be copied by someone who sees it before it is ordered.

    <prefix> + account (32) + commitment (32)   Commitment

The committing account is part of the key, so that copying another's commitment neither blocks nor helps anyone.
"""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.fields import Record, TimeMs
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.state.view import Table


class Commitment(Record, frozen=True):
    committed_at_ms: TimeMs
    expires_at_ms: TimeMs


class CommitmentBook:
    """The commitments of one module: its records, error codes (`<module>.commitment_*`) and deadline kind."""

    __slots__ = ("deadline_kind", "module", "table")

    def __init__(self, module: str, prefix: bytes) -> None:
        self.module = module
        self.table = Table[Commitment](prefix, Commitment)
        self.deadline_kind = f"{module}.commitment_expiry"

    @property
    def codes(self) -> tuple[str, ...]:
        """The error codes that this book's refusals have."""
        return tuple(f"{self.module}.commitment_{reason}" for reason in ("exists", "missing", "too_young"))

    def add(self, context: Context, commitment: bytes) -> Commitment:
        """Record the sender's commitment and the deadline that removes it.

        Raises:
            OperationError: `<module>.commitment_exists`, or the quota.
        """
        if self.table.get(context.view, context.sender, commitment) is not None:
            raise OperationError(f"{self.module}.commitment_exists", "the sender has already committed to this")
        expires_at_ms = context.block_time_ms + context.parameters.commitment_lifetime_ms
        record = Commitment(context.block_time_ms, expires_at_ms)
        organization = sender_organization(context)
        quota.store(context, organization, self.table, record, context.sender, commitment)
        quota.schedule(context, organization, expires_at_ms, self.deadline_kind, context.sender + commitment)
        return record

    def reveal(self, context: Context, commitment: bytes) -> None:
        """Use up the sender's commitment.

        Raises:
            OperationError: `<module>.commitment_missing` (never made, used, expired or another account's) or
                `<module>.commitment_too_young`.
        """
        record = self.table.get(context.view, context.sender, commitment)
        if record is None or context.block_time_ms >= record.expires_at_ms:
            raise OperationError(f"{self.module}.commitment_missing", "no such commitment of the sender is open")
        age_ms = context.block_time_ms - record.committed_at_ms
        if age_ms < context.parameters.commitment_age_ms:
            least = context.parameters.commitment_age_ms
            raise OperationError(f"{self.module}.commitment_too_young", f"it is {age_ms} ms old, not {least} ms yet")
        organization = sender_organization(context)
        quota.remove(context, organization, self.table, context.sender, commitment)
        subject = context.sender + commitment
        quota.cancel(context, organization, record.expires_at_ms, self.deadline_kind, subject)

    def expire(self, context: Context, subject: bytes) -> None:
        """Deadline: remove a commitment that was not revealed."""
        account, commitment = subject[:32], subject[32:]
        organization = organization_of(context.view, account)
        quota.swept(context, organization)
        quota.remove(context, organization, self.table, account, commitment)
