"""Counting signatures and their checks as the production code makes them, whoever makes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.workloads.accounts import SALT as ACCOUNT_SALT
from benchmarks.workloads.accounts import Accounts, Identity
from primitives import keys
from primitives.codec import encode
from primitives.digest import tagged_hash
from primitives.identifiers import account_id
from primitives.keys import Signature
from simulation.signatures import StandInKey, install


class Meter:
    """What was done since somebody looked."""

    def __init__(self) -> None:
        self.checks = 0
        self.signatures = 0

    def take(self) -> tuple[int, int]:
        """Return (checks, signatures), and begin anew."""
        taken = (self.checks, self.signatures)
        self.checks = self.signatures = 0
        return taken

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the checks of this process meanwhile."""
        install()
        before = vars(keys)["bindings"]
        vars(keys)["bindings"] = _Counting(before, self)
        try:
            yield
        finally:
            vars(keys)["bindings"] = before


class _Counting:
    def __init__(self, inner: Any, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def crypto_sign_open(self, signed: bytes, public_key: bytes) -> Any:
        self._meter.checks += 1
        return self._inner.crypto_sign_open(signed, public_key)


class MeteredKey(StandInKey):
    """A stand-in key whose signatures are counted."""

    __slots__ = ("_meter",)

    def __init__(self, seed: bytes, meter: Meter) -> None:
        super().__init__(seed)
        self._meter = meter

    def sign(self, message: bytes) -> Signature:
        self._meter.signatures += 1
        return super().sign(message)


class StandInAccounts(Accounts):
    """A workload's accounts with stand-in keys: clients' processors are not simulated."""

    def __init__(self, network_id: bytes, seed: int, count: int, organizations: tuple[str, ...]) -> None:
        super().__init__(network_id, seed, count, organizations)
        self._network, self._members = network_id, organizations
        self._made: dict[int, Identity] = {}
        self._from = seed

    def __getitem__(self, index: int) -> Identity:
        found = self._made.get(index)
        if found is None:
            key = account_key(self._from, index)
            organization = self._members[index % len(self._members)]
            account = account_id(self._network, organization, key.public_key, ACCOUNT_SALT)
            found = self._made[index] = Identity(account, key, organization)
        return found


def account_key(seed: int, index: int) -> StandInKey:
    """Return the key of one of the accounts."""
    return StandInKey(tagged_hash("benchmark-account", encode((seed, index))))
