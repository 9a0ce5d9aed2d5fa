"""What every subject is: a kind and an id, and the one way to read the records that show it."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.certificates.reading import Records
from ledger.certificates.verified import Verified, Where


class SubjectBase(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a certificate is about; each subclass is tagged with its kind."""

    def read(self, records: Records, where: Where) -> Verified:
        """Read the records that show this subject, in a fixed order, and say what they show.

        No record is used before it was read, so whoever proves records as they are read believes nothing else.

        Raises:
            LedgerError: the records do not show it.
        """
        raise NotImplementedError


def fields(where: Where) -> dict[str, Any]:
    """Return the fields of the block, for the subject's own."""
    return msgspec.structs.asdict(where)
