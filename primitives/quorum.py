"""Quorum arithmetic, the only place that knows it.

With n replicas of which at most f are faulty, any two quorums must share a correct replica: 2q - n > f, which
`(n + f) // 2 + 1` satisfies for every n. The usual 2f + 1 is right only when n = 3f + 1 (with n = 5 it would be 3, and
two quorums of 3 share a single, possibly faulty, replica).
"""

from __future__ import annotations


def fault_bound(n: int) -> int:
    """Return f, the number of Byzantine replicas among `n` (at least 1) that safety survives."""
    assert n >= 1
    return (n - 1) // 3


def quorum(n: int) -> int:
    """Return the size of a quorum among `n` replicas."""
    return (n + fault_bound(n)) // 2 + 1


def weak_quorum(n: int) -> int:
    """Return f + 1: at least one of so many replicas is correct."""
    return fault_bound(n) + 1
