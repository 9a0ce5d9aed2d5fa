"""What a certificate can be about, one file a kind."""

from __future__ import annotations

from typing import TypeAlias

from ledger.certificates.subjects.absence import AbsenceSubject
from ledger.certificates.subjects.account import AccountSubject
from ledger.certificates.subjects.asset import AssetSubject
from ledger.certificates.subjects.grant import GrantSubject
from ledger.certificates.subjects.license import LicenseSubject
from ledger.certificates.subjects.version import VersionSubject

Subject: TypeAlias = AssetSubject | VersionSubject | LicenseSubject | GrantSubject | AccountSubject | AbsenceSubject

__all__ = [
    "AbsenceSubject",
    "AccountSubject",
    "AssetSubject",
    "GrantSubject",
    "LicenseSubject",
    "Subject",
    "VersionSubject",
]
