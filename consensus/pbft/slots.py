"""The votes for one sequence in the current view, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from consensus.messages import Commit, Prepare, PreparedCertificate, PrePrepare, Proposal


class Slot(msgspec.Struct):
    """One sequence between the watermarks. It is forgotten when the view ends or the sequence becomes stable."""

    candidate: PrePrepare | None = None
    """Signed by the primary, waiting for its batches or its predecessor."""
    pre_prepare: PrePrepare | None = None
    """Accepted: this replica prepared it."""
    digest: bytes = b""
    """Of the accepted proposal."""
    prepares: dict[int, Prepare] = {}
    commits: dict[int, Commit] = {}
    own_prepare: Prepare | None = None
    own_commit: Commit | None = None
    decided: bool = False

    def accept(self, pre_prepare: PrePrepare) -> None:
        """Take the one proposal of this (view, sequence); there is never a second."""
        assert self.pre_prepare is None
        self.candidate = None
        self.pre_prepare = pre_prepare
        self.digest = pre_prepare.digest

    @property
    def open_proposals(self) -> Iterable[Proposal]:
        return [known.proposal for known in (self.candidate, self.pre_prepare) if known is not None]

    def preparers(self) -> set[int]:
        """Return who prepared the accepted proposal; the primary did by proposing it."""
        if self.pre_prepare is None:
            return set()
        agreeing = {vote.replica for vote in self.prepares.values() if vote.digest == self.digest}
        return agreeing | {self.pre_prepare.replica}

    def committers(self) -> set[int]:
        return {vote.replica for vote in self.commits.values() if vote.digest == self.digest}

    def certificate(self, quorum: int) -> PreparedCertificate:
        """Return the proof that a quorum prepared, with no more votes than that takes."""
        assert self.pre_prepare is not None
        backups = sorted(self.preparers() - {self.pre_prepare.replica})[: quorum - 1]
        return PreparedCertificate(self.pre_prepare, tuple(self.prepares[replica] for replica in backups))
