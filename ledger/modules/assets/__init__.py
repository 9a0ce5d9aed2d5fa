"""Assets: what exists once, who made it, who owns it, from what it is derived, and who holds its bytes."""

from __future__ import annotations

from typing import Final

from ledger.modules.assets import availability, consents, management, operations, registration
from ledger.modules.assets.queries import QUERIES
from ledger.modules.assets.records import INDEXES
from ledger.modules.module import Module

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
    deadlines={
        registration.COMMITMENTS.deadline_kind: registration.COMMITMENTS.expire,
        consents.CONSENT_EXPIRY: consents.on_consent_expired,
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]
