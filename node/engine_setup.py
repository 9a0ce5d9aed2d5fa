"""The engine of a starting node, or of a starting epoch, built over ledger and vote log, if these belong together.

Where they do not, the validator cannot know what it promised: it draws an incarnation, keeps silent, and asks to rejoin
(spec: docs/spec/consensus.md, "Amnesia").
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from consensus.errors import ConsensusError
from consensus.pbft.configuration import Configuration as EngineConfiguration
from consensus.pbft.replica import Replica
from consensus.validators import ValidatorSet
from ledger.parameters import Parameters, limits_of
from node.chain_service import Head
from node.journal import Journal, JournalDamaged
from node.membership import Membership
from node.verifier import EngineVerifier
from primitives.digest import tagged_hash
from primitives.finality import FinalityCertificate
from primitives.keys import SigningKey


def log_secret(signing_key: SigningKey | None) -> bytes:
    """Return what marks the records of this validator's vote log; a stranger cannot make such a record."""
    return b"" if signing_key is None else tagged_hash("vote-log", signing_key.seed)


def draw_incarnation(entropy: bytes) -> int:
    """Return a number from 1 to 2^63 - 1 that this validator has not used before."""
    return int.from_bytes(tagged_hash("incarnation", entropy)[:8], "big") >> 1 or 1


def open_log(
    journal: Journal,
    membership: Membership,
    head: Head,
    entropy: Callable[[], bytes],
    recorded: int | None = None,
) -> list[bytes]:
    """Return the records that count in this epoch. A log that is missing, or of another life, is begun anew.

    Only beside an empty ledger can a missing log be the first one. Anything else that is not of one life with the
    ledger gets an incarnation, which the validator set does not name. `recorded` is the number that the set names for
    this validator: a log with another one, that was not drawn in this epoch, is from before a rejoin.
    """
    height, kept = head.header.height, journal.head
    if not journal.found:
        first_life = height == 0 and not journal.damage
        journal.begin(membership.epoch, 0 if first_life else draw_incarnation(entropy()), ())
        return []
    if kept.epoch > membership.epoch or (kept.epoch == membership.epoch and kept.ledger_height > height):
        journal.begin(
            membership.epoch, draw_incarnation(entropy()), ()
        )  # the ledger is older: it was lost or is a copy
        return []
    if kept.epoch < membership.epoch:
        outlived = recorded not in (None, kept.incarnation)
        journal.begin(membership.epoch, draw_incarnation(entropy()) if outlived else kept.incarnation, ())
        return []
    if recorded and not kept.incarnation:
        journal.begin(membership.epoch, draw_incarnation(entropy()), ())
        return []
    return journal.records


class EngineMaker:
    """Builds the replicas of this node, one an epoch."""

    def __init__(
        self,
        configuration: EngineConfiguration,
        parameters: Parameters,
        network_id: bytes,
        node_id: str,
        signing_key: SigningKey | None,
    ) -> None:
        self._configuration = configuration
        self._founding_limits = limits_of(parameters)
        self._network_id = network_id
        self.node_id = node_id
        self._signing_key = signing_key
        self._verifier = EngineVerifier()

    def replica_id(self, membership: Membership) -> int | None:
        """Return this node's place in the set; None for a node that only follows."""
        key = self._signing_key
        return None if key is None else membership.index_of(self.node_id, key.public_key)

    def _settings(self, membership: Membership) -> EngineConfiguration:
        """Return this node's settings with the sizes that all replicas of the epoch share."""
        shared = msgspec.structs.asdict(membership.limits or self._founding_limits)
        return msgspec.structs.replace(self._configuration, **shared)

    def build(
        self,
        membership: Membership,
        head: Head,
        stable: FinalityCertificate | None,
        *,
        incarnation: int,
        records: list[bytes],
        gated: bool,
    ) -> Replica:
        """Return the epoch's replica. With another incarnation than the set names it is silent throughout.

        Raises:
            JournalDamaged: the log holds what is no record.
        """
        place = self.replica_id(membership)
        header = head.header
        keys = tuple(validator.signing_key for validator in membership.validators)
        last_block = (head.block_hash, header.epoch_end) if header.height > membership.base else None
        try:
            replica = Replica(
                self._settings(membership),
                ValidatorSet(self._network_id, membership.epoch, keys, membership.base),
                place,
                None if place is None else self._signing_key,
                self._verifier,
                records=records,
                last_executed=header.height,
                last_block=last_block,
                stable=stable,
                gated=gated,
            )
        except ConsensusError as error:
            raise JournalDamaged(str(error)) from error
        if membership.end:
            replica.foresee_end(membership.end)
        if place is not None and membership.validators[place].incarnation != incarnation:
            replica.distrust_log()
        return replica
