"""A network's directory as its members see it: genesis, accounts, addresses. Nothing here touches a process."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from guildmark.cluster import network
from guildmark.errors import ClusterError
from guildmark.identity import Account
from guildmark.wallet import Wallet, passphrase_from_environment
from ledger import genesis as genesis_files
from ledger.errors import InvalidGenesis
from ledger.genesis import Genesis

if TYPE_CHECKING:
    from guildmark.sync import Client


class LocalNetwork:
    """The network in one directory."""

    def __init__(self, directory: Path | str, accounts: Mapping[str, Account] | None = None) -> None:
        """`accounts` are those whose keys are in memory already; others are opened from the wallet."""
        self.directory = Path(directory).resolve()
        self.wallet = Wallet(self.directory / "wallet")
        self._accounts = dict(accounts or {})

    @functools.cached_property
    def genesis(self) -> Genesis:
        try:
            return genesis_files.load(self.directory / "genesis.json")
        except InvalidGenesis as error:
            raise ClusterError(error.code, error.message) from error

    @functools.cached_property
    def network_id(self) -> bytes:
        """32 bytes."""
        return genesis_files.network_id(self.genesis)

    def account(self, name: str) -> Account:
        """An account of the genesis by name, from the wallet where this program did not make it.

        Raises:
            NotFound, WalletError: the wallet has no such key, or its passphrase is not known.
        """
        if name not in self._accounts:
            self._accounts[name] = self.wallet.open(name, passphrase_from_environment(self.wallet.directory) or "")
        return self._accounts[name]

    @property
    def accounts(self) -> list[str]:
        """The names of the genesis' accounts, in its order."""
        return [entry.name for entry in self.genesis.accounts]

    def url(self, index: int) -> str:
        """The base URL of a node's API."""
        return f"http://127.0.0.1:{network.read_network_file(self.directory).nodes[index].api_port}"

    @property
    def urls(self) -> list[str]:
        """The base URLs of all validators, running or not."""
        nodes = network.read_network_file(self.directory).nodes
        return [f"http://127.0.0.1:{entry.api_port}" for entry in nodes if not entry.observer]

    def client(self, account: Account | str | None = None, node: int | None = None) -> Client:
        """A synchronous client for an account (or its name), through every validator, or through one node only."""
        from guildmark.sync import Client

        who = self.account(account) if isinstance(account, str) else account
        return Client(self.urls if node is None else [self.url(node)], who, network_id=self.network_id)
