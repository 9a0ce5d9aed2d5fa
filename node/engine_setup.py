"""The engine of a starting node: built over the ledger and the vote log, if the two are of one life."""

from __future__ import annotations

import msgspec

from consensus.errors import ConsensusError
from consensus.pbft.configuration import Configuration as EngineConfiguration
from consensus.pbft.replica import Replica
from consensus.validators import ValidatorSet
from ledger.genesis import Genesis, network_id
from node.chain_service import Head
from node.failures import NodeFailure
from node.journal import Journal, JournalDamaged
from node.verifier import EngineVerifier
from primitives.digest import tagged_hash
from primitives.finality import FinalityCertificate
from primitives.identifiers import key_from_text
from primitives.keys import SigningKey


def log_secret(signing_key: SigningKey | None) -> bytes:
    """Return what marks the records of this validator's vote log; a stranger cannot make such a record."""
    return b"" if signing_key is None else tagged_hash("vote-log", signing_key.seed)


def build_engine(
    configuration: EngineConfiguration,
    genesis: Genesis,
    replica_id: int | None,
    signing_key: SigningKey | None,
    journal: Journal,
    head: Head,
    stable: FinalityCertificate | None,
) -> Replica:
    """Return the replica as its records and the ledger left it; `replica_id` None follows without voting.

    Raises:
        NodeFailure: vote log and ledger do not belong together, or the log holds what is no record.
    """
    if replica_id is not None:
        check_log(journal, head)
    keys = tuple(key_from_text(validator.signing_key) for validator in genesis.validators)
    parameters = genesis.parameters
    settings = msgspec.structs.replace(
        configuration,
        window=parameters.window,
        proposal_bytes_max=parameters.proposal_bytes_max,
        batches_per_proposal_max=parameters.batches_per_proposal_max,
    )
    try:
        return Replica(
            settings,
            ValidatorSet(network_id(genesis), 0, keys),
            replica_id,
            signing_key if replica_id is not None else None,
            EngineVerifier(),
            records=journal.records,
            last_executed=head.header.height,
            last_block=(head.block_hash, head.header.epoch_end) if head.header.height else None,
            stable=stable,
        )
    except ConsensusError as error:
        raise JournalDamaged(str(error)) from error


def check_log(journal: Journal, head: Head) -> None:
    """Raises NodeFailure when the ledger is older than the vote log: what was promised is unknown then."""
    height = head.header.height
    if journal.ledger_height > height:
        raise NodeFailure(
            f"the vote log was truncated when the ledger had {journal.ledger_height} certified blocks, but the "
            f"ledger has {height}: it was lost or is a copy; put the newer one back, or leave this validator stopped "
            "(the others go on without it)"
        )
