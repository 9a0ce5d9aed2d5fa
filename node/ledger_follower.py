"""What gossip needs of the deciding parts: what certificates are judged against, and a way for what was judged good."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.engine import CertificateShown
from node.epoch_keeper import EpochKeeper
from node.gossip_payloads import Known
from node.intake import Admission, Intake
from node.ledger_side import LedgerSide
from primitives.finality import FinalityCertificate


class LedgerFollower:
    """node.gossip_host.Follower. Belongs to the deciding thread."""

    def __init__(self, ledger: LedgerSide, epochs: EpochKeeper, intake: Intake) -> None:
        self._ledger = ledger
        self._epochs = epochs
        self._intake = intake

    def known(self) -> Known:
        members = self._epochs.membership
        keys = tuple(validator.signing_key for validator in members.validators)
        certified = self._ledger.announcements.certified_height
        return Known(self._ledger.head.header.network_id, members.epoch, keys, certified)

    @property
    def follows_only(self) -> bool:
        return self._epochs.follows_only

    @property
    def height(self) -> int:
        return self._ledger.head.header.height

    def take_certified(
        self, block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate, done: Callable[[], None]
    ) -> None:
        self._ledger.take_certified(block, headers, certificate, done)

    def show_certificate(self, certificate: FinalityCertificate) -> None:
        """Whoever votes leaves it to the engine where to go; others fetch what they lack."""
        if self._epochs.follows_only:
            self._ledger.reach(certificate, ())
        else:
            self._ledger.driver.handle(CertificateShown(certificate, None))

    def offer(self, transaction: bytes, done: Callable[[str, bool], None]) -> None:
        def admitted(admissions: list[Admission]) -> None:
            done(admissions[0].code, admissions[0].known)

        self._intake.submit([transaction], admitted)
