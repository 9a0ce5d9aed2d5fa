"""Whole nodes in virtual time: a researcher's instrument as much as a test.

One seed decides everything: latencies, losses, crashes, load. What runs is the node's production code, from the pool to
the executor, over ports whose clock, disk and network are simulated.
"""
