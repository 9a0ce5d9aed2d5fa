"""The genesis block: what the genesis file, the epochs and the modules put into a state that is empty."""

from __future__ import annotations

from typing import NamedTuple

from ledger import epochs
from ledger.block import Block, BlockResults
from ledger.genesis import Genesis
from ledger.headers import genesis_header
from ledger.modules.module import Context
from ledger.operations import Registry
from ledger.parameters import write_parameters
from ledger.state.indexes import committed
from ledger.state.tree import PendingUpdate, StateTree
from ledger.state.view import Readable, StateView
from primitives.digest import ZERO_DIGEST, Digest
from primitives.identifiers import AccountId


class Founding(NamedTuple):
    """The genesis block before anything is written."""

    block: Block
    results: BlockResults
    view: StateView
    pending: PendingUpdate
    """The tree's update by what is in the view."""


def founding_block(
    genesis: Genesis, network_id: Digest, registry: Registry, state: Readable, tree: StateTree
) -> Founding:
    """Make the genesis block over `state` and its `tree`, which are empty."""
    view = StateView(state)
    write_parameters(view, genesis.parameters)
    members = epochs.write_genesis_epoch(view, network_id, genesis)
    for module in registry.modules:
        if module.genesis is not None:
            context = Context(
                view=view,
                network_id=network_id,
                height=0,
                block_time_ms=genesis.created_at_ms,
                parameters=genesis.parameters,
                sender=AccountId(b""),
                signer=b"",
                transaction_id=ZERO_DIGEST,
            )
            module.genesis(context, genesis)
    pending = tree.update(committed(view.changes()))
    header = genesis_header(genesis, network_id, members, pending.root)
    return Founding(Block(header, ()), BlockResults(0, (), (), 0), view, pending)
