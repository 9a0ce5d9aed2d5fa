"""PBFT (Castro & Liskov 1999) as an engine: `replica` dispatches, the other files are the parts of the protocol.

The parts are functions over one `State`. They call each other in one direction: replica, repair, view_change, entering,
then ordering, checkpoints, leaving, then batches. Spec: docs/spec/consensus.md.
"""
