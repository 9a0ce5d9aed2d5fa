"""What the order means: transactions, their execution, blocks, and the authenticated state.

The ledger has never heard of a view, a replica or a peer. Everything that decides a state root is a pure function of
the genesis and the decided batches: no clock, no randomness, no floating point, no iteration over unordered
collections.
"""
