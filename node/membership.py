"""Who validates in an epoch, as the deciding parts need it, and what the ledger says of this node's own part in it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger import epochs
from ledger.block import block_hash
from ledger.chain import Chain
from ledger.membership import PendingChange
from ledger.modules.observers.records import OBSERVERS
from ledger.modules.organizations.accounts import membership as standing_of
from ledger.modules.validators.records import EVIDENCE, EVIDENCE_PER_CULPRIT_MAX, culprit_part, evidence_digest
from ledger.parameters import ConsensusLimits, consensus_limits
from ledger.validators import ValidatorRecord
from node.ports import PeerRole, RegisteredPeer


class Membership(msgspec.Struct, frozen=True):
    """The validators of one epoch."""

    epoch: int
    base: int
    """The height of the last block before the epoch."""
    validators: tuple[ValidatorRecord, ...]
    """In order of index, which is the replica id."""
    end: int = 0
    """The height of its last block, once the ledger knows it; it may from the first block on, where changes waited."""
    limits: ConsensusLimits | None = None
    """What its replicas are built with; None is what the genesis says."""

    @property
    def node_ids(self) -> list[str]:
        return [validator.node_id for validator in self.validators]

    def index_of(self, node_id: str, signing_key: bytes | None) -> int | None:
        """Return the replica id of the node `node_id` with this key; None when it is no validator of the epoch."""
        for index, validator in enumerate(self.validators):
            if validator.node_id == node_id:
                return index if validator.signing_key == signing_key else None
        return None


class OwnStanding(msgspec.Struct, frozen=True):
    """What the ledger's head says of the validator with this node's keys."""

    account: bytes
    """Its own account; empty when the ledger knows of no validator and no candidate with the key."""
    is_member: bool
    """Of the set in force for the next block."""
    incarnation: int
    """That of its record."""
    rejoin_pending: int
    """The incarnation that its rejoin asked for in this epoch; 0 for none."""
    is_candidate: bool
    """It was let in, or has been given this key, and has not stated that it is ready."""
    certified_height: int
    certified_hash: bytes


def engine_membership(chain: Chain) -> Membership:
    """Return the epoch that consensus is in: the head's, until the head is its certified last block."""
    head = chain.head
    finished = head.height == head.epoch_end and chain.certified_height == head.height and head.height > 0
    return membership(chain, head.epoch + 1 if finished else head.epoch)


def membership(chain: Chain, epoch: int) -> Membership:
    """Return the set of a known epoch."""
    base = epochs.last_height(chain.view(), epoch - 1) if epoch else 0
    validators = chain.validators(epoch)
    assert base is not None
    assert validators, "only epochs that have begun are asked for"
    end = chain.epoch.end if chain.epoch.number == epoch else epochs.last_height(chain.view(), epoch)
    limits = consensus_limits(chain.view(), epoch, chain.genesis.parameters)
    return Membership(epoch, base, validators, end or 0, limits)


def registered_peers(chain: Chain, epoch: int) -> tuple[RegisteredPeer, ...]:
    """Return the nodes of the network, in order of node id.

    These are the set of `epoch`, the set now in force, those let in but not yet in it, and the observers of members
    that are neither suspended nor removed. A node that is several of these counts as the first of them.
    """
    peers = {peer.node_id: peer for peer in _observers(chain)}
    candidates = [change.record for change in _pending(chain) if change.record is not None]
    peers |= {record.node_id: _peer(record, "candidate") for record in candidates}
    members = [*chain.validators(epoch), *chain.validators(chain.epoch.number)]
    known = {record.node_id for record in members}
    # Of a member that waits for another address the candidate's is the newer one, as the links have it.
    rekeyed = {record.node_id: _peer(record, "validator") for record in candidates if record.node_id in known}
    peers |= {record.node_id: _peer(record, "validator") for record in members} | rekeyed
    return tuple(peers[node] for node in sorted(peers))


def _peer(record: ValidatorRecord, role: PeerRole) -> RegisteredPeer:
    return RegisteredPeer(record.node_id, record.tls_certificate, record.address, role)


def _observers(chain: Chain) -> Iterator[RegisteredPeer]:
    view = chain.view()
    for node, record in OBSERVERS.items(view):
        if standing_of(view, record.organization) == "active":
            yield RegisteredPeer(node.decode("utf-8"), record.tls_certificate, record.address, "observer")


def own_standing(chain: Chain, node_id: str, signing_key: bytes) -> OwnStanding:
    """Return what the head says of the validator with this node id and key."""
    certified = chain.header(chain.certified_height)
    assert certified is not None
    epoch = chain.epoch
    member = _find(chain.validators(epoch.number), node_id, signing_key)
    waiting = [change for change in _pending(chain) if change.record is not None and not change.ready]
    candidate = _find([change.record for change in waiting if change.record is not None], node_id, signing_key)
    record = member or candidate
    rejoin = epoch.rejoin
    return OwnStanding(
        account=b"" if record is None else record.account,
        is_member=member is not None,
        incarnation=0 if record is None else record.incarnation,
        rejoin_pending=rejoin.incarnation if rejoin and record and rejoin.account == record.account else 0,
        is_candidate=candidate is not None,
        certified_height=certified.height,
        certified_hash=block_hash(certified),
    )


def evidence_settled(chain: Chain, epoch: int, culprit: int, evidence: bytes) -> bool:
    """Return whether the ledger needs this evidence no more: it is recorded, or enough against the validator is."""
    view, part = chain.view(), culprit_part(epoch, culprit)
    recorded = EVIDENCE.get(view, part, evidence_digest(evidence)) is not None
    return recorded or sum(1 for _ in EVIDENCE.items(view, part)) >= EVIDENCE_PER_CULPRIT_MAX


def _pending(chain: Chain) -> list[PendingChange]:
    return list(epochs.pending_changes(chain.view()).values())


def _find(
    records: tuple[ValidatorRecord, ...] | list[ValidatorRecord], node_id: str, signing_key: bytes
) -> ValidatorRecord | None:
    wanted = (node_id, signing_key)
    return next((record for record in records if (record.node_id, record.signing_key) == wanted), None)
