"""Setting a network up for a workload, and saying what the generator is to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.generator.plan import Plan
from benchmarks.results.schema import Configuration
from benchmarks.running.network import Network
from benchmarks.running.setup import Sender, open_accounts
from benchmarks.workloads.accounts import Accounts, Identity
from benchmarks.workloads.choosing import workload
from benchmarks.workloads.workload import Facts

VERIFY_US_SLOW: Final = 50.0
"""A machine where it takes longer is busy with something else at the moment, and may not stay so."""
ATTACHED_RATE_MAX: Final = 20_000.0
"""Transactions a second that are signed for a network on machines that nobody has measured."""
OPAQUE_PAYLOADS_MAX: Final = 500_000.0
"""A second; nobody has got near it."""


def check(configuration: Configuration) -> None:
    """Raises BenchError `configuration.*`."""
    asked = configuration
    if asked.kind != "real":
        raise BenchError("configuration.kind", "this runs real networks")
    rate_ok = asked.rate == "saturate" or asked.rate > 0
    if asked.validators < 1 or asked.duration_s <= 0 or asked.warmup_s < 0 or asked.batch_submit < 1 or not rate_ok:
        raise BenchError("configuration.range", "validators, rate, duration and batch are above 0")
    if asked.accounts < 2 and asked.workload != "opaque":
        raise BenchError("configuration.accounts", "at least 2 accounts")


def prepare(
    asked: Configuration,
    network: Network,
    sponsors: Sequence[Identity],
    salt: bytes,
    verify_us: float,
    progress: Callable[[str], None],
    *,
    follow: bool = False,
) -> Plan:
    """Open the accounts, set the workload up, and return the plan.

    Args:
        sponsors: accounts that may open others and pay them, one for each organization that gets accounts.
        salt: 16 bytes; another one makes other accounts of the same keys.
        verify_us: what a signature check costs where the validators run; 0 where nobody knows.
        follow: whether commit times are those at which the generator hears of blocks.

    Raises:
        BenchError: `setup.*`, `workload.*`.
    """
    urls, lifetime_ms = tuple(network.urls), network.genesis.parameters.lifetime_ms
    organizations = tuple(sponsor.organization for sponsor in sponsors)
    accounts = Accounts(network.network_id, asked.seed, asked.accounts, organizations, salt)
    chosen = workload(asked.workload)
    if chosen.signed:
        sender = Sender(urls[0], network.network_id, lifetime_ms)
        try:
            open_accounts(sender, sponsors, accounts, progress)
        finally:
            sender.close()
    progress(f"setting up the workload {chosen.name}")
    state = chosen.set_up(Facts(network.network_id, urls, tuple(sponsors), accounts, asked.payload_bytes))
    saturated = asked.rate == "saturate"
    in_transaction = 1 if chosen.signed else asked.batch_submit
    return Plan(
        configuration=asked,
        network_id=network.network_id,
        lifetime_ms=lifetime_ms,
        organizations=organizations,
        account_salt=salt,
        urls=urls,
        workload_state=msgspec.msgpack.encode(state),
        rate=_saturating(asked, verify_us) if asked.rate == "saturate" else asked.rate,
        outstanding=max(1, asked.outstanding // in_transaction) if saturated else 0,
        follow=follow or saturated,
    )


def _saturating(asked: Configuration, verify_us: float) -> float:
    """Units a second that this machine cannot commit: its processors could not even check their signatures."""
    if asked.workload == "opaque":
        return OPAQUE_PAYLOADS_MAX
    if not verify_us:
        return ATTACHED_RATE_MAX
    return len(os.sched_getaffinity(0)) * 1e6 / (asked.validators * min(verify_us, VERIFY_US_SLOW))
