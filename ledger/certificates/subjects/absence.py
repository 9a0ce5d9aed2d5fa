"""That something is not registered. The table that each absence is of holds every such thing for as long as it is
there, so a missing record says all: claims on artifacts and tensors, assets, versions and grants are never deleted;
an offer that is not there has expired, was withdrawn or never was."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from ledger.certificates.reading import Records, absent
from ledger.certificates.subjects.subject import SubjectBase, fields
from ledger.certificates.verified import Verified, Where
from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.records import ARTIFACTS, ASSETS, TENSORS
from ledger.modules.licenses.records import GRANTS, OFFERS
from ledger.state.view import Table

What = Literal["artifact", "tensors", "asset", "license", "grant"]
WHATS: Final[tuple[What, ...]] = ("artifact", "tensors", "asset", "license", "grant")
_TABLES: Final[dict[What, Table[Any]]] = {
    "artifact": ARTIFACTS,
    "tensors": TENSORS,
    "asset": ASSETS,
    "license": OFFERS,
    "grant": GRANTS,
}
_ID_BYTES: Final = 32


class VerifiedAbsence(Verified, frozen=True, kw_only=True):
    absent: str
    """artifact, tensors, asset, license or grant."""
    id: str
    """CID of an artifact; else in hex."""

    def lines(self) -> list[str]:
        what = {"license": "license offer", "tensors": "asset with the tensors"}.get(self.absent, self.absent)
        said = "is open" if self.absent == "license" else "is registered"
        return [f"no {what} {self.id} {said}"]


class AbsenceSubject(SubjectBase, frozen=True, tag="absence"):
    what: What
    id: Annotated[bytes, msgspec.Meta(min_length=_ID_BYTES, max_length=59)]
    """ASCII of the CID of an artifact, 32 bytes of everything else."""

    def read(self, records: Records, where: Where) -> VerifiedAbsence:
        shown = self._shown(records)
        absent(records, f"{self.what} {shown}", _TABLES[self.what], self.id)
        return VerifiedAbsence(proves="absence", **fields(where), absent=self.what, id=shown)

    def _shown(self, records: Records) -> str:
        """Return the id in text. One that nothing can ever have is refused: that it is absent would say nothing."""
        if self.what != "artifact":
            if len(self.id) != _ID_BYTES:
                raise records.refusal("query.argument", f"the id of what is absent has {_ID_BYTES} bytes")
            return self.id.hex()
        try:
            text = self.id.decode("ascii")
            check_cid(text, "query.argument")
        except (UnicodeDecodeError, OperationError) as error:
            raise records.refusal("query.argument", f"not a CID of an artifact: {error}") from error
        return text
