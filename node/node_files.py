"""What a node was given, read at its start."""

from __future__ import annotations

import msgspec

from ledger.genesis import Genesis
from node.configuration import Configuration
from node.data_directory import DataDirectory
from node.keys import NodeKeys
from node.ports import RegisteredPeer


class NodeFiles(msgspec.Struct, frozen=True):
    """Everything in the data directory that the node itself does not write."""

    directory: DataDirectory
    configuration: Configuration
    keys: NodeKeys
    genesis: Genesis
    genesis_bytes: bytes
    seeds: tuple[RegisteredPeer, ...] = ()
