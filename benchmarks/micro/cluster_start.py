"""How soon a local network of four validators takes part, and what a transfer takes, beside one signature check.

    python -m benchmarks.micro.cluster_start

Prints medians over a few networks. Nothing here is a limit: four processes share this machine's cores.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

from guildmark.cluster.local import LocalCluster
from primitives.keys import SigningKey, verify

NETWORKS = 5
TRANSFERS = 50


def main() -> None:
    ready, first, later = [], [], []
    for _ in range(NETWORKS):
        with tempfile.TemporaryDirectory(prefix="guildmark-benchmark-") as directory:
            begun = time.perf_counter()
            with LocalCluster.create(f"{directory}/network") as cluster:
                cluster.start()
                ready.append(time.perf_counter() - begun)
                payer, payee = cluster.accounts[:2]
                with cluster.client(payer) as client:
                    pay = partial(client.credits.transfer, cluster.account(payee), 1)
                    pay()
                    first.append(time.perf_counter() - begun)
                    later += [timed(pay) for _ in range(TRANSFERS)]
    check_s = signature_check_s()
    print(f"from nothing to four ready validators, keys and genesis included: {statistics.median(ready):.2f} s")
    print(f"to the first certified transfer:                                  {statistics.median(first):.2f} s")
    print(f"one transfer, from signing to certified block, idle network:      {statistics.median(later) * 1000:.1f} ms")
    print(f"                                          in signature checks:    {statistics.median(later) / check_s:.0f}")
    print(f"one signature check:                                              {check_s * 1e6:.1f} us")


def timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def signature_check_s(count: int = 2_000) -> float:
    """Return the time of one check of a 200-byte message."""
    key, message = SigningKey.generate(), bytes(200)
    signature = key.sign(message)
    begun = time.perf_counter()
    for _ in range(count):
        assert verify(key.public_key, message, signature)
    return (time.perf_counter() - begun) / count


if __name__ == "__main__":
    main()
