"""Assets: what exists once, who made it, who owns it, from what it is derived, and who holds its bytes."""

from __future__ import annotations

from typing import Final

from ledger.modules.assets import availability, consents, management, operations, registration
from ledger.modules.assets.queries import QUERIES
from ledger.modules.assets.records import INDEXES
from ledger.modules.module import OPERATORS, OWNERS, VALIDATORS, Module, Rule

MODULE: Final = Module(
    name="assets",
    operations={
        operations.Commit: registration.commit,
        operations.Register: registration.register,
        operations.AddVersion: registration.add_version,
        operations.SetAlias: management.set_alias,
        operations.SetManager: management.set_manager,
        operations.UpdateMetadata: management.update_metadata,
        operations.Consent: consents.consent,
        operations.WithdrawConsent: consents.withdraw_consent,
        operations.Retire: management.retire,
        operations.ReportHeld: availability.report_held,
    },
    rules={
        operations.Commit: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.Register: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.AddVersion: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.SetAlias: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.SetManager: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.UpdateMetadata: Rule(
            signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=True
        ),
        operations.Consent: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
        operations.WithdrawConsent: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Retire: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.ReportHeld: Rule(signers=VALIDATORS, while_suspended=True, after_removal=False, while_frozen=True),
    },
    deadlines={
        registration.COMMITMENTS.deadline_kind: registration.COMMITMENTS.expire,
        consents.CONSENT_EXPIRY: consents.on_consent_expired,
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
