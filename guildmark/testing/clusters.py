"""Clusters as tests use them: fast settings, time that can be moved, directories that stay when a test failed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import pytest

from guildmark.cluster.local import LocalCluster
from guildmark.cluster.network import AccountPlan, default_organizations
from guildmark.errors import ClusterError
from guildmark.identity import Account
from primitives.keys import SigningKey

GENESIS_DEFAULTS: Final[dict[str, Any]] = {"name": "test", "commitment_age_ms": 0}
"""A registration then needs no waiting; tests of commitments set an age."""
NODE_DEFAULTS: Final[dict[str, dict[str, Any]]] = {"consensus": {"suspicion_timeout_ms": 1_000, "turn_ms": 5_000}}
CREDITS_DEFAULT: Final = 1_000_000


class AccountFactory(Protocol):
    """`guildmark_account`"""

    def __call__(
        self, credits: int = CREDITS_DEFAULT, *, organization: str | None = None, name: str = ""
    ) -> Account: ...


class TestCluster(LocalCluster):
    """A network under test."""

    __test__ = False
    """pytest collects classes by their name; this is none of its tests."""
    kept = False

    def keep(self) -> None:
        """Leave the directory when the session ends."""
        self.kept = True

    def advance(self, ms: int, node: int | None = None) -> int:
        """Move block time ahead by `ms`; returns a height from which on blocks are later by it.

        A block follows at once, so that what became due meanwhile has happened when this returns.
        """
        with self.client(self.accounts[0], node) as client:
            client.advance_clock(ms)
            return client.advance_clock(1)

    def open_account(
        self, credits: int = CREDITS_DEFAULT, *, organization: str | None = None, name: str = ""
    ) -> Account:
        """Open an account in an organization (the first account's when none is named), paid by its first account."""
        sponsor = self.account(self._sponsor(organization))
        with self.client(sponsor) as client:
            opened = client.accounts.open(SigningKey.generate(), name)
            if credits:
                client.credits.transfer(opened, credits)
            return opened

    def _sponsor(self, organization: str | None) -> str:
        if organization is None:
            return self.accounts[0]
        for entry in self.genesis.accounts:
            if entry.organization == organization:
                return entry.name
        raise ClusterError("cluster.no_account", f"the genesis has no account of {organization!r}")


class ClusterFactory:
    """Makes networks, and ends them all when the session ends."""

    def __init__(self, directories: pytest.TempPathFactory, made: list[Any]) -> None:
        self._directories = directories
        self._made = made

    def __call__(
        self,
        *,
        validators: int = 4,
        genesis: Mapping[str, Any] | None = None,
        node: Mapping[str, Mapping[str, Any]] | None = None,
        organizations: Sequence[tuple[str, str]] | None = None,
        accounts: Sequence[AccountPlan] | None = None,
        start: bool = True,
    ) -> TestCluster:
        """Make a network and start it; `genesis` and `node` override the defaults above value by value."""
        settings = {name: dict(table) for name, table in NODE_DEFAULTS.items()}
        for name, table in (node or {}).items():
            settings.setdefault(name, {}).update(table)
        directory = self._directories.mktemp("guildmark") / "network"
        cluster = TestCluster.create(
            directory,
            validators=validators,
            organizations=organizations or default_organizations(validators),
            accounts=accounts,
            genesis={**GENESIS_DEFAULTS, **(genesis or {})},
            node=settings,
        )
        self._made.append(cluster)
        if start:
            cluster.start()
        return cluster

    @property
    def made(self) -> tuple[TestCluster, ...]:
        """All networks so far, those included that were stopped."""
        return tuple(self._made)

    def close(self) -> None:
        """Stop all networks, and remove the directories of those that no failed test has used."""
        while self._made:
            cluster = self._made.pop()
            cluster.stop()
            if not cluster.kept:
                shutil.rmtree(cluster.directory.parent, ignore_errors=True)
