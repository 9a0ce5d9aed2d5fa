"""The light client: who certified a block, from set to set, with nothing of a node. No store, loop, clock or network.

`blocks` checks one certified header, `trust` decides what follows from what is trusted, `client` walks there.
"""
