"""The headers that a chain gives its blocks: to the genesis block, and to each block after its parent."""

from __future__ import annotations

from ledger.block import VERSION, Header, receipts_root, transactions_root
from ledger.execution import DecidedProposal, Executed
from ledger.genesis import Genesis
from ledger.validators import ValidatorSet
from primitives.digest import ZERO_DIGEST, Digest


def genesis_header(genesis: Genesis, network_id: Digest, members: ValidatorSet, state_root: Digest) -> Header:
    return Header(
        version=VERSION,
        network_id=network_id,
        height=0,
        parent_hash=ZERO_DIGEST,
        epoch=0,
        proposer=None,
        timestamp_ms=genesis.created_at_ms,
        transactions_root=transactions_root((), ()),
        receipts_root=receipts_root(()),
        state_root=state_root,
        validator_set_hash=members.hash(),
        next_validator_set_hash=members.hash(),
        epoch_end=0,
    )


def next_header(
    parent: Header, parent_hash: Digest, proposal: DecidedProposal, executed: Executed, state_root: Digest
) -> Header:
    """Return the header of what was decided and executed after `parent`."""
    chosen = executed.closed.next_set
    return Header(
        version=VERSION,
        network_id=parent.network_id,
        height=parent.height + 1,
        parent_hash=parent_hash,
        epoch=executed.closed.epoch,
        proposer=proposal.proposer,
        timestamp_ms=executed.time_ms,
        transactions_root=transactions_root(executed.ids, executed.batches, executed.rests),
        receipts_root=receipts_root(executed.receipts),
        state_root=state_root,
        validator_set_hash=parent.next_validator_set_hash,
        next_validator_set_hash=parent.next_validator_set_hash if chosen is None else chosen.hash(),
        epoch_end=executed.closed.epoch_end,
    )
