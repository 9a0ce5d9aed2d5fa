"""What work costs a simulated node: a few numbers, from a calibration and written down with their source.

The model, and what it leaves out:

- A node has four threads (event loop, executor, verifier, disk) that share one interpreter lock, but for the verifier,
  whose library lets go of it. Each takes its work in order. The CPU that a piece of work costs is charged when it
  begins, in slices of `QUANTUM_US`; what it sends or answers leaves when all of it has been paid for.
- A piece of work costs the sum of: signature checks and signatures, counted as the production code makes them; messages
  and bytes at either end; transactions submitted here and executed here; a fixed part for each block.
- All validators on one machine share its cores, as in a real run without a latency matrix. With a matrix, each has a
  machine with one core of its own and a link of `LINK_BYTES_PER_S`.
- A synced write takes `sync_us` without using the CPU. Disks are as fast for n nodes as for one.
- Costs are the same whatever the state's size, the cache and the neighbors: that of the calibrating run is assumed.
  Kernel, TLS and interpreter are in the measured total, and shared out over the kinds of work as `SHAPE` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.errors import BenchError

FORMAT: Final = 1
QUANTUM_US: Final = 1_000
"""How long a thread computes before another one of the machine may."""
LINK_BYTES_PER_S: Final = 125_000_000
"""What a machine of its own sends: 1 Gbit/s."""
LOOPBACK_US: Final = 40
"""Between two nodes of one machine, one way, their CPU aside."""
HAND_OVER_US: Final = 60
"""From one thread of a node to another."""


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CPU in microseconds, as measured with all cores busy."""

    format: int
    source: str
    """The result that they come from, and when and on what it was measured."""
    workload: str
    """Of the source: transactions of others cost something else."""
    cores: int
    """Of the source's machine."""
    generator_share: float
    """What the load's generator took of the source's cores; on a shared machine the validators do not have it."""
    verify_us: float
    """One signature check."""
    sign_us: float
    submission_us: float
    """One transaction at the node that takes it: request, judgment, pool."""
    transaction_us: float
    """One transaction at every node: decoding, execution, state tree, storage."""
    message_us: float
    """One message, at the sender and again at the receiver."""
    kib_us: float
    """1,024 bytes of messages or requests, at either end."""
    block_us: float
    """A block at every node, beside its transactions and messages."""
    sync_us: float
    """A synced write; waiting, not CPU."""
    scaled_by: float = 1.0
    """What the parts were multiplied with so that together they make the source's total."""


class Shape(msgspec.Struct, frozen=True):
    """Costs in units of a signature check: what the parts are to each other, before they are scaled to a total."""

    sign: float = 0.37
    submission: float = 0.36
    transaction: float = 0.54
    message: float = 1.2
    kib: float = 0.1
    block: float = 33.0


SHAPE: Final = Shape()
"""Fitted to a saturated run and one of 200 transactions a second, four validators on two cores (signature check: 50 us
of CPU). With these, the CPU of a transaction among seven validators came out 6 % too low when saturated, and 30 % too
high at 200 a second, where the machine was busy otherwise and a validator woke up for several messages at once."""
SYNC_US: Final = 400.0
"""A synced write on the machine of the profiles; it is not part of a result, so a calibration may say otherwise."""


def read_costs(path: Path) -> Costs:
    """Read a calibration.

    Raises:
        BenchError: `calibration.unreadable`, `calibration.malformed`.
    """
    try:
        costs = msgspec.json.decode(path.read_bytes(), type=Costs)
    except OSError as error:
        raise BenchError("calibration.unreadable", f"{path}: {error.strerror or error}") from error
    except msgspec.MsgspecError as error:
        raise BenchError("calibration.malformed", f"{path}: not a calibration: {error}") from error
    if costs.format != FORMAT:
        raise BenchError("calibration.malformed", f"{path}: format {costs.format}; this program knows {FORMAT}")
    return costs


def write_costs(costs: Costs, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=1) + b"\n")
